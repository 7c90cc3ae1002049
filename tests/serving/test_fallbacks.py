"""The chain: personal, visit or cart, segment, popular, the shop's file; each where the one before cannot answer."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.errors import DataError
from features.home import Home, write_text
from serving.app import build_app
from serving.circumstances import Circumstances
from serving.deadline import Deadline
from serving.live import Interest
from serving.recommend import recommend
from serving.reload import Holder
from serving.schemas import RecommendationRequest
from serving.segments import LEAST_CUSTOMERS
from serving.state import State, load_state


def ask(state: State, circumstances: Circumstances | None = None, **request: object):
    return recommend(state, RecommendationRequest(**request), circumstances or Circumstances("r"))


def ids(answer) -> list[str]:
    return [item.product_id for item in answer.items]


@pytest.fixture
def with_segment(home: Home, write_scores, ranked_lists) -> State:
    """A segment of many customers who bought p4 most and p2 next, and one customer of it without a list."""
    import dataclasses

    many = [f"c{n:02}" for n in range(LEAST_CUSTOMERS)]
    lists = np.tile(np.array([[4, 2, 0]], dtype=np.int32), (len(many), 1))
    own = np.tile(np.array([[3, 1, 0]], dtype=np.uint16), (len(many), 1))
    own[0, 1] = 0  # one of them never bought p2
    ranking = dataclasses.replace(
        ranked_lists,
        customers=pa.table({"customer_id": many}),
        lists=lists,
        scores=np.ones(lists.shape, dtype=np.float32),
        sources=np.zeros(lists.shape, dtype=np.uint8),
        own_orders=own,
    )
    write_scores(home, "vs", ranking=ranking)
    rows = load_state(home).customers.slice(0, 1).to_pylist()
    customers = [{**rows[0], "customer_id": name, "stage": "slipping"} for name in (*many, "listless")]
    customers.append({**rows[0], "customer_id": "alone", "stage": "lost"})
    write_scores(home, "vs2", ranking=ranking, customers=customers)
    return load_state(home)


def test_a_customer_without_a_list_gets_what_customers_of_the_same_stage_buy(with_segment: State) -> None:
    answer = ask(with_segment, customer_id="listless", k=3)
    assert (answer.strategy, ids(answer)) == ("segment", ["p4", "p2", "p0"])
    assert [item.source for item in answer.items] == ["segment", "segment", "popular"]
    assert answer.fallback == "customer 'listless' has no list yet"
    assert "slipping" not in str(answer)


def test_a_segment_too_small_is_not_used(with_segment: State) -> None:
    assert ask(with_segment, customer_id="alone", k=1).strategy == "popular"


def test_personal_then_visit_then_popular(state: State) -> None:
    assert ask(state, customer_id="ann", k=1).strategy == "personal"
    assert ask(state, session=["p1"], k=1).strategy == "session"
    assert ask(state, Circumstances("r", interest=Interest(cart=("p0",))), k=1).strategy == "cart"
    assert ask(state, k=1).strategy == "popular"


class Clock:
    """A clock that goes on by `step` at each look."""

    def __init__(self, step: float) -> None:
        self.step, self.now = step, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_when_the_time_is_spent_the_next_best_is_given_and_the_answer_says_so(state: State) -> None:
    spent = Circumstances("r", deadline=Deadline(0.05, clock=Clock(0.1)))
    answer = ask(state, spent, customer_id="ann", session=["p1"], k=2)
    assert (answer.strategy, ids(answer)) == ("popular", ["p0", "p2"])
    assert "the 50 ms a request may take were spent before the session list" in answer.fallback
    assert "before the personal list" in answer.fallback


def test_time_spent_in_the_middle_leaves_what_was_found(state: State) -> None:
    clock = Clock(0.03)
    answer = ask(
        state, Circumstances("r", deadline=Deadline(0.05, clock=clock)), customer_id="ann", session=["p1"], k=5
    )
    assert answer.strategy == "session"
    assert "before the personal list" in answer.fallback
    assert len(answer.items) == 4


def test_the_time_a_request_may_take_is_a_setting(make_runtime, asked) -> None:
    hurried = asked(build_app(make_runtime(answer_ms=1e-6)))
    answer = hurried.post("/v1/recommendations", json={"customer_id": "ann"}).json()
    assert answer["strategy"] == "popular"
    assert "a request may take were spent" in answer["fallback"]


def test_with_nothing_scored_the_shops_file_answers(make_runtime, asked, tmp_path: Path) -> None:
    file = tmp_path / "bestsellers.txt"
    file.write_text("p9\n\np8 \np9\np7\n")
    client = asked(build_app(make_runtime(Home(tmp_path / "empty"), fallback_file=file)))
    answer = client.post("/v1/recommendations", json={"cart": ["p8"], "k": 5}).json()
    assert (answer["strategy"], [item["product_id"] for item in answer["items"]]) == ("static", ["p9", "p7"])
    assert "nothing is scored yet" in answer["fallback"]
    filtered = client.post("/v1/recommendations", json={"filters": {"brand": "Mill"}}).json()
    assert (filtered["strategy"], filtered["items"]) == ("none", [])


def test_a_fallback_file_that_cannot_be_read_is_named(tmp_path: Path, home: Home) -> None:
    with pytest.raises(DataError, match="does not exist"):
        Holder(home, fallback_file=tmp_path / "none.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        Holder(home, fallback_file=tmp_path / "binary")


def test_without_a_recommender_what_was_popular_when_last_known_answers(
    scored_home: Home, write_scores, make_runtime, asked
) -> None:
    runtime = make_runtime()
    write_scores(scored_home, "v2", models={"recommender": None, "churn": 2})
    runtime.refresh()
    answer = asked(build_app(runtime)).post("/v1/recommendations", json={"customer_id": "ann", "k": 2}).json()
    assert (answer["strategy"], [item["product_id"] for item in answer["items"]]) == ("static", ["p0", "p1"])
    assert "no recommender champion" in answer["fallback"]


@pytest.mark.parametrize("away", ["gone", "broken", "unreadable"])
def test_scores_away_at_a_start_leave_the_last_good_ones(scored_home: Home, make_runtime, asked, away: str) -> None:
    make_runtime()
    if away == "gone":
        shutil.rmtree(scored_home.scores)
    elif away == "broken":
        customers = scored_home.scores / "versions" / "v1" / "customers.parquet"
        customers.unlink()  # the copy that was kept shares its bytes, so they are replaced and not written over
        customers.write_bytes(b"not what was sealed")
    else:
        write_text(scored_home.scores / "CURRENT", "v0")
    restarted = make_runtime()
    client = asked(build_app(restarted))
    answer = client.post("/v1/recommendations", json={"customer_id": "ann", "k": 1}).json()
    assert (answer["strategy"], answer["model_version"]) == ("personal", 3)
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["scores_version"]) == ("degraded", "v1")
    assert "The last good scores answer: v1" in ready["problems"]["scores"]
    assert 'regulars_away{part="scores"} 1.0' in restarted.metrics.text().decode()


def test_scores_that_go_away_while_running_leave_those_that_answer(runtime, scored_home: Home, client) -> None:
    shutil.rmtree(scored_home.scores)
    runtime.refresh()
    assert client.post("/v1/recommendations", json={"customer_id": "ann", "k": 1}).json()["strategy"] == "personal"
    assert client.get("/readyz").json()["status"] == "degraded"


def test_a_registry_that_cannot_be_read_is_said_and_changes_no_answer(runtime, scored_home: Home, client) -> None:
    assert client.get("/readyz").json() == {"status": "ok", "scores_version": "v1", "problems": {}}
    scored_home.mlflow.mkdir()
    (scored_home.mlflow / "mlflow.db").write_bytes(b"not a database, whatever its name says" * 100)
    runtime.refresh()
    ready = client.get("/readyz").json()
    assert ready["status"] == "degraded"
    assert "the model registry cannot be read" in ready["problems"]["registry"]
    assert client.post("/v1/recommendations", json={"customer_id": "ann", "k": 1}).json()["strategy"] == "personal"
    assert 'regulars_away{part="registry"} 1.0' in runtime.metrics.text().decode()


def test_a_pinned_scoring_answers_whatever_becomes_current_and_outlives_it(
    scored_home: Home, write_scores, make_runtime, asked, ranked_lists
) -> None:
    pinned = make_runtime(pin="v1")
    write_scores(scored_home, "v2", ranking=ranked_lists)
    pinned.refresh()
    shutil.rmtree(scored_home.scores / "versions" / "v1")
    restarted = make_runtime(pin="v1")
    for runtime in (pinned, restarted):
        models = asked(build_app(runtime)).get("/v1/models").json()
        assert (models["scores_version"], models["pinned"]) == ("v1", "v1")


def test_the_last_good_copy_is_one_and_shares_its_bytes(scored_home: Home, write_scores, ranked_lists) -> None:
    holder = Holder(scored_home)
    holder.refresh()
    kept = scored_home.root / "live" / "last-good"
    original = scored_home.scores / "versions" / "v1" / "ranking" / "lists.npy"
    assert (kept / "v1" / "ranking" / "lists.npy").samefile(original)
    write_scores(scored_home, "v2", ranking=ranked_lists)
    holder.refresh()
    assert sorted(path.name for path in kept.iterdir() if path.is_dir()) == ["v2"]
