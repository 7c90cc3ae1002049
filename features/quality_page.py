"""Quality reports as HTML pages with their plots inside: no script, no outside address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from jinja2 import DictLoader, Environment, select_autoescape

from features.drift import MOVED, STABLE
from features.quality import Quality
from features.quality_plots import bars, by_day

if TYPE_CHECKING:
    from features.snapshot_quality import SnapshotQuality

SHOWN = 25  # in a plot, those with the largest figures
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
 h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
 table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
 caption { text-align: left; color: #52606d }
 th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #e4e7eb }
 th[scope=row] { font-weight: normal } .n { text-align: right }
 svg { width: 100%; height: auto; font-family: inherit } .scroll { overflow-x: auto } .quiet { color: #52606d }
</style></head><body><main>
<h1>{{ title }}</h1>
{% block top %}{% endblock %}
<h2>To look at</h2>
{% if q.findings %}<ul>{% for said in q.findings %}<li>{{ said }}</li>{% endfor %}</ul>
{% else %}<p>Nothing stands out.</p>{% endif %}
{% for heading, said, plot in plots if plot %}
<h2>{{ heading }}</h2>{% if said %}<p class="quiet">{{ said }}</p>{% endif %}
{{ plot|safe }}
{% endfor %}
{% block rest %}{% endblock %}
</main></body></html>
"""
_LOAD = """{% extends "page" %}
{% block top %}<p class="quiet">Lake {{ q.lake }}{% if q.before %}, against {{ q.before }} before it{% endif %}.</p>
{% endblock %}
{% block rest %}{% for name, table in q.tables.items() %}
<h2>{{ name }}: {{ "{:,}".format(table.rows) }} rows{% if table.rows_before is not none %}
<span class="quiet">({{ "{:+,}".format(table.rows - table.rows_before) }})</span>{% endif %}</h2>
{% if table.quarantined %}<p>Set aside:
{% for reason, n in table.quarantined.items() %}
{{- "{:,}".format(n) }} {{ reason }}{% if not loop.last %}, {% endif %}
{%- endfor %}.</p>{% endif %}
<div class="scroll" tabindex="0" role="region" aria-label="Columns of {{ name }}"><table>
<caption>Columns of {{ name }}</caption>
<thead><tr><th scope="col">column</th><th scope="col" class="n">missing</th><th scope="col" class="n">before</th>
<th scope="col" class="n">distinct</th><th scope="col">least</th><th scope="col">most</th></tr></thead><tbody>
{% for column, c in table.columns.items() %}<tr><th scope="row">{{ column }}</th>
<td class="n">{{ "{:.1%}".format(c.nulls / table.rows if table.rows else 0) }}</td>
<td class="n">{% if c.nulls_before is not none and table.rows_before -%}
{{ "{:.1%}".format(c.nulls_before / table.rows_before) }}{%- endif %}</td>
<td class="n">{% if c.distinct is not none %}{{ "{:,}".format(c.distinct) }}{% endif %}</td>
<td>{{ c.least or "" }}</td><td>{{ c.most or "" }}</td></tr>
{% endfor %}</tbody></table></div>
{% endfor %}{% endblock %}
"""
_SNAPSHOT = """{% extends "page" %}
{% block top %}<p class="quiet">{{ "{:,}".format(q.rows) }} rows of lake {{ q.lake }}
{%- if q.before %}, against {{ "{:,}".format(q.rows_before) }} as of {{ q.before }}, {{ q.days_between }} days before
{%- endif %}. The newest order before the moment is {{ q.days_since_last_order }} days old.</p>
{% if q.quarantined %}<p>Set aside by loads:
{% for table, reasons in q.quarantined.items() %}{% for reason, n in reasons.items() %}
{{- "{:,}".format(n) }} {{ reason }} of {{ table }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- if not loop.last %}, {% endif %}{% endfor %}.</p>{% endif %}{% endblock %}
{% block rest %}<h2>Features</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Features"><table>
<caption>Features of {{ q.entity }} as of {{ q.as_of }}</caption>
<thead><tr><th scope="col">feature</th><th scope="col" class="n">missing</th><th scope="col" class="n">before</th>
{% for name in ("least", "p25", "median", "p75", "most") %}<th scope="col" class="n">{{ name }}</th>{% endfor %}
<th scope="col" class="n">drift</th></tr></thead><tbody>
{% for name, f in q.features.items() %}<tr><th scope="row">{{ name }}</th>
<td class="n">{{ "{:.1%}".format(f.missing) }}</td>
<td class="n">{% if f.missing_before is not none %}{{ "{:.1%}".format(f.missing_before) }}{% endif %}</td>
{% for value in (f.least, f.p25, f.median, f.p75, f.most) %}<td class="n">
{%- if value is not none %}{{ "{:,.4g}".format(value) }}{% endif %}</td>{% endfor %}
<td class="n">{% if f.drift is not none %}{{ "{:.2f}".format(f.drift) }}{% endif %}</td></tr>
{% endfor %}</tbody></table></div>{% endblock %}
"""
_READING = f"Population stability index: below {STABLE} stable, from {MOVED} moved."


def _render(template: str, **values: object) -> str:
    loader = DictLoader({"page": _PAGE, "this": template})
    environment = Environment(loader=loader, autoescape=select_autoescape(default=True, default_for_string=True))
    return environment.get_template("this").render(**values)


def _largest(values: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda item: -item[1])[:SHOWN])


def quality_page(report: Quality) -> str:
    """The page on a load. Everything from the data is escaped."""
    aside = {f"{table}: {why}": n for table, t in report.tables.items() for why, n in t.quarantined.items()}
    missing = {
        f"{name}.{column}": c.nulls / table.rows
        for name, table in report.tables.items()
        for column, c in table.columns.items()
        if 0 < c.nulls < table.rows  # one without any value was never given
    }
    lasting = f"Order lines of the last {report.drift_days} days against the {report.drift_days} before. {_READING}"
    plots = [
        ("Orders by day", "", by_day("orders", "Orders by day", report.orders_by_day)),
        ("Rows set aside", "", bars("aside", "Rows set aside, by reason", _largest(aside), form="{:,.0f}")),
        ("Values missing", "", bars("missing", "Share of rows without a value", _largest(missing), form="{:.1%}")),
        ("Drift", lasting, bars("drift", "Drift by column", _largest(report.drift), limits=(STABLE, MOVED))),
    ]
    return _render(_LOAD, title="Data quality", q=report, plots=plots)


def snapshot_page(report: SnapshotQuality) -> str:
    """The page on a snapshot. Everything from the data is escaped."""
    drift = {name: f.drift for name, f in report.features.items() if f.drift is not None}
    missing = {name: f.missing for name, f in report.features.items() if f.missing}
    plots = [
        ("Drift", f"{report.drift_of} {_READING}", bars("drift", "Drift", _largest(drift), limits=(STABLE, MOVED))),
        ("Values missing", "", bars("missing", "Share of rows without a value", _largest(missing), form="{:.1%}")),
    ]
    shown = replace(report, as_of=report.as_of.replace("T", " "))
    return _render(_SNAPSHOT, title=f"Features of {report.entity} as of {shown.as_of}", q=shown, plots=plots)
