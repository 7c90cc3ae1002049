"""What came of recommendations: click rate, conversion and coverage by placement, strategy and variant; experiments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from msgspec import Meta, Struct

from serving.database import Database, events
from serving.experiments import Experiments
from serving.sequential import compare

_SHOWN, _CLICKED, _BOUGHT = "impression", "click", "purchase"


class FeedbackQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """Which feedback."""

    days: Annotated[float, Meta(gt=0, le=3650, description="Events received within so many days.")] = 30


class FeedbackRow(Struct, frozen=True):
    """One placement, strategy, model version and variant. Rates are null where nothing was shown."""

    placement: str | None
    strategy: str | None
    model_version: str | None
    variant: str | None
    impressions: int
    clicks: int
    purchases: int
    click_rate: Annotated[float | None, Meta(description="Clicks per impression.")]
    conversion: Annotated[float | None, Meta(description="Purchases per impression.")]
    products: Annotated[int, Meta(description="Different products shown.")]
    coverage: Annotated[float | None, Meta(description="Of the products known, the share shown.")]


class VariantResult(Struct, frozen=True):
    """One variant of an experiment. Units are customers, or visits of nobody known."""

    variant: str
    units: Annotated[int, Meta(description="Units that were shown something.")]
    successes: Annotated[int, Meta(description="Of those, units with the metric's event.")]
    rate: float | None
    difference: Annotated[float | None, Meta(description="Rate less that of the first variant.")] = None
    low: Annotated[float | None, Meta(description="Lower end of its 95 % interval, which holds at every look.")] = None
    high: float | None = None
    p_value: Annotated[float | None, Meta(description="Holds whenever it is looked at.")] = None


class ExperimentResult(Struct, frozen=True):
    """One experiment so far."""

    experiment: str
    metric: str
    variants: list[VariantResult]


class FeedbackPage(Struct, frozen=True):
    """All feedback of some days."""

    since: str
    rows: list[FeedbackRow]
    experiments: list[ExperimentResult]


def feedback(database: Database, experiments: Experiments, *, since: datetime, products: int) -> FeedbackPage:
    """Counted from the event log since a moment (naive UTC). `products`: how many there are. Raises StoreAwayError."""
    with database.read() as connection:
        rows = _rows(connection, since, products)
        results = [
            ExperimentResult(name, experiment.metric, _variants(connection, name, experiment, since))
            for name, experiment in experiments.items()
        ]
    return FeedbackPage(since=f"{since.isoformat(timespec='seconds')}+00:00", rows=rows, experiments=results)


def _rows(connection: sa.Connection, since: datetime, products: int) -> list[FeedbackRow]:
    by = (events.c.placement, events.c.strategy, events.c.model_version, events.c.variant)
    wanted = (
        sa.select(*by, events.c.kind, sa.func.count(), sa.func.count(events.c.product_id.distinct()))
        .where(
            events.c.received_at >= since,
            events.c.kind.in_((_SHOWN, _CLICKED, _BOUGHT)),
            events.c.request_id.is_not(None),
        )
        .group_by(*by, events.c.kind)
    )
    groups: dict[tuple[Any, ...], dict[str, tuple[int, int]]] = defaultdict(dict)
    for *key, kind, number, different in connection.execute(wanted):
        groups[tuple(key)][kind] = (number, different)
    return [
        _row(key, counted, products)
        for key, counted in sorted(groups.items(), key=lambda pair: tuple(part or "" for part in pair[0]))
    ]


def _row(key: tuple[Any, ...], counted: Mapping[str, tuple[int, int]], products: int) -> FeedbackRow:
    shown, different = counted.get(_SHOWN, (0, 0))
    clicks, bought = counted.get(_CLICKED, (0, 0))[0], counted.get(_BOUGHT, (0, 0))[0]
    placement, strategy, model_version, variant = key
    return FeedbackRow(
        placement=placement,
        strategy=strategy,
        model_version=model_version,
        variant=variant,
        impressions=shown,
        clicks=clicks,
        purchases=bought,
        click_rate=clicks / shown if shown else None,
        conversion=bought / shown if shown else None,
        products=different,
        coverage=different / products if products else None,
    )


def _variants(connection: sa.Connection, name: str, experiment: Any, since: datetime) -> list[VariantResult]:
    unit = sa.func.coalesce(events.c.customer_id, events.c.session_id)
    per_unit = (
        sa.select(
            events.c.variant.label("variant"),
            sa.func.max(sa.case((events.c.kind == _SHOWN, 1), else_=0)).label("shown"),
            sa.func.max(sa.case((events.c.kind == experiment.metric, 1), else_=0)).label("success"),
        )
        .where(events.c.received_at >= since, events.c.experiment == name)
        .group_by(unit, events.c.variant)
        .subquery()
    )
    wanted = (
        sa.select(per_unit.c.variant, sa.func.count(), sa.func.sum(per_unit.c.success))
        .where(per_unit.c.shown == 1)
        .group_by(per_unit.c.variant)
    )
    counted = {variant: (units, int(successes)) for variant, units, successes in connection.execute(wanted)}
    control_units, control_successes = counted.get(next(iter(experiment.variants)), (0, 0))
    results = []
    for number, variant in enumerate(experiment.variants):
        units, successes = counted.get(variant, (0, 0))
        found = compare(successes, units, control_successes, control_units) if number else None
        results.append(
            VariantResult(
                variant=variant,
                units=units,
                successes=successes,
                rate=successes / units if units else None,
                difference=None if found is None else found.difference,
                low=None if found is None else found.low,
                high=None if found is None else found.high,
                p_value=None if found is None else found.p_value,
            )
        )
    return results
