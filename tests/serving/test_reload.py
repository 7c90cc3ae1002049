import dataclasses
import subprocess
import sys
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


def test_products_that_stay_as_they_were_are_the_same_objects_in_the_next_scoring(
    scored_home: Home, write_scores, ranked_lists
) -> None:
    holder = Holder(scored_home)
    holder.refresh()
    before = holder.state.catalogue
    names = ranked_lists.products["name"].to_pylist()
    renamed = ranked_lists.products.set_column(1, "name", [[*names[:-1], "Figs"]])
    write_scores(scored_home, "v2", ranking=dataclasses.replace(ranked_lists, products=renamed))
    holder.refresh()
    after = holder.state.catalogue
    assert after.codes is before.codes
    assert after.names == [*names[:-1], "Figs"]
    assert all(new is old for new, old in zip(after.names[:-1], before.names[:-1], strict=True))
    assert after.categories is before.categories


def test_what_answers_loads_without_pandas_and_a_data_frame_is_still_to_be_had(scored_home: Home) -> None:
    code = """
import sys
from pathlib import Path
from serving.lean import leave_pandas_out
leave_pandas_out()
from features.home import Home
from serving.reload import Holder
from serving.worker import make_worker
from training.insight.files import read_insight
import serving.console.routes
assert Holder(Home(Path(sys.argv[1]))).refresh()
print("pandas" in sys.modules)
import pyarrow as pa
print(pa.table({"a": [1]}).to_pandas().shape)
"""
    done = subprocess.run([sys.executable, "-c", code, str(scored_home.root)], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["False", "(1, 1)", ""], done.stderr
