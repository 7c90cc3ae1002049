"""The quality report as one HTML page with its plots inside: no script, no outside address."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from jinja2 import Environment, select_autoescape
from matplotlib.figure import Figure

from features.drift import MOVED, STABLE
from features.quality import Quality

SHOWN = 25  # features in the drift plot, those that moved most
_INK, _QUIET, _ACCENT = "#1f2933", "#9aa5b1", "#2f6f8f"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data quality of lake {{ q.lake }}</title>
<style>
 body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
 h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
 table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
 th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #e4e7eb }
 td.n, th.n { text-align: right } svg { width: 100%; height: auto } .scroll { overflow-x: auto }
 .quiet { color: #616e7c }
</style></head><body>
<h1>Data quality</h1>
<p class="quiet">Lake {{ q.lake }}{% if q.before %}, against {{ q.before }} before it{% endif %}.</p>
<h2>To look at</h2>
{% if q.findings %}<ul>{% for said in q.findings %}<li>{{ said }}</li>{% endfor %}</ul>
{% else %}<p>Nothing stands out.</p>{% endif %}
<h2>Orders by day</h2>{{ orders|safe }}
{% if drift %}<h2>Features that moved within {{ q.drift_days }} days</h2>
<p class="quiet">Population stability index of active customers: below {{ stable }} stable, from {{ moved }} moved.</p>
{{ drift|safe }}{% endif %}
{% for name, table in q.tables.items() %}
<h2>{{ name }}: {{ "{:,}".format(table.rows) }} rows{% if table.rows_before is not none %}
<span class="quiet">({{ "{:+,}".format(table.rows - table.rows_before) }})</span>{% endif %}</h2>
{% if table.quarantined %}<p>Set aside:
{% for reason, n in table.quarantined.items() %}
{{- "{:,}".format(n) }} {{ reason }}{% if not loop.last %}, {% endif %}
{%- endfor %}.</p>{% endif %}
<div class="scroll"><table><thead><tr><th>column</th><th class="n">missing</th><th class="n">distinct, about</th>
<th>least</th><th>most</th></tr></thead><tbody>
{% for column, c in table.columns.items() %}<tr><td>{{ column }}</td>
<td class="n">{{ "{:.1%}".format(c.nulls / table.rows if table.rows else 0) }}</td>
<td class="n">{{ "{:,}".format(c.distinct) }}</td><td>{{ c.least or "" }}</td><td>{{ c.most or "" }}</td></tr>
{% endfor %}</tbody></table></div>
{% endfor %}</body></html>
"""


def quality_page(report: Quality) -> str:
    """The page. Everything from the data is escaped."""
    template = Environment(autoescape=select_autoescape(default=True, default_for_string=True)).from_string(_PAGE)
    return template.render(
        q=report,
        orders=_orders_plot(report.orders_by_day),
        drift=_drift_plot(report.drift) if report.drift else "",
        stable=STABLE,
        moved=MOVED,
    )


def _orders_plot(days: Mapping[str, int]) -> str:
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots()
    moments = np.array(list(days), dtype="datetime64[D]")
    axes.fill_between(moments, list(days.values()), color=_ACCENT, alpha=0.85, lw=0)
    axes.set_ylim(bottom=0)
    return _svg(figure)


def _drift_plot(drift: Mapping[str, float]) -> str:
    shown = dict(list(drift.items())[:SHOWN])
    figure = Figure(figsize=(9, 0.6 + 0.22 * len(shown)), layout="constrained")
    axes = figure.subplots()
    names = list(shown)[::-1]
    axes.barh(names, [shown[name] for name in names], color=_ACCENT, height=0.7)
    for limit in (STABLE, MOVED):
        axes.axvline(limit, color=_QUIET, lw=1, ls="--")
    return _svg(figure)


def _svg(figure: Figure) -> str:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=_INK)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
