"""The commands under `regulars features`: list, show, build, profile, check."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import ConfigError, DataError
from features.home import Home
from features.settings import current_settings
from features.terminal import out, print_json, print_table, step

if TYPE_CHECKING:
    from features.definitions import Feature
    from features.lake import Lake
    from features.snapshot import Snapshot

app = typer.Typer(
    no_args_is_help=True,
    help="Features of customers as of any moment: what there are, what they mean, computed and checked.",
    epilog="Example:  regulars features list   or   regulars features check --as-of 2017-10-01",
)

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", formats=FORMATS, help="The moment (UTC); midnight after the last order when not given."),
]


@app.command("list", epilog="Example:  regulars features list --json")
def list_features(as_json: AsJson = False) -> None:
    """Every feature that the loaded shop's data allow, with its meaning."""
    _, snapshot, features = _taken(None)
    if as_json:
        print_json([_told(feature) for feature in features])
        return
    rows = [(f.name, f.description, f.unit, f.window_days or "", f.nulls) for f in features]
    print_table(f"{len(rows)} features of customers", ("feature", "meaning", "unit", "days", "where missing"), rows)
    attributes = snapshot.attributes()
    if attributes is not None:
        from features.build import ATTRIBUTE, attribute_names

        names = ", ".join(f"{ATTRIBUTE}{slug}" for slug in attribute_names(attributes).values())
        out.print(f"And the attributes that the shop gave: {names or 'none'}.")


@app.command(epilog="Example:  regulars features show silence_to_gap_mean")
def show(name: Annotated[str, typer.Argument(help="The feature's name.")], as_json: AsJson = False) -> None:
    """One feature: its meaning, where it comes from, and how its values spread over customers now."""
    lake, snapshot, features = _taken(None)
    chosen = [feature for feature in features if feature.name == name]
    if not chosen:
        import difflib

        near = difflib.get_close_matches(name, [feature.name for feature in features], n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "See them:  regulars features list"
        raise ConfigError(f"There is no feature '{name}'. {hint}")
    told = _told(chosen[0]) | {"as_of": snapshot.as_of.isoformat(), "lake": lake.version}
    told |= {key: value for key, value in _profile(snapshot, features)[name].items() if key != "feature"}
    if as_json:
        print_json(told)
    else:
        print_table(name, ("", ""), [(key.replace("_", " "), _shown(value)) for key, value in told.items()])


@app.command(epilog="Example:  regulars features build --as-of 2017-10-01")
def build(as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Compute features and tell the feature store of them: as of one moment, or of all that training and scoring read.

    What is there already is not computed again.
    """
    from features.engine import connect
    from features.horizon import shop_rhythm
    from features.lake import read_lake
    from features.store.feast_store import open_store, register
    from features.store.snapshots import LOCK, WAIT_SECONDS, build_snapshots, snapshots_of

    settings = current_settings()
    home = Home(settings.home)
    lake = read_lake(home)
    backend = connect(settings)
    if as_of is not None:
        moments = [as_of]
    else:
        _, cutoffs = shop_rhythm(lake, backend, settings)
        moments = sorted({*cutoffs.training_for_validation, *cutoffs.training_for_test, cutoffs.validation})
        moments += [cutoffs.test, _after_last_order(lake)]
    with home.lock(LOCK, wait_seconds=WAIT_SECONDS):
        made = 0
        for moment in moments:
            if not snapshots_of(home, lake).file(moment).is_file():
                with step(f"Features as of {moment:%Y-%m-%d}"):
                    made += build_snapshots(home, lake, backend, [moment])[1]
        snapshots, _ = build_snapshots(home, lake, backend, [])
        with step("Registering with the feature store"):
            register(open_store(home), snapshots)
    if as_json:
        found = {"lake": lake.version, "path": str(snapshots.path), "moments": [str(m) for m in moments], "made": made}
        print_json(found)
        return
    out.print(f"{made} of {len(moments)} moments computed, the others were there. They lie in {snapshots.customers}.")
    out.print(f"The feature store opens them as they are:  feast -c {home.feast} feature-views list")


@app.command(epilog="Example:  regulars features profile --as-of 2017-10-01 --json")
def profile(as_of: AsOf = None, as_json: AsJson = False) -> None:
    """How each feature's values spread over customers as of a moment: share missing, quartiles, extremes."""
    _, snapshot, features = _taken(as_of)
    with step(f"Features as of {snapshot.as_of:%Y-%m-%d}"):
        found = list(_profile(snapshot, features).values())
    if as_json:
        print_json(found)
        return
    names = ("feature", "missing", "mean", "min", "p25", "median", "p75", "max")
    rows = [tuple(_shown(row[name]) for name in names) for row in found]
    print_table(f"Features as of {snapshot.as_of:%Y-%m-%d}", names, rows)


@app.command(epilog="Example:  regulars features check --as-of 2017-10-01")
def check(as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Prove that no feature sees the future: what lies after the moment is deleted, shuffled and added to.

    Every feature as of the moment must stay equal to the bit. Exits 1 and names those that moved. The default moment
    is the middle of the data.
    """
    from features.time_safety import moved_features

    lake, snapshot, features = _taken(as_of, middle=True)
    with step(f"Changing the future of {snapshot.as_of:%Y-%m-%d %H:%M}"):
        moved = moved_features(snapshot.tables, snapshot.given, snapshot.as_of, features)
    if as_json:
        print_json({"as_of": snapshot.as_of, "lake": lake.version, "features": len(features), "moved": moved})
    elif not moved:
        out.print(f"{len(features)} features as of {snapshot.as_of:%Y-%m-%d %H:%M}: none sees the future.")
    if moved:
        named = "; ".join(f"{name} (rows {' and '.join(changes)})" for name, changes in moved.items())
        raise DataError(
            f"These features see rows at or after their moment: {named}. Compute them from the relations of the "
            "snapshot, which end before it."
        )


def _taken(as_of: datetime | None, *, middle: bool = False) -> tuple[Lake, Snapshot, list[Feature]]:
    from features.build import features_of
    from features.engine import connect
    from features.lake import read_lake
    from features.snapshot import take_snapshot

    settings = current_settings()
    lake = read_lake(Home(settings.home))
    moment = as_of
    if moment is None:
        first, last = (datetime.fromisoformat(lake.manifest[name]) for name in ("first_order_at", "last_order_at"))
        moment = first + (last - first) / 2 if middle else _after_last_order(lake)
    snapshot = take_snapshot(lake, connect(settings), moment)
    return lake, snapshot, features_of(snapshot)


def _after_last_order(lake: Lake) -> datetime:
    from features.horizon import midnight_after

    return midnight_after(datetime.fromisoformat(lake.manifest["last_order_at"]))


def _told(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "entity": feature.entity,
        "description": feature.description,
        "unit": feature.unit,
        "window_days": feature.window_days,
        "nulls": feature.nulls,
        "computed_over": feature.relation.value,
        "needs": list(feature.needs),
        "owner": feature.owner,
    }


def _profile(snapshot: Snapshot, features: list[Feature]) -> dict[str, dict[str, Any]]:
    from features.build import customer_features

    frame = customer_features(snapshot, features).to_pandas()[[feature.name for feature in features]]
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
