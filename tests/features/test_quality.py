from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from hypothesis import given

from features.drift import MOVED, stability_index
from features.home import Home
from features.ingest import ingest
from features.lake import lake_before, read_lake
from features.quality import Quality, quality
from features.quality_page import quality_page
from features.settings import Settings

MAPPING = """
[order_lines]
path = "{file}"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
amount = "paid"
channel = "channel"
"""


def orders(first: int, days: int, channel: str, closed: frozenset[int] = frozenset()) -> list[str]:
    """Eight orders a day from the day numbered `first`, but for the days that are closed."""
    rng = np.random.default_rng(first)
    return [
        f"{day}-{n},c{rng.integers(0, 12)},p{n},{datetime(2024, 1, 1) + timedelta(days=day, hours=9):%Y-%m-%d %H:%M},"
        f"{rng.integers(1, 99)},{channel}"
        for day in range(first, first + days)
        if day not in closed
        for n in range(8)
    ]


def load(settings: Settings, folder: Path, name: str, rows: list[str], now: datetime) -> None:
    (folder / f"{name}.csv").write_text("\n".join(["order,customer,product,at,paid,channel", *rows]))
    mapping = folder / f"{name}.toml"
    mapping.write_text(MAPPING.format(file=f"{name}.csv"))
    ingest("files", settings, mapping=mapping, now=now)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two loads: the second adds a channel, a bad row, and a day on which nothing was sold."""
    folder = tmp_path_factory.mktemp("quality")
    settings = Settings(home=folder / "home", threads=2)
    load(settings, folder, "first", orders(0, 40, "web"), datetime(2024, 6, 1))
    bad = "x,c1,p1,yesterday,3,web"
    load(settings, folder, "second", [*orders(40, 40, "app", frozenset({50})), bad], datetime(2024, 6, 2))
    return settings


@pytest.fixture(scope="module")
def report(settings: Settings) -> Quality:
    home = Home(settings.home)
    lake = read_lake(home)
    return quality(lake, settings, before=lake_before(home, lake))


def test_rows_quarantine_nulls_and_ranges_are_counted(report: Quality) -> None:
    table = report.tables["order_lines"]
    assert (table.rows, table.rows_before) == (79 * 8, 40 * 8)
    assert table.quarantined == {"bad_ordered_at": 1}
    assert table.columns["store_id"].nulls == 79 * 8
    assert table.columns["ordered_at"].least == "2024-01-01 09:00:00"
    assert table.columns["customer_id"].least is None  # an id says who somebody is, not how the data are
    assert table.columns["channel"].distinct == 2


def test_new_values_and_missed_days_are_named(report: Quality) -> None:
    assert report.values["order_lines.channel"].new == ["app"]
    assert report.days_without_orders == ["2024-02-20"]
    said = " ".join(report.findings)
    assert "order_lines.channel: 1 new: app." in said
    assert "No order on 2024-02-20" in said
    assert "1 rows were set aside (1 bad_ordered_at)" in said


def test_a_day_on_which_the_shop_is_always_closed_is_not_missed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", threads=2)
    sundays = frozenset(range(6, 80, 7))
    load(settings, tmp_path, "shop", orders(0, 80, "web", sundays), datetime(2024, 6, 1))
    lake = read_lake(Home(settings.home))
    found = quality(lake, settings)
    assert len(found.days_without_orders) == 11
    assert not [said for said in found.findings if "No order on" in said]
    assert lake_before(Home(settings.home), lake) is None


def test_page_shows_what_was_found_and_runs_nothing(report: Quality) -> None:
    page = quality_page(report)
    assert "order_lines.channel: 1 new: app." in page
    assert page.count("<svg") == 3  # orders by day, rows set aside, drift
    assert page.count("<svg") == page.count('role="img"') == page.count("</title><desc")
    for outside in ("<script", "src=", "http", "url(", "@import"):
        assert outside not in page


def test_every_load_leaves_its_report_with_its_version(settings: Settings, report: Quality) -> None:
    lake = read_lake(Home(settings.home))
    kept = json.loads((lake.path / "quality.json").read_text())
    assert kept == json.loads(json.dumps(report.as_json()))
    assert (lake.path / "quality.html").read_text() == quality_page(report)
    first = lake_before(Home(settings.home), lake)
    assert first is not None
    assert json.loads((first.path / "quality.json").read_text())["before"] is None


def test_drift_is_of_the_days_that_came_against_as_many_before(report: Quality) -> None:
    assert report.drift_days == 40  # what the second load brought, more than four weeks
    assert report.drift["channel"] > MOVED  # from web to app
    assert report.drift["weekday"] < MOVED
    assert set(report.drift) == {"amount", "channel", "hour", "quantity", "weekday"}  # of those that have values
    assert any("moved by 0.25 or more on the stability index in channel" in said for said in report.findings)


def test_a_column_that_loses_its_values_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", threads=2)
    load(settings, tmp_path, "first", orders(0, 40, "web"), datetime(2024, 6, 1))
    load(settings, tmp_path, "second", orders(40, 20, ""), datetime(2024, 6, 2))
    home = Home(settings.home)
    found = json.loads((read_lake(home).path / "quality.json").read_text())
    column = found["tables"]["order_lines"]["columns"]["channel"]
    assert (column["nulls_before"], column["nulls"]) == (0, 20 * 8)
    assert "order_lines.channel: 33% of rows have no value, 0% in the load before." in found["findings"]


def test_the_command_shows_and_copies_the_page(
    settings: Settings, tmp_path: Path, regulars: Callable[..., Result]
) -> None:
    done = regulars(settings.home, "quality", "--html", str(tmp_path / "page.html"))
    assert done.exit_code == 0, done.output
    assert "No order on 2024-02-20" in done.stdout.replace("\n", " ")
    assert (tmp_path / "page.html").read_text() == (read_lake(Home(settings.home)).path / "quality.html").read_text()


def test_page_escapes_what_the_data_say(report: Quality) -> None:
    from dataclasses import replace

    page = quality_page(replace(report, findings=["<script>alert(1)</script>"]))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_stability_index_worked_by_hand() -> None:
    before, now = pd.Series(["a"] * 5 + ["b"] * 5), pd.Series(["a"] * 8 + ["b"] * 2)
    assert stability_index(before, now) == pytest.approx(0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5), abs=1e-12)


def test_stability_index_sees_new_values_and_missing_ones() -> None:
    before = pd.Series(["a"] * 10)
    assert stability_index(before, pd.Series(["a"] * 5 + ["z"] * 5)) > 1
    assert stability_index(pd.Series([1.0, 2.0] * 5), pd.Series([1.0, np.nan] * 5)) > 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80), st.integers(1, 4))
def test_stability_index_is_zero_of_the_same_spread_and_never_negative(values: list[float], copies: int) -> None:
    before = pd.Series(values)
    assert stability_index(before, pd.Series(values * copies)) == pytest.approx(0, abs=1e-9)
    assert stability_index(before, pd.Series([value + 1 for value in values])) >= 0


def test_stability_index_needs_values() -> None:
    with pytest.raises(ValueError, match="values on both sides"):
        stability_index(pd.Series([], dtype=float), pd.Series([1.0]))
