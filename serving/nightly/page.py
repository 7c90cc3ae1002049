"""The report of a nightly run as one HTML page with its plots inside: no script, no outside address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, select_autoescape

from features.drift import MOVED, STABLE
from features.quality_plots import bars, by_day
from serving.nightly.record import RunRecord, Status

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nightly run {{ run.run }}: {{ run.result }}</title>
<style>
 body { font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 66rem; margin: 2rem auto; padding: 0 1rem }
 h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem }
 table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
 th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #e4e7eb; vertical-align: top }
 th[scope=row] { font-weight: normal } .n { text-align: right } .quiet { color: #52606d }
 .failed, .held { color: #9b2c0c; font-weight: 600 } .warned { color: #7a5200; font-weight: 600 }
 svg { width: 100%; height: auto; font-family: inherit } .scroll { overflow-x: auto } code { font-size: .9em }
</style></head><body><main>
<h1>Nightly run {{ run.run }}: <span class="{{ run.result }}">{{ run.result }}</span></h1>
<p class="quiet">From {{ run.started_at[:19]|replace("T", " ") }} to {{ run.finished_at[:19]|replace("T", " ") }} UTC
{%- if run.resumed %}, resumed {{ run.resumed }} times{% endif %}.
{%- if run.nothing_new %} Nothing new came in, and nothing had to be done.{% endif %}
{%- if run.accepted %} Data accepted: {{ run.accepted }}.{% endif %}</p>
<h2>To look at</h2>
{% if wrong %}{% for step in wrong %}<h3>{{ step.name }}: <span class="{{ step.status }}">{{ step.status }}</span></h3>
<ul>{% for said in step.said %}<li>{{ said }}</li>{% endfor %}</ul>
{% for do in step.do %}<p>What to do: <code>{{ do }}</code></p>{% endfor %}{% endfor %}
{% else %}<p>Nothing stands out.</p>{% endif %}
<h2>Steps</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Steps"><table>
<thead><tr><th scope="col">step</th><th scope="col">status</th><th scope="col" class="n">seconds</th>
<th scope="col" class="n">tries</th><th scope="col">said</th></tr></thead><tbody>
{% for step in run.steps.values() %}<tr><th scope="row">{{ step.name }}</th>
<td class="{{ step.status }}">{{ step.status }}</td><td class="n">{{ "%.1f"|format(step.seconds) }}</td>
<td class="n">{{ step.tries }}</td><td>{% if step.of_run %}As in the run of {{ step.of_run }}. {% endif %}
{{ step.said|join(" ") }}</td></tr>
{% endfor %}</tbody></table></div>
{{ plots.seconds|safe }}
<h2>Rows pulled</h2>
{% if pulled %}<div class="scroll" tabindex="0" role="region" aria-label="Rows pulled"><table>
<thead><tr><th scope="col">source</th><th scope="col">table</th>
{% for name in ("read", "added", "updated", "already") %}
<th scope="col" class="n">{{ name }}</th>{% endfor %}<th scope="col">quarantined</th></tr></thead><tbody>
{% for row in pulled %}<tr><th scope="row">{{ row.source }}</th><td>{{ row.table }}</td>
{% for name in ("read", "added", "updated", "already") %}
<td class="n">{{ "{:,}".format(row[name]) if name in row else "" }}</td>{% endfor %}
<td>{% for why, n in row.quarantined.items() %}{{ "{:,}".format(n) }} {{ why }}{% if not loop.last %}, {% endif %}
{% else %}none{% endfor %}</td></tr>{% endfor %}</tbody></table></div>
{% else %}<p>Nothing new was read.</p>{% endif %}
{% if plots.orders %}<h2>Orders by day</h2>{{ plots.orders|safe }}{% endif %}
{% if findings %}<h2>The data</h2><ul>{% for said in findings %}<li>{{ said }}</li>{% endfor %}</ul>{% endif %}
<h2>Drift since training</h2>
{% for model, one in drift.items() %}<h3>{{ model }}, version {{ one.version }}</h3>
<p>Scores: {% for week, index in one.weeks.items() %}{{ week }} {{ "%.3f"|format(index) }}
{%- if not loop.last %}, {% endif %}{% endfor %}.
{%- if one.level is not none %}
What came true was {{ "%.2f"|format(one.level) }} times what was predicted.{% endif %}</p>
{{ one.plot|safe }}{% for alert in one.alerts %}<p class="warned">{{ alert }}</p>{% endfor %}
{% else %}<p>No champion was looked at.</p>{% endfor %}
<h2>Models</h2>
{% if models %}<div class="scroll" tabindex="0" role="region" aria-label="Models"><table>
<thead><tr><th scope="col">model</th><th scope="col">due</th><th scope="col">version</th>
<th scope="col">measured by</th><th scope="col" class="n">new</th><th scope="col" class="n">champion</th>
<th scope="col">decision</th><th scope="col">why</th></tr></thead><tbody>
{% for model, one in models.items() %}<tr><th scope="row">{{ model }}</th><td>{{ one.due or "" }}</td>
<td>{{ one.version or "" }}</td><td>{{ one.metric or "" }}</td>
<td class="n">{% if one.value is number %}{{ "%.4g"|format(one.value) }}{% endif %}</td>
<td class="n">{% if one.champion_value is number %}{{ "%.4g"|format(one.champion_value) }}{% endif %}</td>
<td>{{ one.decision or one.status or "" }}</td><td>{{ one.why or "" }}</td></tr>{% endfor %}</tbody></table></div>
{% else %}<p>No model was due, and there was nothing to decide.</p>{% endif %}
<h2>Scores</h2>
{% if scores %}<p class="quiet">Scoring {{ version }} as of {{ as_of[:10] }}.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Scores"><table>
<thead><tr><th scope="col"></th><th scope="col" class="n">now</th><th scope="col" class="n">run before</th>
<th scope="col" class="n">change</th></tr></thead><tbody>
{% for name, now, before in scores %}<tr><th scope="row">{{ name }}</th><td class="n">{{ now|figure }}</td>
<td class="n">{{ before|figure }}</td>
<td class="n">{% if before is number and before %}{{ "{:+.1%}".format(now / before - 1) }}{% endif %}</td></tr>
{% endfor %}</tbody></table></div>{% else %}<p>Nothing was scored. The last good scores stay served.</p>{% endif %}
</main></body></html>
"""


def page_of(run: RunRecord, last: RunRecord | None) -> str:
    """The page on a finished run, its scores beside those of the run before. Everything from the data is escaped."""
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    environment.filters["figure"] = _figure
    found = {name: step.found for name, step in run.steps.items()}
    drift = {
        model: {**one, "plot": bars(f"drift-{model}", f"Drift of {model}", one["features"], limits=(STABLE, MOVED))}
        for model, one in found.get("drift", {}).get("models", {}).items()
    }
    checked = found.get("check", {})
    scored = _scored(run)
    return environment.from_string(_TEMPLATE).render(
        run=run,
        wrong=[step for step in run.steps.values() if step.status is not Status.OK],
        pulled=_pulled(found.get("pull", {})),
        findings=checked.get("findings", []),
        drift=drift,
        models=_models(found),
        scores=_beside(scored.get("summary", {}), {} if last is None else _scored(last).get("summary", {})),
        version=scored.get("version", ""),
        as_of=scored.get("as_of", ""),
        plots={
            "seconds": bars(
                "seconds", "Seconds of each step", {s.name: s.seconds for s in run.steps.values()}, form="{:,.1f} s"
            ),
            "orders": by_day("orders", "Orders by day", checked.get("orders_by_day", {})),
        },
    )


def _pulled(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"source": one["source"], "table": table, **counts}
        for one in found.get("sources", [])
        for table, counts in one.get("tables", {}).items()
    ]


def _models(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What was trained, and what was decided, by model."""
    trained, decided = (found.get(step, {}).get("models", {}) for step in ("train", "gate"))
    return {model: {**trained.get(model, {}), **decided.get(model, {})} for model in {**trained, **decided}}


def _scored(run: RunRecord) -> Mapping[str, Any]:
    """The scoring that a run left: the last of its two."""
    for name in ("rescore", "score"):
        step = run.steps.get(name)
        if step is not None and step.found.get("summary"):
            return step.found
    return {}


def _beside(now: Mapping[str, float], before: Mapping[str, float]) -> list[tuple[str, float, float | None]]:
    return [(name, value, before.get(name)) for name, value in now.items()]


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
