"""The commands under `regulars features`: list, show, build, profile, quality, check, labels, materialize, online."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from features import cli_feature_reports, cli_store
from features.cli_taken import AsJson, AsOf, EntityName, Of, after_last_order, shown, taken
from features.errors import ConfigError
from features.settings import current_settings
from features.terminal import out, print_json, print_table, step

if TYPE_CHECKING:
    from features.definitions import Entity, Feature
    from features.snapshot import Snapshot

app = typer.Typer(
    no_args_is_help=True,
    help="Features as of any moment: what there are, what they mean, computed and checked.",
    epilog="Example:  regulars features list   or   regulars features check --as-of 2017-10-01",
)


@app.command("list", epilog="Example:  regulars features list --entity product")
def list_features(of: Of = EntityName.CUSTOMER, as_json: AsJson = False) -> None:
    """Every feature that the loaded shop's data allow, with its meaning."""
    _, _, entity, features = taken(of)
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
    lake, snapshot, entity, features = taken(of)
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
        print_table(name, ("", ""), [(key.replace("_", " "), shown(value)) for key, value in told.items()])


@app.command(epilog="Example:  regulars features build --as-of 2017-10-01")
def build(as_of: AsOf = None, of: Of = EntityName.CUSTOMER, as_json: AsJson = False) -> None:
    """Compute features and tell the feature store of them: as of one moment, or of all that training and scoring read.

    What is there already is not computed again. Beside each snapshot lies a report on its quality.
    """
    from features.definitions import ENTITIES
    from features.engine import connect
    from features.horizon import shop_horizon, shop_rhythm
    from features.lake import read_lake
    from features.snapshot_quality_files import keep_snapshot_quality
    from features.store.feast_store import open_store, register
    from features.store.snapshots import LOCK, WAIT_SECONDS, build_snapshots, snapshots_of

    settings = current_settings()
    home = settings.data_home
    lake = read_lake(home)
    entity = ENTITIES[of.value]
    if as_of is not None:
        moments = [as_of]
    else:
        _, cutoffs = shop_rhythm(lake, connect(settings), settings)
        moments = sorted({*cutoffs.training_for_validation, *cutoffs.training_for_test, cutoffs.validation})
        moments += [cutoffs.test, after_last_order(lake)]
    with home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        made = 0
        for moment in moments:
            if not snapshots_of(settings, lake).file(moment, entity).is_file():
                with step(f"Features of {entity.name} as of {moment:%Y-%m-%d}"):
                    made += build_snapshots(settings, lake, [moment], entity=entity)[1]
        snapshots = snapshots_of(settings, lake)
        with step("Looking at what was made"):
            horizon = shop_horizon(lake, connect(settings), settings)
            for moment in moments:
                keep_snapshot_quality(settings, lake, snapshots, entity, moment, horizon_days=horizon.days)
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
    _, snapshot, entity, features = taken(of, as_of)
    with step(f"Features of {entity.name} as of {snapshot.as_of:%Y-%m-%d}"):
        found = list(_profile(snapshot, entity, features).values())
    if as_json:
        print_json(found)
        return
    names = ("feature", "missing", "mean", "min", "p25", "median", "p75", "max")
    rows = [tuple(shown(row[name]) for name in names) for row in found]
    print_table(f"Features as of {snapshot.as_of:%Y-%m-%d}", names, rows)


app.command(epilog="Example:  regulars features quality --as-of 2017-10-01 --html features.html")(
    cli_feature_reports.quality
)
app.command(epilog="Example:  regulars features check --as-of 2017-10-01")(cli_feature_reports.check)
app.command(epilog="Example:  regulars features labels --as-of 2017-10-01")(cli_feature_reports.labels)
app.command(epilog="Example:  regulars features materialize")(cli_store.materialize)
app.command(epilog="Example:  regulars features online 1 2 --json")(cli_store.online)


@app.command(epilog="Example:  regulars features docs > features.md")
def docs() -> None:
    """Print the reference of all built-in features as Markdown; docs/features.md holds it."""
    from features.reference import reference

    typer.echo(reference())


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
