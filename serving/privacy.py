"""Erasing customers, and what is too old, everywhere in a data home: the one place that knows every place.

An erasure is written down first, as a keyed hash, and marked done last; each step in between finds what is still there,
so one that was cut short is completed by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from features.erased import finish, read_erased, record, tell_servers
from features.errors import ConfigError, DataError
from features.home import Home, remove_directory, sweep
from features.lake_removal import count_rows, customers_named, of_customers, older_than, remove_rows, sessions_of
from features.left_out import too_old
from features.pseudonyms import known_as
from features.settings import Settings
from features.store.forget import count_online, forget_online
from serving.last_good import LAST_GOOD, PINNED
from serving.live_forget import count_live, customers_in, database_there, forget_live, remove_older, sessions_in
from serving.mapped import FOLDER as MAPPED
from serving.mapped import LOCK as MAPPED_LOCK
from training.forget import count_in, customers_of, forget_below, sealed_directories
from training.forget_models import count_in_models, forget_in_models
from training.retrain import flag_retrain

Say = Callable[[str], None]
#: Everything that writes what customers are named in. A training under way has read them already.
LOCKS = ("ingest", "train", "tune", "score", "said", "insight", "features", "ledger")
#: For short writers; a long one is told of instead.
_WAIT_SECONDS = 5.0
_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """What was erased or would be: rows, or files, by place. `retrain`: models have learned from them."""

    counts: Mapping[str, int]
    retrain: bool = False
    dry_run: bool = False


def erase(
    settings: Settings,
    customers: Collection[str],
    *,
    now: datetime,
    may_return: bool = False,
    dry_run: bool = False,
    say: Say = lambda _: None,
) -> Report:
    """Erase customers from the data home, its database and its online store; later loads leave them out.

    `may_return`: later loads may bring them in again. `now` is naive UTC. Raises DataError when one of them is found
    nowhere, RegularsError while a load, a training or a scoring is under way, or when a part is away; then running it
    again completes it.
    """
    home, given = settings.data_home, dict(zip(known_as(settings, customers), customers, strict=True))
    wanted = frozenset(given)
    _check_known(settings, home, given)
    if dry_run:
        counts = _counted(settings, home, wanted)
        return Report(counts, retrain=_has_learned(counts), dry_run=True)
    with _alone(home):
        before = _counted(settings, home, wanted)
        record(home, wanted, at=now, may_return=may_return)
        if _has_learned(before):
            flag_retrain(home, at=now.replace(tzinfo=UTC))
        sessions = _sessions(settings, home, wanted)
        say("the lake")
        remove_rows(home, settings, of_customers(wanted, sessions), now=now, say=say)
        say("registered models")
        forget_in_models(home, wanted)
        say("scores and pictures")
        for root in _served(home):
            forget_below(root, wanted)
        with home.lock(MAPPED_LOCK, wait_seconds=_WAIT_SECONDS):
            _remove_mapped(home)
        say("features online")
        forget_online(home, settings, wanted)
        say("what happened while serving")
        with database_there(settings) as database:
            if database is not None:
                forget_live(database, wanted)
        sweep(home.root / "tmp")
        tell_servers(home)
        finish(home, wanted, at=now)
    return Report(before, retrain=_has_learned(before))


def retain(settings: Settings, *, now: datetime, dry_run: bool = False, say: Say = lambda _: None) -> Report:
    """Remove what is older than [privacy] keeps, in the lake and the database. `now` is naive UTC.

    Raises ConfigError when nothing is limited, RegularsError while a load, a training or a scoring is under way.
    """
    home = settings.data_home
    privacy = settings.privacy
    before = too_old(settings, now=now)
    if not before:
        raise ConfigError(
            "Nothing is limited in time. Say for how long in regulars.toml:  [privacy]  keep_orders_days = 1095"
        )
    named = {"events": privacy.keep_events_days, "outcomes": privacy.keep_outcomes_days}
    of_table = {"events": "interactions", "outcomes": "contacts"}
    live_before = {name: before[of_table[name]] for name, days in named.items() if days is not None}
    goes = older_than(before)
    if dry_run:
        counts = count_rows(home, goes) | _old_live(settings, live_before, dry_run=True)
        return Report(counts, dry_run=True)
    with _alone(home):
        counts = count_rows(home, goes)
        if counts:
            remove_rows(home, settings, goes, now=now, say=say)
        say("what happened while serving")
        counts |= _old_live(settings, live_before, dry_run=False)
        tell_servers(home)
    return Report(counts)


def known_customers(settings: Settings, customers: Collection[str]) -> set[str]:
    """Those of the customers of whom anything is kept."""
    home = settings.data_home
    found = customers_named(home, customers)
    for root in _served(home):
        for directory in sealed_directories(root):
            found |= customers_of(directory, customers)
    with database_there(settings) as database:
        if database is not None:
            found |= customers_in(database, customers)
    return found


def _check_known(settings: Settings, home: Home, given: Mapping[str, str]) -> None:
    """Raises DataError where nothing is kept of one. `given`: as they are held -> as they were named."""
    # One who was erased is known: to run it again completes what was cut short, or lets them return.
    unknown = given.keys() - known_customers(settings, given.keys()) - read_erased(home).among(given)
    if unknown:
        shown = ", ".join(f"'{customer}'" for customer in sorted(given[one] for one in unknown)[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else ""
        raise DataError(
            f"Nothing is kept of {shown}{more} in {home.root.resolve()}, its database or its scores. Nothing was "
            "erased. Check the ids: they are those of the shop's own files."
        )


def _counted(settings: Settings, home: Home, customers: Collection[str]) -> dict[str, int]:
    counts = count_rows(home, of_customers(customers, _sessions(settings, home, customers)))
    counts["models"] = count_in_models(home, customers)
    counts["scores and pictures"] = sum(
        count_in(directory, customers) for root in _served(home) for directory in sealed_directories(root)
    )
    counts["features online"] = count_online(home, settings, customers)
    with database_there(settings) as database:
        if database is not None:
            counts |= {f"live {name}": count for name, count in count_live(database, customers).items()}
    return {name: count for name, count in counts.items() if count}


def _has_learned(counts: Mapping[str, int]) -> bool:
    return bool(counts.get("models") or counts.get("order_lines"))


def _sessions(settings: Settings, home: Home, customers: Collection[str]) -> set[str]:
    found = sessions_of(home, customers)
    with database_there(settings) as database:
        if database is not None:
            found |= sessions_in(database, customers)
    return found


def _served(home: Home) -> Sequence[Path]:
    return (home.scores / "versions", home.said, home.insight / "versions", home.live / LAST_GOOD, home.live / PINNED)


def _remove_mapped(home: Home) -> None:
    """Servers make them anew of what is served now; one that reads them meanwhile keeps them open."""
    folder = home.live / MAPPED
    sweep(folder)
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        remove_directory(path)


def _old_live(settings: Settings, before: Mapping[str, datetime], *, dry_run: bool) -> dict[str, int]:
    with database_there(settings) as database:
        if database is None or not before:
            return {}
        return {f"live {name}": n for name, n in remove_older(database, before, dry_run=dry_run).items()}


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    with ExitStack() as held:
        for name in LOCKS:
            held.enter_context(home.lock(name, wait_seconds=_WAIT_SECONDS))
        yield
