"""The dashboard and the alerts speak of metrics, labels and values that the server has, and each alert fires."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from features.home import Home, write_text
from serving.metrics import NIGHTLY_RESULTS, TENANT, Metrics
from serving.nightly.journal import Journal
from serving.nightly.record import EXIT_CODES, RunRecord
from serving.nightly.record import Status as NightlyStatus
from serving.route_table import ROUTES
from serving.runtime import PARTS

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
#: What Prometheus itself adds.
OF_PROMETHEUS = {"up": {"job"}}


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"].replace("$__rate_interval", "5m")
    for rule in ALERTS["groups"][0]["rules"]:
        yield f"alert {rule['alert']}", rule["expr"]


EXPRESSIONS = [pytest.param(expression, id=title) for title, expression in expressions()]


def labels_of_samples(metrics: Metrics) -> dict[str, set[str]]:
    """The labels of every sample that the server can expose, by its name."""
    found = dict(OF_PROMETHEUS)
    for collector in list(metrics.registry._collector_to_names):
        labels = set(collector._labelnames)
        for name in metrics.registry._collector_to_names[collector]:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_names_metrics_and_labels_that_the_server_has(expression: str) -> None:
    alone, known = labels_of_samples(Metrics()), labels_of_samples(Metrics("one-of-several"))
    used = re.findall(r"\b(regulars_\w+|up)\b(?:\{([^}]*)\})?", expression)
    assert used
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    for name, matchers in used:
        assert name in known, f"there is no metric {name}"
        matched = set(re.findall(r"(\w+)=~?\"", matchers))
        assert matched | grouped <= known[name], f"{name} has the labels {sorted(known[name])}"
        # Of a server of one shop there is no such label, which is as if it were empty.
        assert (matched | grouped) - {TENANT} <= alone[name]


def test_whatever_is_shown_can_be_of_one_shop_and_every_alert_is() -> None:
    for title, expression in expressions():
        used = re.findall(r"\b(regulars_\w+)\b(?:\{([^}]*)\})?", expression)
        if title.startswith("panel"):
            assert all('tenant=~"$tenant"' in matchers for _, matchers in used), title
        elif used:
            groups = re.findall(r"\b(?:sum|max) (by \(([^)]*)\))?", expression)
            assert groups, title
            assert all(TENANT in labels for _, labels in groups), title


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_route_that_an_expression_picks_is_one_of_the_table(expression: str) -> None:
    for how, route in re.findall(r'route(=~?)"([^"]*)"', expression):
        assert any(re.fullmatch(route if how == "=~" else re.escape(route), known.path) for known in ROUTES)


def test_the_answers_of_a_server_fill_what_the_dashboard_reads(client, runtime) -> None:
    answer = client.post("/v1/recommendations", json={"customer_id": "ann", "placement": "home"}).json()
    event = {"event_id": "e1", "kind": "click", "product_id": "p1", "occurred_at": "2024-06-01T00:00:00Z"}
    client.post("/v1/events", json={**event, "customer_id": "ann", "request_id": answer["request_id"]})
    client.get("/nowhere")
    text = client.get("/metrics").text
    for part in PARTS:
        assert f'regulars_away{{part="{part}"}} 0.0' in text
    assert "regulars_scores_as_of_seconds 1.7172e+09" in text  # 2024-06-01
    assert 'regulars_score_loads_total{outcome="failed"} 0.0' in text
    assert 'regulars_score_loads_total{outcome="loaded"} 1.0' in text
    assert 'regulars_request_seconds_count{route="/v1/recommendations",strategy="personal"} 1.0' in text
    assert 'regulars_feedback_total{kind="click",placement="home",strategy="personal",variant=""} 1.0' in text


def test_the_server_tells_how_the_last_nightly_run_came_out_and_when_one_last_came_through(runtime) -> None:
    journal = Journal(Home(runtime.settings.home))
    good = RunRecord("a", "2026-03-01T02:00:00+00:00", finished_at="2026-03-01T03:00:00+00:00", result=NightlyStatus.OK)
    journal.close(good, "", keep=9)
    runtime.refresh()
    journal.close(
        replace(good, run="b", finished_at="2026-03-02T03:00:00+00:00", result=NightlyStatus.FAILED), "", keep=9
    )
    runtime.refresh()
    text = runtime.metrics.text().decode()
    assert "regulars_nightly_succeeded_seconds 1.772334e+09" in text  # 1 March
    assert "regulars_nightly_finished_seconds 1.7724204e+09" in text  # 2 March
    assert 'regulars_nightly_result{result="failed"} 1.0' in text
    assert 'regulars_nightly_result{result="ok"} 0.0' in text
    assert set(NIGHTLY_RESULTS) == set(EXIT_CODES)


def test_the_server_tells_how_the_newest_scores_stood_whose_horizon_has_passed(runtime) -> None:
    folder = Home(runtime.settings.home).lookback
    folder.mkdir()

    def stood(day: str, verdict: str, ratio: float) -> None:
        one = {"model": "churn", "metric": "auc", "promised": {"auc": 0.9}, "came": {"auc": 0.7}, "verdict": verdict}
        found = {"as_of": f"{day}T00:00:00", "judged_at": f"{day}T00:00:00", "models": [one | {"ratio": ratio}]}
        write_text(folder / f"{day}.json", json.dumps(found))
        runtime.refresh()

    stood("2026-03-01", "worse than promised", 0.8)
    text = runtime.metrics.text().decode()
    assert 'regulars_lookback{kind="came",metric="auc",model="churn"} 0.7' in text
    assert 'regulars_lookback{kind="promised",metric="auc",model="churn"} 0.9' in text
    assert 'regulars_lookback_alert{model="churn"} 1.0' in text
    assert 'regulars_lookback_as_of_seconds{model="churn"} 1.7723232e+09' in text
    stood("2026-03-08", "as promised", 0.9)
    text = runtime.metrics.text().decode()
    assert 'regulars_lookback_alert{model="churn"} 0.0' in text
    assert 'regulars_lookback_ratio{model="churn"} 0.9' in text
    write_text(folder / "2026-03-15.json", "[1, 2")
    runtime.refresh()
    assert 'regulars_lookback_ratio{model="churn"} 0.9' in runtime.metrics.text().decode()


def nightly_gauges(runtime) -> list[str]:
    return [line for line in runtime.metrics.text().decode().splitlines() if line.startswith("regulars_nightly_")]


def test_a_summary_of_nightly_runs_that_is_broken_stops_nothing(runtime) -> None:
    journal = Journal(Home(runtime.settings.home))
    journal.root.mkdir()
    before = nightly_gauges(runtime)
    journal.last.write_text("[1, 2")
    runtime.refresh()
    assert nightly_gauges(runtime) == before


def test_panels_lie_beside_each_other_and_have_names_of_their_own() -> None:
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert panel["description"]
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(titles) == len(set(titles))


@pytest.mark.needs("prometheus")
def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    rules = [{"record": f"r{number}", "expr": param.values[0]} for number, param in enumerate(EXPRESSIONS)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(EXPRESSIONS)} rules found" in done.stdout


@pytest.mark.needs("prometheus")
def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else(tmp_path: Path) -> None:
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    cases = shutil.copy(Path(__file__).with_name("alerts_fire.yml"), tmp_path)
    done = subprocess.run(["promtool", "test", "rules", cases], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = Path(cases).read_text()
    for rule in ALERTS["groups"][0]["rules"]:
        assert f"alertname: {rule['alert']}," in text
        assert f'alertname="{rule["alert"]}"' in text
