"""Everything that is kept of one customer, as plain values: what they may ask a shop for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from features.errors import DataError, NotReadyError
from features.home import ASIDE, Home
from features.lake import Lake, read_lake
from features.left_out import has_customers
from features.pseudonyms import known_as
from features.quarantine import set_aside_rows
from features.schema import TABLES, C
from features.settings import Settings
from serving.live_forget import database_there, each_row
from serving.state import CUSTOMERS, RANKING
from training.bundle import MANIFEST, manifest_of
from training.ranked_lists import NO_PRODUCT, load_ranked_lists


def export(settings: Settings, customer: str, *, now: datetime) -> dict[str, Any]:
    """All that is kept of a customer. `now` is naive UTC. Raises DataError where that is nothing.

    Keyed hashes in the list of those erased are no data of the customer's that could be given.
    """
    home, named = settings.data_home, customer
    (customer,) = known_as(settings, [named])
    found: dict[str, Any] = {
        "lake": _in_lake(home, customer),
        "features": _features(home, customer),
        "scores": _versions(home.scores / "versions", customer),
        "said": _versions(home.said, customer),
        "pictures": _versions(home.insight / "versions", customer),
        "recommended": _recommended(home, customer),
        "live": _live(settings, customer),
        "online": _online(home, settings, customer, now=now),
    }
    kept = {name: part for name, part in found.items() if part}
    if not kept:
        raise DataError(
            f"Nothing is kept of '{named}' in {home.root.resolve()}, its database or its scores. Check the id: it "
            "is that of the shop's own files."
        )
    return {"customer_id": customer, "exported_at": f"{now.isoformat(timespec='seconds')}Z", **kept}


def _in_lake(home: Home, customer: str) -> dict[str, Any]:
    try:
        lake = read_lake(home)
    except NotReadyError:
        return {}
    found: dict[str, Any] = {
        table: _rows(lake.file(table), customer) for table in lake.rows if has_customers(table)
    } | {"set_aside": _set_aside(lake, customer)}
    return {name: rows for name, rows in found.items() if rows}


def _set_aside(lake: Lake, customer: str) -> list[dict[str, Any]]:
    """Rows set aside that are surely theirs: a line that could not be read may be anybody's."""
    with duckdb.connect() as con:
        return [
            {"table": table, "row": row.row, "loaded_at": row.loaded_at}
            for table in TABLES
            for row in set_aside_rows(con, lake.path, table)
            if row.customer_id == customer
        ]


def _features(home: Home, customer: str) -> dict[str, Any]:
    """The newest snapshot of each entity with customers, by its file."""
    newest: dict[str, tuple[float, Path]] = {}
    for file in home.features.rglob("*.parquet"):
        entity = file.parent.name
        if not file.name.startswith(ASIDE) and C.CUSTOMER_ID in pq.read_schema(file).names:
            newest[entity] = max(newest.get(entity, (0.0, file)), (file.stat().st_mtime, file))
    found = {entity: _rows(file, customer) for entity, (_, file) in newest.items()}
    return {entity: rows for entity, rows in found.items() if rows}


def _versions(folder: Path, customer: str) -> dict[str, Any]:
    """Of each version kept, its row."""
    found = {}
    for version in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (version / MANIFEST).is_file() and (version / CUSTOMERS).is_file():
            for row in _rows(version / CUSTOMERS, customer):
                found[version.name] = {"made_at": manifest_of(version)["about"].get("created_at"), **row}
    return found


def _recommended(home: Home, customer: str) -> dict[str, Any]:
    """Of each scoring kept, the products ranked for them, best first."""
    found = {}
    folder = home.scores / "versions"
    for version in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (version / RANKING / MANIFEST).is_file():
            lists = load_ranked_lists(version / RANKING, verify=False)
            ids = lists.customers[C.CUSTOMER_ID].to_pylist()
            if customer in ids:
                products = lists.products[C.PRODUCT_ID]
                codes = [int(code) for code in lists.lists[ids.index(customer)] if code != NO_PRODUCT]
                found[version.name] = [products[code].as_py() for code in codes]
    return found


def _live(settings: Settings, customer: str) -> Mapping[str, Any]:
    with database_there(settings) as database:
        return {} if database is None else each_row(database, customer)


def _online(home: Home, settings: Settings, customer: str, *, now: datetime) -> dict[str, Any]:
    """What the online store says, however old."""
    if settings.online_store is None and not home.materialized.is_file():
        return {}
    from features.store.feast_store import open_store
    from features.store.online import online_features

    try:
        [found] = online_features(
            open_store(home, settings), [customer], now=now.replace(tzinfo=UTC), max_age=timedelta.max
        )
    except NotReadyError:  # nothing was ever put online
        return {}
    return {name: value for name, value in found.values.items() if value is not None}


def _rows(file: Path, customer: str) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    rows: list[dict[str, Any]] = pq.read_table(file, filters=[(C.CUSTOMER_ID, "=", customer)]).to_pylist()
    return rows
