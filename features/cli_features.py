"""The commands under `regulars features`: list, show, build, labels, profile, check."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import ConfigError, DataError
from features.home import Home
from features.settings import current_settings
from features.terminal import out, print_json, print_table, step

if TYPE_CHECKING:
    from features.definitions import Entity, Feature
    from features.lake import Lake
    from features.snapshot import Snapshot

app = typer.Typer(
    no_args_is_help=True,
    help="Features as of any moment: what there are, what they mean, computed and checked.",
    epilog="Example:  regulars features list   or   regulars features check --as-of 2017-10-01",
)

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=FORMATS, help="The moment (UTC); midnight after the last order when not given."),
]


class EntityName(StrEnum):
    """The entities a command may name; those of definitions.ENTITIES."""

    CUSTOMER = "customer"
    PRODUCT = "product"
    CUSTOMER_PRODUCT = "customer_product"
    CUSTOMER_CATEGORY = "customer_category"


Of = Annotated[EntityName, typer.Option("--entity", help="What the features are of.")]


@app.command("list", epilog="Example:  regulars features list --entity product")
def list_features(of: Of = EntityName.CUSTOMER, as_json: AsJson = False) -> None:
    """Every feature that the loaded shop's data allow, with its meaning."""
    _, _, entity, features = _taken(of)
    if as_json:
        print_json([_told(feature) for feature in features])
        return
    rows = [(f.name, f.description, f.unit, f.window_days or "", f.nulls) for f in features]
    title = f"{len(rows)} features of {entity.name.replace('_', ' and ')}"
    print_table(title, ("feature", "meaning", "unit", "days", "where missing"), rows)
    out.print("Attributes that the shop gives of customers and products are features too, as attribute_….")


@app.command(epilog="Example:  regulars features show silence_to_gap_mean")
def show(
    name: Annotated[str, typer.Argument(help="The feature's name.")],
    of: Of = EntityName.CUSTOMER,
    as_json: AsJson = False,
) -> None:
    """One feature: its meaning, where it comes from, and how its values spread now."""
    lake, snapshot, entity, features = _taken(of)
    chosen = [feature for feature in features if feature.name == name]
    if not chosen:
        import difflib

        near = difflib.get_close_matches(name, [feature.name for feature in features], n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See them:  regulars features list"
        raise ConfigError(f"There is no feature '{name}'. {hint}")
    told = _told(chosen[0]) | {"as_of": snapshot.as_of.isoformat(), "lake": lake.version}
    told |= {key: value for key, value in _profile(snapshot, entity, features)[name].items() if key != "feature"}
    if as_json:
        print_json(told)
    else:
        print_table(name, ("", ""), [(key.replace("_", " "), _shown(value)) for key, value in told.items()])


@app.command(epilog="Example:  regulars features build --as-of 2017-10-01")
def build(as_of: AsOf = None, of: Of = EntityName.CUSTOMER, as_json: AsJson = False) -> None:
    """Compute features and tell the feature store of them: as of one moment, or of all that training and scoring read.

    What is there already is not computed again.
    """
    from features.definitions import ENTITIES
    from features.engine import connect
    from features.horizon import shop_rhythm
    from features.lake import read_lake
    from features.store.feast_store import open_store, register
    from features.store.snapshots import LOCK, WAIT_SECONDS, build_snapshots, snapshots_of

    settings = current_settings()
    home = Home(settings.home)
    lake = read_lake(home)
    entity = ENTITIES[of.value]
    if as_of is not None:
        moments = [as_of]
    else:
        _, cutoffs = shop_rhythm(lake, connect(settings), settings)
        moments = sorted({*cutoffs.training_for_validation, *cutoffs.training_for_test, cutoffs.validation})
        moments += [cutoffs.test, _after_last_order(lake)]
    with home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        made = 0
        for moment in moments:
            if not snapshots_of(settings, lake).file(moment, entity).is_file():
                with step(f"Features of {entity.name} as of {moment:%Y-%m-%d}"):
                    made += build_snapshots(settings, lake, [moment], entity=entity)[1]
        snapshots = snapshots_of(settings, lake)
        with step("Registering with the feature store"):
            register(open_store(home), snapshots)
    if as_json:
        found = {"lake": lake.version, "path": str(snapshots.path), "moments": [str(m) for m in moments], "made": made}
        print_json(found)
        return
    out.print(
        f"{made} of {len(moments)} moments computed, the others were there. They lie in {snapshots.folder(entity)}."
    )
    out.print(f"The feature store opens them as they are:  feast -c {home.feast} feature-views list")


@app.command(epilog="Example:  regulars features profile --as-of 2017-10-01 --json")
def profile(as_of: AsOf = None, of: Of = EntityName.CUSTOMER, as_json: AsJson = False) -> None:
    """How each feature's values spread as of a moment: share missing, quartiles, extremes."""
    _, snapshot, entity, features = _taken(of, as_of)
    with step(f"Features of {entity.name} as of {snapshot.as_of:%Y-%m-%d}"):
        found = list(_profile(snapshot, entity, features).values())
    if as_json:
        print_json(found)
        return
    names = ("feature", "missing", "mean", "min", "p25", "median", "p75", "max")
    rows = [tuple(_shown(row[name]) for name in names) for row in found]
    print_table(f"Features as of {snapshot.as_of:%Y-%m-%d}", names, rows)


@app.command(epilog="Example:  regulars features check --as-of 2017-10-01")
def check(
    as_of: AsOf = None,
    of: Annotated[EntityName | None, typer.Option("--entity", help="Of this alone; of all when not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that no feature, your own too, sees the future: all after the moment is deleted, shuffled and added to.

    Every feature as of the moment must stay equal to the bit. Exits 1 and names those that moved. The default moment
    is the middle of the data.
    """
    from features.time_safety import moved_features

    told: dict[str, dict[str, Any]] = {}
    for asked in EntityName if of is None else (of,):
        lake, snapshot, entity, features = _taken(asked, as_of, middle=True)
        if not features:  # categories, where the shop gave none
            continue
        with step(f"Changing the future of {snapshot.as_of:%Y-%m-%d %H:%M} under features of {entity.name}"):
            moved = moved_features(snapshot.tables, snapshot.given, snapshot.as_of, features, entity=entity)
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


@app.command(epilog="Example:  regulars features labels --as-of 2017-10-01")
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
    from features.engine import connect
    from features.home import new_file
    from features.horizon import shop_rhythm
    from features.label_rates import label_report, label_tables
    from features.lake import read_lake

    settings = current_settings()
    if horizon is not None:
        settings = settings.model_copy(update={"horizon_days": horizon})
    lake = read_lake(Home(settings.home))
    backend = connect(settings)
    chosen, cutoffs = shop_rhythm(lake, backend, settings)
    moment = as_of or cutoffs.test
    with step(f"Labels as of {moment:%Y-%m-%d}, {chosen.days} days ahead"):
        report = label_report(lake, backend, moment, chosen)
    if write is not None:
        for name, table in label_tables(lake, backend, moment, chosen)[0].items():
            with new_file(write / f"{name}.parquet") as aside:
                table.order_by([key for key in table.columns if key.endswith("_id") or key == "category"]).to_parquet(
                    str(aside)
                )
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


@app.command(epilog="Example:  regulars features docs > features.md")
def docs() -> None:
    """Print the reference of all built-in features as Markdown; docs/features.md holds it."""
    from features.reference import reference

    typer.echo(reference())


def _taken(
    of: EntityName, as_of: datetime | None = None, *, middle: bool = False
) -> tuple[Lake, Snapshot, Entity, list[Feature]]:
    from features.build import features_of
    from features.definitions import ENTITIES
    from features.engine import connect
    from features.lake import read_lake
    from features.own import own_features
    from features.snapshot import take_snapshot

    settings = current_settings()
    lake = read_lake(Home(settings.home))
    moment = as_of
    if moment is None:
        first, last = (datetime.fromisoformat(lake.manifest[name]) for name in ("first_order_at", "last_order_at"))
        moment = first + (last - first) / 2 if middle else _after_last_order(lake)
    snapshot = take_snapshot(lake, connect(settings), moment)
    entity = ENTITIES[of.value]
    return lake, snapshot, entity, features_of(snapshot, entity, own=own_features(settings))


def _after_last_order(lake: Lake) -> datetime:
    from features.horizon import midnight_after

    return midnight_after(datetime.fromisoformat(lake.manifest["last_order_at"]))


def _told(feature: Feature) -> dict[str, Any]:
    from features.store.snapshots import told_of

    return {"name": feature.name, "entity": feature.entity.name, **told_of(feature)}


def _profile(snapshot: Snapshot, entity: Entity, features: list[Feature]) -> dict[str, dict[str, Any]]:
    from features.build import entity_features

    frame = entity_features(snapshot, entity, features).to_pandas()[[feature.name for feature in features]]
    quartiles = frame.quantile([0.25, 0.5, 0.75])
    missing, mean, least, most = frame.isna().mean(), frame.mean(), frame.min(), frame.max()
    return {
        str(name): {
            "feature": name,
            "missing": missing[name],
            "mean": mean[name],
            "min": least[name],
            "p25": quartiles.loc[0.25, name],
            "median": quartiles.loc[0.5, name],
            "p75": quartiles.loc[0.75, name],
            "max": most[name],
        }
        for name in frame.columns
    }


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
