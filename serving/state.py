"""What the server answers from: the current scoring, loaded whole, never changed afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import DataError, NotReadyError
from features.home import Home
from serving.catalogue import Catalogue, make_catalogue
from serving.customer_columns import CustomerColumns, make_columns
from serving.fronts import Fronts
from serving.insights import NO_INSIGHTS, Insights, make_insights
from serving.mapped import CUSTOMERS as CUSTOMERS
from serving.mapped import NEW, RANKED, Mapped, mapped
from serving.segments import segment_favourites
from training.bundle import MANIFEST, read_manifest
from training.evidence import ARRAYS as EVIDENCE_ARRAYS
from training.ranked_lists import ARRAYS, RankedLists, load_ranked_lists

#: Scores older than this are of the past: days are counted to the moment they are of, and not to now.
FRESH = timedelta(days=45)
EPOCH = datetime(1970, 1, 1)
KIND = "scores"
CURRENT = "CURRENT"
RANKING = "ranking"


@dataclass(frozen=True)
class State:
    """One scoring. Without any, everything is empty and answers say so."""

    version: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    customers: pa.Table | None = None
    rows: Mapping[str, int] = field(default_factory=dict)  # customer_id -> row of `customers`
    ranking: RankedLists | None = None
    ranked_rows: Mapping[str, int] = field(default_factory=dict)  # customer_id -> row of the lists
    fronts: Fronts | None = None
    catalogue: Catalogue | None = None
    columns: CustomerColumns | None = None
    segments: Mapping[str, Sequence[int]] = field(default_factory=dict)  # stage -> codes of its favourite products
    insights: Insights = NO_INSIGHTS
    newcomer_rows: Mapping[str, int] = field(default_factory=dict)  # customer_id without orders -> row of its profile

    @property
    def as_of(self) -> str | None:
        """The moment the scores are as of, in ISO 8601."""
        found: str | None = self.about.get("as_of")
        return found

    @cached_property
    def scored_at(self) -> datetime | None:
        """The same moment, in UTC without a zone."""
        return None if self.as_of is None else datetime.fromisoformat(self.as_of).astimezone(UTC).replace(tzinfo=None)

    def moment(self, now: datetime | None) -> datetime:
        """The moment (UTC) that days are counted to: `now`, or that of the scores when they are of the past."""
        scored_at = self.scored_at
        if now is None or (scored_at is not None and now - scored_at > FRESH):
            return scored_at or EPOCH
        return now

    @property
    def models(self) -> Mapping[str, int | None]:
        """The version of each model behind the scores; None where it had no champion."""
        found: Mapping[str, int | None] = self.about.get("models", {})
        return found

    def customer(self, customer_id: str) -> dict[str, Any] | None:
        """The scores of one customer, or None when nobody of that id ever ordered."""
        row = self.rows.get(customer_id)
        if row is None or self.customers is None:
            return None
        found: dict[str, Any] = self.customers.slice(row, 1).to_pylist()[0]
        return found


def current_version(home: Home) -> str | None:
    """The version `CURRENT` names, or None when nothing was scored yet."""
    try:
        return (home.scores / CURRENT).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def load_state(home: Home) -> State:
    """The current scoring, its files checked against their hashes. Empty when nothing was scored yet.

    Raises DataError when a file is missing or changed.
    """
    version = current_version(home)
    return State() if version is None else read_state(home.scores / "versions" / version, version=version)


def scored_state(home: Home) -> State:
    """The current scoring. Raises NotReadyError when nothing was scored yet, DataError as load_state does."""
    state = load_state(home)
    if state.version is None:
        raise NotReadyError(f"Nothing is scored yet in {home.root.resolve()}. Run:  regulars train && regulars score")
    return state


def read_state(
    directory: Path, *, version: str, before: Catalogue | None = None, mapped_in: Home | None = None
) -> State:
    """The scoring in `directory`. `before`: the catalogue that answered until now, of which most stays as it is.

    `mapped_in`: the home in whose mapped files its tables lie, so that workers share them; unset: in this process.
    Raises DataError when a file is missing or changed, RegularsError when there is no mapping them.
    """
    about = _about(directory)
    files = None if mapped_in is None else mapped(mapped_in, directory)
    customers = pq.read_table(directory / CUSTOMERS).combine_chunks() if files is None else files.table(CUSTOMERS)
    rows = _positions(customers) if files is None else files.index(CUSTOMERS)
    ranking = _ranking(directory / RANKING, customers, files) if (directory / RANKING).is_dir() else None
    catalogue = None if ranking is None else make_catalogue(ranking.products, ranking.popular, before)
    ranked_rows = {} if ranking is None else _ranked_rows(ranking, customers, rows, files)
    return State(
        version=version,
        about=about,
        customers=customers,
        rows=rows,
        ranking=ranking,
        ranked_rows=ranked_rows,
        fronts=None if files is None else files.fronts(),
        catalogue=catalogue,
        columns=make_columns(customers) if files is None else files.columns(),
        segments={} if ranking is None else segment_favourites(ranking, ranked_rows, rows, customers),
        insights=NO_INSIGHTS if ranking is None or catalogue is None else make_insights(catalogue, ranking.evidence),
        newcomer_rows={} if ranking is None else _newcomer_rows(ranking, files),
    )


def _ranking(directory: Path, customers: pa.Table, files: Mapped | None) -> RankedLists:
    """The lists, memory-mapped: as plain arrays, whose rows are taken out several times faster."""

    def table(path: Path) -> pa.Table:
        name = f"{RANKING}/{path.name}"
        if files is None:
            return pq.read_table(path)
        return files.table(name) if files.holds(name) else customers.select(["customer_id"])

    found = load_ranked_lists(directory, table=table)
    plain: dict[str, Any] = {name: getattr(found, name).view(np.ndarray) for name in ARRAYS}
    evidence = found.evidence
    if evidence is not None:
        evidence = replace(evidence, **{name: getattr(evidence, name).view(np.ndarray) for name in EVIDENCE_ARRAYS})
    because = None if found.because is None else found.because.view(np.ndarray)
    return replace(found, **plain, evidence=evidence, because=because)


def _ranked_rows(
    ranking: RankedLists, customers: pa.Table, rows: Mapping[str, int], files: Mapped | None
) -> Mapping[str, int]:
    if ranking.customers["customer_id"].equals(customers["customer_id"]):
        return rows  # everybody has a list, as is usual: one index of ids is enough
    return _positions(ranking.customers) if files is None else files.index(RANKED)


def _newcomer_rows(ranking: RankedLists, files: Mapped | None) -> Mapping[str, int]:
    if ranking.newcomers is None:
        return {}
    if files is not None:
        return files.index(NEW)
    customers = ranking.newcomers.customers
    return dict(zip(customers["customer_id"].to_pylist(), customers["profile"].to_pylist(), strict=True))


def _about(directory: Path) -> dict[str, Any]:
    try:
        return read_manifest(directory, kind=KIND)
    except (json.JSONDecodeError, KeyError) as error:
        raise DataError(f"{directory / MANIFEST}: not a manifest ({error}). Score again:  regulars score") from None


def _positions(table: pa.Table) -> dict[str, int]:
    return {customer: row for row, customer in enumerate(table["customer_id"].to_pylist())}
