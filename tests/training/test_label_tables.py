"""What labels are read from is a tenth of the lines, and says the same of every customer and moment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ibis
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.labels import customer_labels, followed_labels, wait_labels
from features.settings import load_settings
from training.label_tables import label_tables
from training.peers import order_history
from training.protocols import Context

START = datetime(2024, 1, 1)
line = st.fixed_dictionaries(
    {
        "customer_id": st.sampled_from("abc"),
        # An order of one customer may have lines of several times, and several of one time.
        "order_id": st.sampled_from("123"),
        "ordered_at": st.integers(0, 40 * 24).map(lambda hour: START + timedelta(hours=hour)),
        "quantity": st.integers(-2, 3).map(float),
        # Cents, as the lake keeps them.
        "amount": st.one_of(st.none(), st.integers(-500, 500).map(lambda cents: cents / 4)),
    }
)


class Lines:
    """A lake of order lines alone."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        frame = pd.DataFrame(lines).astype({"quantity": float, "amount": float, "ordered_at": "datetime64[us]"})
        frame["order_id"] = frame["customer_id"] + frame["order_id"]
        self.frame = frame

    def tables(self, backend: Any) -> dict[str, Any]:
        """Its tables on a backend."""
        return {"order_lines": backend.create_table("lines", self.frame, temp=True)}


ASKED: list[Callable[[Any, datetime], Any]] = [
    lambda tables, moment: customer_labels(tables, moment, horizon_days=9),
    lambda tables, moment: wait_labels(tables, moment, until=moment + timedelta(days=9)),
    lambda tables, moment: followed_labels(tables, moment, until=moment + timedelta(days=9)),
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(line, min_size=1, max_size=25), st.integers(0, 40 * 24))
def test_labels_of_any_moment_are_those_of_all_lines(tmp_path: Path, lines: list[dict[str, Any]], hours: int) -> None:
    lake, moment = Lines(lines), START + timedelta(hours=hours)
    context = Context(settings=load_settings(home=tmp_path), home=None, lake=lake)  # type: ignore[arg-type]
    whole = lake.tables(ibis.duckdb.connect())
    for labels in ASKED:
        expected, found = (_rows(labels(tables, moment)) for tables in (whole, label_tables(context)))
        pd.testing.assert_frame_equal(found, expected)
    history = order_history(context, moment, 9)
    with patch("training.peers.label_tables", lambda _: whole):
        pd.testing.assert_frame_equal(history, order_history(context, moment, 9))


def test_the_lines_are_added_up_once(small_shop: Context) -> None:
    tables = label_tables(small_shop)
    assert label_tables(small_shop) is tables
    lines = small_shop.lake.tables(tables["order_lines"].get_backend())["order_lines"]
    assert tables["order_lines"].count().execute() < lines.count().execute() / 2
    assert float(tables["order_lines"]["amount"].sum().execute()) == pytest.approx(
        float(lines["amount"].sum().execute())
    )


def _rows(table: Any) -> pd.DataFrame:
    found: pd.DataFrame = table.order_by("customer_id").to_pandas()
    return found
