import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.app import build_app
from serving.request_ids import NOTHING, new_id, origin, with_origin

NOW = datetime.now(UTC).isoformat()


def send(client, kind: str, products: list[str], request_id: str, **who: str) -> None:
    sent = [
        {"event_id": f"{kind}-{request_id}-{product}", "product_id": product, "kind": kind, "occurred_at": NOW}
        | {"request_id": request_id}
        | (who or {"customer_id": "ann"})
        for product in products
    ]
    assert client.post("/v1/events", json={"events": sent}).status_code == 200


def test_a_request_id_says_what_its_answer_was() -> None:
    made = with_origin(new_id(), strategy="cart", model_version=4, experiment="e", variant="v", placement="home")
    said = origin(made)
    assert (said.strategy, said.model_version, said.experiment, said.variant, said.placement) == (
        *("cart", "4", "e", "v", "home"),
    )
    assert origin(with_origin(new_id(), strategy="none", model_version=None)).model_version is None
    for other in (None, "", "abc", "~" * 4, "~" * 6):
        assert origin(other) == NOTHING


def test_no_two_answers_share_a_request_id(client) -> None:
    ids = {client.post("/v1/recommendations", json={}).json()["request_id"] for _ in range(20)}
    assert len(ids) == 20


def test_no_two_workers_give_the_same_request_ids() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new_id().encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 100).decode() != new_id()


def test_rates_and_coverage_by_placement_and_strategy(client) -> None:
    answer = client.post("/v1/recommendations", json={"customer_id": "ann", "placement": "home", "k": 4}).json()
    products = [item["product_id"] for item in answer["items"]]
    send(client, "impression", products, answer["request_id"])
    send(client, "click", products[:2], answer["request_id"])
    send(client, "purchase", products[:1], answer["request_id"])
    send(client, "impression", ["p0"], "not one of ours")
    rows = client.get("/v1/feedback").json()["rows"]
    assert len(rows) == 2
    unknown, home = rows
    assert (unknown["strategy"], unknown["impressions"], unknown["click_rate"]) == (None, 1, 0.0)
    assert (home["placement"], home["strategy"], home["model_version"]) == ("home", "personal", "3")
    assert (home["impressions"], home["clicks"], home["purchases"]) == (4, 2, 1)
    assert (home["click_rate"], home["conversion"]) == (0.5, 0.25)
    assert (home["products"], home["coverage"]) == (4, pytest.approx(4 / 6))
    text = client.get("/metrics").text
    shown = 'regulars_feedback_total{kind="impression",placement="home",strategy="personal",variant=""} 4.0'
    assert shown in text
    assert client.get("/v1/feedback?days=0").status_code == 422


def test_made_up_request_ids_cannot_fill_the_metrics_with_labels(client) -> None:
    for n in range(150):
        made_up = with_origin(new_id(), strategy=f"s{n}", model_version=1, variant=f"v{n}", placement=f"p{n}")
        send(client, "click", ["p0"], made_up)
    text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("regulars_feedback_total")]
    assert len(lines) <= 101
    assert not any('strategy="s' in line or 'variant="v' in line for line in lines)


def test_an_experiment_is_counted_by_customers_and_compared_with_its_first_variant(
    make_runtime, asked, tmp_path: Path
) -> None:
    file = tmp_path / "experiments.toml"
    file.write_text("[e.variants.control]\nshare = 0.5\n[e.variants.new]\nshare = 0.5\n")
    runtime = make_runtime(experiments_file=file)
    client = asked(build_app(runtime))
    sent = []
    for n in range(400):
        variant = "control" if n % 2 else "new"
        request_id = with_origin(new_id(), strategy="personal", model_version=3, experiment="e", variant=variant)
        clicks = n % 20 == 1 or (variant == "new" and n % 4 == 0)
        sent += [
            {"event_id": new_id(), "product_id": "p0", "kind": kind, "occurred_at": NOW}
            | {"request_id": request_id, "customer_id": f"c{n}"}
            for kind in ("impression", *(["click", "click"] if clicks else []))
        ]
    assert client.post("/v1/events", json={"events": sent}).json()["accepted"] == len(sent)
    (found,) = client.get("/v1/feedback").json()["experiments"]
    control, new = found["variants"]
    assert (found["experiment"], found["metric"]) == ("e", "click")
    assert (control["units"], control["successes"], control["p_value"]) == (200, 20, None)
    assert (new["units"], new["successes"], new["rate"]) == (200, 100, 0.5)
    assert new["difference"] == pytest.approx(0.4)
    assert new["p_value"] < 0.01
    assert new["low"] < 0.4 < new["high"]


def test_outcomes_take_customers_off_the_list(client, make_runtime, asked) -> None:
    def listed(client, **query: object) -> list[str]:
        return [item["customer_id"] for item in client.get("/v1/customers/at-risk", params=query).json()["items"]]

    def outcome(number: int, customer: str, kind: str, days_ago: float = 0) -> dict:
        at = datetime.now(UTC) - timedelta(days=days_ago)
        return {"outcome_id": f"o{number}", "customer_id": customer, "outcome": kind, "occurred_at": at.isoformat()}

    assert listed(client) == ["ann", "bob", "cat", "=eve"]
    sent = {
        "outcomes": [outcome(1, "ann", "reached"), outcome(2, "bob", "opted_out", 300), outcome(3, "cat", "saved", 20)]
    }
    assert client.post("/v1/outcomes", json=sent).json() == {"accepted": 3, "duplicates": 0}
    assert client.post("/v1/outcomes", json=outcome(1, "ann", "reached")).json() == {"accepted": 0, "duplicates": 1}
    assert listed(client) == ["cat", "=eve"]
    assert listed(client, include_contacted="true") == ["ann", "cat", "=eve"]
    ann = client.get("/v1/customers/ann").json()["scores"]
    assert (ann["last_outcome"], ann["last_outcome_at"][-6:]) == ("reached", "+00:00")
    export = client.get("/v1/customers/at-risk/export")
    assert (export.headers["x-total-count"], len(export.text.splitlines())) == ("2", 3)
    other = asked(build_app(make_runtime()))
    assert listed(other) == ["cat", "=eve"]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"outcome": "called"}, "outcome"), ({"occurred_at": "2024-06-01"}, "occurred_at"), ({"note": "a\0b"}, "note")],
)
def test_a_wrong_outcome_names_its_field(client, change: dict, field: str) -> None:
    good = {"outcome_id": "o1", "customer_id": "ann", "outcome": "saved", "occurred_at": NOW}
    response = client.post("/v1/outcomes", json={"outcomes": [good | change]})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, f"outcomes[0].{field}")
