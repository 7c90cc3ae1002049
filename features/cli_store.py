"""The commands under `regulars features` that fill and read the online store: materialize, online."""

from __future__ import annotations

from typing import Annotated

import typer

from features.settings import current_settings
from features.terminal import out, print_json, print_table, step

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def materialize(
    again: Annotated[bool, typer.Option("--again", help="Also where the online store has them already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the newest snapshot's online features to where they are read one customer at a time: SQLite, or Redis.

    What is there already is not written again.
    """
    from features.lake import read_lake
    from features.store.feast_store import open_store, register
    from features.store.materialize import materialize as write
    from features.store.snapshots import LOCK, WAIT_SECONDS, snapshots_of

    settings = current_settings()
    home = settings.data_home
    snapshots = snapshots_of(settings, read_lake(home))
    with home.lock(LOCK, wait_seconds=WAIT_SECONDS), step("Writing online features"):
        store = open_store(home, settings)
        register(store, snapshots)
        done = write(home, store, snapshots, again=again)
    if as_json:
        print_json({"as_of": done.as_of, "rows": done.rows})
    elif done.rows:
        out.print(f"{done.rows:,} customers as of {done.as_of:%Y-%m-%d} are online.")
    else:
        out.print(f"The customers as of {done.as_of:%Y-%m-%d} were online already.")


def online(
    customers: Annotated[list[str], typer.Argument(help="Ids of customers.")],
    as_json: AsJson = False,
) -> None:
    """What the online store says of customers now, and how old that is."""
    from datetime import UTC, datetime, timedelta

    from features.pseudonyms import known_as
    from features.store.feast_store import open_store
    from features.store.online import online_features

    settings = current_settings()
    store = open_store(settings.data_home, settings)
    limit = timedelta(hours=settings.online_max_age_hours)
    found = online_features(store, known_as(settings, customers), now=datetime.now(UTC), max_age=limit)
    if as_json:
        print_json(
            [
                {
                    "customer_id": one.customer_id,
                    "features": dict(one.values),
                    "age_hours": {view: age and age / timedelta(hours=1) for view, age in one.ages.items()},
                }
                for one in found
            ]
        )
        return
    for one in found:
        rows = [(name, "" if value is None else f"{value}") for name, value in sorted(one.values.items())]
        ages = [(f"age of {view}", "unknown" if age is None else f"{age}") for view, age in one.ages.items()]
        print_table(one.customer_id, ("feature", "value"), [*rows, *ages])
