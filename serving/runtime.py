"""All that one server process works with, put together once from the settings."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from features.erased import read_erased, served_mark
from features.home import Home
from features.pseudonyms import Pseudonyms, pseudonyms_of
from features.settings import Settings
from serving.bell import Bell
from serving.circumstances import Circumstances
from serving.collector import Pauses
from serving.database import Database, StoreAwayError, open_database
from serving.deadline import Deadline
from serving.event_log import EventLog
from serving.experiments import Experiments, assign, read_experiments
from serving.group_commit import GroupCommit
from serving.keys import ApiKey, KeyRing, Keys, now_utc, read_copy
from serving.live import NO_INTEREST, Live
from serving.live_feed import LiveFeed
from serving.lookback_watch import LookbackWatch
from serving.metrics import Metrics
from serving.mlflow_server import RegistryWatch
from serving.nightly.watch import NightlyWatch
from serving.online import OnlineReader
from serving.outcomes import Contacts, OutcomeLog
from serving.plan_log import PlanLog
from serving.questions import STRATEGIES
from serving.rate_limit import RateLimit
from serving.reload import Holder
from serving.request_ids import new_id
from serving.rule_book import RulesFile
from serving.state import State
from serving.stock import Shelf, StockLog
from serving.tracing import make_provider

log = logging.getLogger("regulars.serving")
PARTS = ("scores", "events", "keys", "registry", "rules", "online", "bell")
#: How far back live events are taken in at a start, where the scores do not say.
_REPLAYED = timedelta(days=7)
_KEYS_EVERY_SECONDS = 30.0


@dataclass
class Runtime:
    """One process's parts. `refresh` takes up what changed outside; `problems` says what is away."""

    settings: Settings
    holder: Holder
    database: Database
    events: EventLog
    feed: LiveFeed
    commit: GroupCommit
    outcomes: OutcomeLog
    plans: PlanLog
    shelf: Shelf
    keys: Keys
    experiments: Experiments
    rules: RulesFile
    metrics: Metrics
    limits: RateLimit
    online: OnlineReader
    bell: Bell
    nightly: NightlyWatch
    lookback: LookbackWatch
    pseudonyms: Pseudonyms | None = None  # where customers are held under such
    registry: RegistryWatch | None = None  # where a server keeps the models
    #: One of several shops in its process: nobody is let in without a key, which says whose it is.
    shared: bool = False
    tracing: Any = None  # OpenTelemetry's provider, where traces are wanted
    pauses: Pauses = field(default_factory=Pauses)
    contacts: Contacts = field(default_factory=Contacts)
    ring: KeyRing = field(default_factory=lambda: KeyRing([]))
    problems: dict[str, str] = field(default_factory=dict)
    _served: str | None = None
    _keys_heard: bytes | None = None
    _keys_read: float = float("-inf")

    @property
    def refreshing(self) -> Sequence[Callable[[], object]]:
        """What is to be called about once a second."""
        return (self.refresh,)

    @property
    def live(self) -> Live:
        """The live state of customers and visits."""
        return self.feed.live

    def known_as(self, customer_id: str) -> str:
        """The customer by the name under which they are held."""
        return customer_id if self.pseudonyms is None else self.pseudonyms.of(customer_id)

    def start(self) -> None:
        """Load everything, before the first request. Whatever is away is said in `problems`, and does not stop it."""
        self.refresh()
        self.holder.tell()
        as_of = self.holder.state.scored_at
        recent = now_utc() - _REPLAYED
        self.feed.start(occurred_from=recent if as_of is None else min(as_of, recent))
        self.online.start()
        self.bell.start()
        self.pauses.start()
        self._look_around()

    def close(self) -> None:
        """Give back what is open; what waits to be sent is sent."""
        self.pauses.stop()
        self.online.close()
        self.bell.close()
        self.database.close()
        if self.tracing is not None:
            self.tracing.shutdown()

    def refresh(self) -> None:
        """Take up new scores and keys, and look what is away. Called about once a second."""
        self._forget_erased()
        self.holder.refresh()
        self.rules.refresh()
        self._refresh_keys()
        self.refresh_contacts()
        self._look_around()
        self.pauses.tell(self.metrics)
        self.nightly.tell(self.metrics)
        self.lookback.tell(self.metrics)

    def _forget_erased(self) -> None:
        """Where customers were erased, hold nothing of them any longer; the scores are read anew by their holder."""
        mark = served_mark(self.holder.home)
        if mark == self._served:
            return
        self._served = mark
        self.contacts = Contacts()
        self.live.forget(read_erased(self.holder.home))

    def refresh_contacts(self) -> None:
        """Take up outcomes and plans written by this process or another."""
        try:
            self.contacts = self.outcomes.contacts(self.contacts)
        except StoreAwayError as error:
            log.warning("outcomes are not read: %s", error)

    def _refresh_keys(self) -> None:
        heard = self.keys.doorbell.read()
        if heard == self._keys_heard and time.monotonic() - self._keys_read < _KEYS_EVERY_SECONDS:
            return
        try:
            found = self.keys.all()
            if found:
                self.keys.save_copy(found)
            self.ring = self._ring_of(found, exist=bool(found))
            self._keys_heard, self._keys_read = heard, time.monotonic()
            self.problems.pop("keys", None)
        except StoreAwayError as error:
            self.problems["keys"] = f"{error}; the keys last seen stay in force"
            if self._keys_heard is None:
                self.ring = self._keys_without_database()

    def _keys_without_database(self) -> KeyRing:
        found = read_copy(self.keys.copy)
        # SQLite lies beside the copy: without one, no key was ever made. Elsewhere keys may exist, so none is let in.
        return self._ring_of(found or [], exist=bool(found) or not self.database.is_sqlite)

    def _ring_of(self, found: Sequence[ApiKey], *, exist: bool) -> KeyRing:
        return KeyRing(found, exist=exist or self.shared, tenant=self.settings.tenant)

    def _look_around(self) -> None:
        found = {
            "scores": self.holder.problem,
            "events": self.feed.problem,
            "keys": self.problems.get("keys"),
            "registry": registry_problem(self.holder.home) if self.registry is None else self.registry.look(),
            "rules": self.rules.problem,
            "online": self.online.problem,
            "bell": self.bell.problem,
        }
        self.problems = {part: what for part, what in found.items() if what is not None}
        for part in PARTS:
            self.metrics.away.labels(part=part).set(part in self.problems)

    def answer_from(
        self, *, customer_id: str | None = None, session_id: str | None = None, placement: str | None = None
    ) -> tuple[State, Circumstances]:
        """The state that answers this customer or visit now, and what else the answer depends on.

        One answer is made from one state, whatever is loaded meanwhile.
        """
        settings, holder, rules = self.settings, self.holder, self.rules
        state, hours, own_list_first = holder.state, settings.rebuy_hours, False
        assigned, diversity, novelty, explore = None, None, None, None
        moment = now_utc()
        if self.experiments:
            assigned = assign(self.experiments, unit=customer_id or session_id, placement=placement)
        if assigned is not None:
            chosen = assigned.parameters
            own_list_first = chosen.own_list_first
            hours = hours if chosen.rebuy_hours is None else chosen.rebuy_hours
            state = state if chosen.scores is None else holder.variants.get(chosen.scores, state)
            diversity, novelty, explore = chosen.diversity, chosen.novelty, chosen.explore
        interest, rebuy_after = NO_INTEREST, None
        if self.live.knows(customer_id, session_id):
            interest = self.live.interest(
                customer_id,
                session_id,
                now=moment,
                session_minutes=settings.session_minutes,
                bought_since=state.scored_at,
            )
            rebuy_after = moment - timedelta(hours=hours)
        return state, Circumstances(
            request_id=new_id(),
            now=moment,
            interest=interest,
            rebuy_after=rebuy_after,
            own_list_first=own_list_first,
            experiment=None if assigned is None else assigned.experiment,
            variant=None if assigned is None else assigned.variant,
            diversity=diversity,
            novelty=novelty,
            explore=explore,
            deadline=Deadline(settings.answer_ms / 1000),
            rules=None if state.catalogue is None or rules.path is None else rules.book(state.catalogue),
            hidden=rules.rules.hide,
            static=holder.static,
        )


def open_holder(settings: Settings, metrics: Metrics) -> Holder:
    """What holds the scores that the settings and their experiments ask for, nothing loaded yet."""
    variants = [v for experiment in _experiments(settings).values() for v in experiment.variants.values()]
    return Holder(
        settings.data_home,
        metrics,
        pin=settings.pin,
        variants=sorted({v.scores for v in variants if v.scores is not None}),
        fallback_file=settings.fallback_file,
    )


def _experiments(settings: Settings) -> Experiments:
    return {} if settings.experiments_file is None else read_experiments(settings.experiments_file)


def open_runtime(
    settings: Settings, *, metrics: Metrics | None = None, holder: Holder | None = None, shared: bool = False
) -> Runtime:
    """The parts that the settings ask for, around `holder` where it is there already, else with nothing loaded yet.

    `shared`: beside other shops in this process, whose requests are traced together. Raises ConfigError for a wrong
    experiments file, and DataError where the key of pseudonyms is gone.
    """
    counted = metrics or Metrics()
    counted.known_strategies = frozenset(STRATEGIES)
    experiments = _experiments(settings)
    counted.known_variants = frozenset(name for e in experiments.values() for name in e.variants)
    database = open_database(settings)
    events = EventLog(database)
    bell = Bell(settings, events.doorbell)
    events.tell_others = bell.ring
    home = settings.data_home
    holder = holder or open_holder(settings, counted)
    shelf = Shelf(StockLog(database, events.announce), lambda: holder.catalogues)
    holder.lay = shelf.lay
    return Runtime(
        settings=settings,
        holder=holder,
        database=database,
        events=events,
        feed=LiveFeed(events, Live(), beside=shelf.read),
        commit=GroupCommit(events),
        outcomes=OutcomeLog(database),
        plans=PlanLog(database),
        shelf=shelf,
        keys=Keys(database, tenant=settings.tenant),
        experiments=experiments,
        rules=RulesFile(settings.rules_file),
        metrics=counted,
        limits=RateLimit(workers=settings.workers),
        online=OnlineReader(settings),
        bell=bell,
        nightly=NightlyWatch(home),
        lookback=LookbackWatch(home),
        pseudonyms=pseudonyms_of(settings),
        registry=None if home.mlflow_url is None else RegistryWatch(home.mlflow_url),
        shared=shared,
        tracing=None if shared else make_provider(settings),
    )


def registry_problem(home: Home) -> str | None:
    """Why the model registry cannot be read, or None. Nothing that answers needs it; new models come from it."""
    if not home.mlflow.exists():
        return None  # scores may come from elsewhere; nothing was ever registered here
    file = home.registry_database.resolve()
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0.2)) as connection:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error as error:
        return f"the model registry cannot be read ({error}); the scores made before answer"
    return None
