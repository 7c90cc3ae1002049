"""The plan for a shop that nobody has: queues against known answers, and work multiplied by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.scale import Measured, Shop, night_plan, serving_plan, waits_by_lot, waits_of_two

N = 400_000
MEASURED = Measured(
    request=200e-6,
    quiet=40e-6,
    live=200e-6,
    line_loaded=1e-6,
    line_added_up=2e-6,
    customer_features=10e-6,
    customer_scored=50e-6,
    customer_ranked=2e-3,
)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_queue_by_lot_waits_as_long_as_the_formula_of_m_m_1_says(load: float) -> None:
    rng = np.random.default_rng(1)
    service = rng.exponential(1.0, N)
    assert waits_by_lot(service, load, rng).mean() == pytest.approx(load / (1 - load), rel=0.06)


def test_equal_service_times_wait_half_as_long_as_those_by_chance() -> None:
    """Pollaczek and Khinchine: the wait goes by 1 + the squared variation of the service time."""
    rng = np.random.default_rng(1)
    assert waits_by_lot(np.ones(N), 0.6, rng).mean() == pytest.approx(0.6 / 0.4 / 2, rel=0.05)


def test_the_shorter_of_two_queues_waits_less_than_one_by_lot() -> None:
    rng = np.random.default_rng(1)
    service = rng.exponential(1.0, N)
    assert waits_of_two(service, 0.8, rng).mean() < 0.5 * waits_by_lot(service, 0.8, rng).mean()


def test_service_times_have_the_mean_of_the_measured_request() -> None:
    assert MEASURED.service_times(N, np.random.default_rng(0)).mean() == pytest.approx(MEASURED.request, rel=0.01)


def test_workers_are_rate_times_time_over_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "REQUESTS", 2_000)
    # 864,000 views a day are 10 a second, 30 in the busiest hour: 30 x 200 us / 0.6 is a hundredth of a worker.
    small = Shop(lines_a_day=86_400.0, lines_an_order=1.0, views_an_order=10.0, busiest_hour=3.0, load=0.6)
    assert "30 a second" in serving_plan(small, MEASURED)[0]
    large = Shop(lines_a_day=86_400e6, lines_an_order=1.0, views_an_order=10.0, busiest_hour=3.0, load=0.6)
    assert "10,000 workers: **625 hosts" in serving_plan(large, MEASURED)[0]


def test_a_night_adds_up_what_is_done_every_night_and_not_what_an_upgrade_takes() -> None:
    shop = Shop(customers=3.6e6, lines_a_day=3.6e9, history_days=10, night_hours=1.0)
    told = night_plan(shop, MEASURED)
    # 1 + 2 core-hours of lines; of customers .01, .05 and 2. All of history would take 20 more.
    assert "A night: 5 core-hours, 6 cores" in told[-1]
    assert any("| 20 | 20 |" in line for line in told)


def test_a_measurement_that_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "one_customer.json").write_text(json.dumps({"ms": {}}))
    with pytest.raises(SystemExit, match="--only ingest"):
        Measured.read(tmp_path)
