import threading
import time

from features.home import Home, write_text
from serving.reload import Holder, watch


def test_a_new_scoring_is_taken_up_and_the_old_one_is_not_loaded_twice(scored_home: Home, write_scores) -> None:
    holder = Holder(scored_home)
    assert [holder.refresh(), holder.refresh()] == [True, False]
    assert holder.state.version == "v1"
    write_scores(scored_home, "v2")
    assert holder.refresh()
    assert holder.state.version == "v2"


def test_a_broken_scoring_leaves_the_one_before_and_says_why(scored_home: Home, write_scores) -> None:
    holder = Holder(scored_home)
    holder.refresh()
    broken = write_scores(scored_home, "v2")
    (broken / "customers.parquet").write_bytes(b"not what was sealed")
    assert not holder.refresh()
    assert holder.state.version == "v1"
    assert "customers.parquet: missing or changed" in holder.problem
    write_text(scored_home.scores / "CURRENT", "v1")
    assert holder.refresh()
    assert holder.problem is None


def test_a_current_that_names_nothing_leaves_the_one_before(scored_home: Home) -> None:
    holder = Holder(scored_home)
    holder.refresh()
    write_text(scored_home.scores / "CURRENT", "gone")
    assert not holder.refresh()
    assert holder.state.version == "v1"
    assert "not a bundle" in holder.problem


def test_an_answer_under_way_keeps_the_state_it_began_with(scored_home: Home, write_scores) -> None:
    holder = Holder(scored_home)
    holder.refresh()
    begun = holder.state
    write_scores(scored_home, "v2", customers=[begun.customer("ann")])
    holder.refresh()
    assert begun.customer("bob") is not None
    assert holder.state.customer("bob") is None


def test_watching_takes_up_new_scores_by_itself_until_stopped(scored_home: Home, write_scores) -> None:
    holder, stop = Holder(scored_home), threading.Event()
    thread = watch(holder.refresh, every=0.01, stop=stop)
    write_scores(scored_home, "v2")
    until = time.monotonic() + 10
    while holder.state.version != "v2" and time.monotonic() < until:
        time.sleep(0.01)
    stop.set()
    thread.join(5)
    assert holder.state.version == "v2"
    assert not thread.is_alive()
