"""The second step: whether the data may be scored and learned from, by floors that a shop can set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from features.errors import DataError
from features.lake import Lake, read_lake
from features.quality_files import JSON, keep_quality, page_of
from features.terminal import step
from serving.nightly import pull
from serving.nightly.night import Done, Findings, Night
from serving.nightly.record import Status

NAME = "check"
#: A usual week is the mean of so many before the last.
USUAL_WEEKS = 4
WEEK = 7


def inputs(night: Night) -> Mapping[str, Any]:
    """The lake, the floors, what was read, and the day: orders grow old."""
    asked = night.settings.nightly
    return {
        "lake": read_lake(night.home).version,
        "floors": [asked.most_set_aside, asked.least_orders, asked.most_days_old],
        "read": night.found(pull.NAME).get("read", {}),
        "day": f"{night.clock():%Y-%m-%d}",
        "accepted": night.run.accepted,
    }


def check(night: Night) -> Done:
    """Look at the lake; what breaks a floor holds all back until the data are mended or somebody accepts them."""
    from serving.doctor import Status as Standing
    from serving.doctor import configured, enough, loaded

    lake = read_lake(night.home)
    list(loaded(night.home))  # raises where the lake is not whole
    found = Findings()
    for one in configured(night.settings):
        if one.status is Standing.BROKEN:
            found.add(Status.FAILED, f"{one.name}: {one.found}", one.do)
    quality = _quality(night, lake)
    accepted_before: Mapping[str, str] = night.found_last(NAME).get("accepted", {})
    accepted: dict[str, str] = {}
    for floor, said in [*_set_aside(night), *_volume(night, quality)]:
        why = night.run.accepted or accepted_before.get(floor)
        if why is None:
            found.add(
                Status.HELD,
                said,
                "Mend the source and run again, or say that it is right:  regulars nightly --accept 'the reason'",
            )
        else:
            accepted[floor] = why  # until the floor is kept again
            found.add(Status.OK, f"{said} Accepted: {why}")
    old = _age(night, lake)
    most = night.settings.nightly.most_days_old
    if most and old > most:
        found.add(
            Status.WARNED,
            f"The newest order is {old:.0f} days old, more than {most:g}.",
            "See whether the source still gives new orders; most_days_old sets the limit.",
        )
    with step("Counting what there is to learn from"):
        levels = [{"model": one.name, "status": one.status, "told": one.found} for one in enough(night.settings)]
    return found.done(
        lake=lake.version,
        rows=dict(lake.rows),
        customers=lake.manifest["customers"],
        orders=lake.manifest["orders"],
        last_order_at=lake.manifest["last_order_at"],
        findings=quality["findings"],
        orders_by_day=dict(list(quality["orders_by_day"].items())[-91:]),
        line_drift=quality["drift"],
        quality_page=str(page_of(lake)),
        enough=levels,
        accepted=accepted,
    )


def _quality(night: Night, lake: Lake) -> dict[str, Any]:
    """The report that the load left; made where it was killed before it could."""
    path = lake.path / JSON
    if not path.is_file():
        keep_quality(night.home, night.settings)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise DataError(f"{path} is damaged. Make it anew:  regulars quality") from None
    return found


def _set_aside(night: Night) -> Iterator[tuple[str, str]]:
    """Tables of whose last load too much was set aside."""
    most = night.settings.nightly.most_set_aside
    for table, counts in night.found(pull.NAME).get("read", {}).items():
        if counts["read"] and counts["set_aside"] / counts["read"] > most:
            share = counts["set_aside"] / counts["read"]
            yield (
                f"set_aside:{table}",
                f"{table}: {share:.0%} of the {counts['read']:,} rows read were set aside, more than {most:.0%}. "
                "See them:  regulars quarantine",
            )


def _volume(night: Night, quality: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Whether the last week has orders as a usual week has."""
    ratio = weekly_ratio(quality["orders_by_day"])
    least = night.settings.nightly.least_orders
    if ratio is not None and ratio < least:
        yield "orders", f"The last {WEEK} days have {ratio:.0%} of the orders of a usual week, less than {least:.0%}."


def weekly_ratio(orders_by_day: Mapping[str, int]) -> float | None:
    """Orders of the last 7 days over the mean week of the 4 before; None where there are fewer days or no orders."""
    if not orders_by_day:
        return None
    last = date.fromisoformat(max(orders_by_day))
    first = date.fromisoformat(min(orders_by_day))
    if (last - first).days + 1 < WEEK * (1 + USUAL_WEEKS):
        return None

    def orders(back: int, days: int) -> int:
        return sum(orders_by_day.get(str(last - timedelta(days=back + day)), 0) for day in range(days))

    usual = orders(WEEK, WEEK * USUAL_WEEKS) / USUAL_WEEKS
    return orders(0, WEEK) / usual if usual else None


def _age(night: Night, lake: Lake) -> float:
    """Days since the newest order."""
    newest = datetime.fromisoformat(lake.manifest["last_order_at"])
    return (night.clock().replace(tzinfo=None) - newest) / timedelta(days=1)
