"""The commands under `regulars features` that judge: quality, check, labels."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from features.cli_taken import FORMATS, AsJson, AsOf, EntityName, Of, after_last_order, shown, taken
from features.errors import ConfigError, DataError
from features.settings import current_settings
from features.terminal import out, print_json, print_table, step


def quality(
    as_of: AsOf = None,
    against: Annotated[
        datetime | None,
        typer.Option(formats=FORMATS, help="An earlier moment; a horizon before the other when not given."),
    ] = None,
    of: Of = EntityName.CUSTOMER,
    html: Annotated[Path | None, typer.Option(help="Write the report with its plots as one HTML page.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a snapshot looks like, against an earlier one: rows, nulls, ranges, new and vanished values, drift.

    The report stays beside the snapshot, as JSON and as a page.
    """
    from features.definitions import ENTITIES
    from features.engine import connect
    from features.home import write_text
    from features.horizon import shop_horizon
    from features.lake import read_lake
    from features.snapshot_quality_files import keep_snapshot_quality
    from features.store.snapshots import LOCK, WAIT_SECONDS, build_snapshots

    settings = current_settings()
    home = settings.data_home
    lake = read_lake(home)
    horizon = shop_horizon(lake, connect(settings), settings)
    moment = as_of or after_last_order(lake)
    earlier = against or moment - timedelta(days=horizon.days)
    if earlier >= moment:
        raise ConfigError(f"--against {earlier} must be before --as-of {moment}.")
    with step(f"Features as of {earlier:%Y-%m-%d} and {moment:%Y-%m-%d}"), home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        snapshots, _ = build_snapshots(settings, lake, [earlier, moment], entity=ENTITIES[of.value])
        report, page = keep_snapshot_quality(
            settings, lake, snapshots, ENTITIES[of.value], moment, horizon_days=horizon.days, against=earlier
        )
    if html is not None:
        write_text(html, page.read_text(encoding="utf-8"))
    if as_json:
        print_json(report.as_json())
        return
    ranked = sorted(report.features.items(), key=lambda item: -(item[1].drift or 0.0))
    rows = [(name, *(shown(v) for v in (f.missing, f.least, f.median, f.most, f.drift))) for name, f in ranked]
    title = f"{report.rows:,} rows of {report.entity} as of {report.as_of}, {report.rows_before or 0:,} before"
    print_table(title, ("feature", "missing", "least", "median", "most", "drift"), rows)
    for said in report.findings or ["Nothing stands out."]:
        out.print(f"note {said}", markup=False)
    out.print(f"The page is {html or page}.", soft_wrap=True)


def check(
    as_of: AsOf = None,
    of: Annotated[EntityName | None, typer.Option("--entity", help="Of this alone; of all when not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no feature, your own too, sees the future: all after the moment is deleted, shuffled and added to.

    Every feature as of the moment must stay equal to the bit. Exits 1 and names those that moved. The default moment
    is the middle of the data.
    """
    from features.engine import require_duckdb
    from features.time_safety import moved_between, with_other_futures

    require_duckdb(current_settings().engine, "check of features against other futures")
    told: dict[str, dict[str, Any]] = {}
    others: dict[str, Any] = {}
    for asked in EntityName if of is None else (of,):
        lake, snapshot, entity, features = taken(asked, as_of, middle=True)
        if not features:  # categories, where the shop gave none
            continue
        with step(f"Changing the future of {snapshot.as_of:%Y-%m-%d %H:%M} under features of {entity.name}"):
            others = others or with_other_futures(snapshot)
            moved = moved_between(snapshot, others, features, entity=entity)
        told[entity.name] = {"as_of": snapshot.as_of, "lake": lake.version, "features": len(features), "moved": moved}
    if as_json:
        print_json({"entities": told})
    else:
        for name, found in told.items():
            if not found["moved"]:
                out.print(f"{name}: {found['features']} features as of {found['as_of']:%Y-%m-%d %H:%M}, none moved.")
    named = [
        f"{feature} of {name} (rows {' and '.join(changes)})"
        for name, found in told.items()
        for feature, changes in found["moved"].items()
    ]
    if named:
        raise DataError(
            f"These features see rows at or after their moment: {'; '.join(named)}. Compute them from the relations "
            "of the snapshot, which end before it."
        )


def labels(
    as_of: Annotated[
        datetime | None,
        typer.Option("--as-of", formats=FORMATS, help="The moment (UTC); the test cut-off when not given."),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, help="Days to look ahead; from the shop's gaps when not given.")
    ] = None,
    write: Annotated[Path | None, typer.Option(help="Write the labels into this folder, as Parquet.")] = None,
    as_json: AsJson = False,
) -> None:
    """What customers did after a moment: each label, its rule, of whom it is asked, and how often it is true."""
    from features.engine import connect, save
    from features.home import new_file
    from features.horizon import shop_horizon, shop_rhythm
    from features.label_rates import label_report, label_tables
    from features.lake import read_lake

    settings = current_settings()
    if horizon is not None:
        settings = settings.model_copy(update={"horizon_days": horizon})
    lake = read_lake(settings.data_home)
    backend = connect(settings)
    chosen = shop_horizon(lake, backend, settings)
    moment = as_of or shop_rhythm(lake, backend, settings)[1].test
    with step(f"Labels as of {moment:%Y-%m-%d}, {chosen.days} days ahead"):
        report = label_report(lake, backend, moment, chosen)
    if write is not None:
        for name, table in label_tables(lake, backend, moment, chosen)[0].items():
            with new_file(write / f"{name}.parquet") as aside:
                save(table.order_by([key for key in table.columns if key.endswith("_id") or key == "category"]), aside)
    if as_json:
        print_json(report.as_json())
        return
    rows = [
        (rate.label, rate.rule, rate.asked_of, rate.rows, "" if rate.base_rate is None else f"{rate.base_rate:.2%}")
        for rate in report.labels
    ]
    title = f"Labels as of {moment:%Y-%m-%d}, horizon {chosen.days} days"
    print_table(title, ("label", "true when", "asked of", "rows", "base rate"), rows)
    out.print(f"Horizon: {chosen.rule}.")
    if report.spend_mean is not None:
        out.print(f"Spend within it: {report.spend_mean:,.2f} a customer, on average.")
    for note in report.notes:
        out.print(note)
    if write is not None:
        out.print(f"The labels lie in {write}.")
