"""The state in force, and the thread that replaces it when a new scoring becomes current."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from features.erased import served_mark
from features.errors import DataError, RegularsError
from features.home import Home
from serving.catalogue import Catalogue
from serving.collector import freeze
from serving.last_good import LAST_GOOD, PINNED, keep, recall, remember, static_list
from serving.metrics import Metrics
from serving.resident import let_go
from serving.state import EPOCH, State, current_version, read_state
from serving.warm_up import warm_up

log = logging.getLogger("regulars.serving")
_FAILURES = (RegularsError, OSError, ValueError)


class Holder:
    """Holds the state that answers. A scoring that cannot be loaded leaves the one before, and `problem` says why.

    `pin` names the one scoring to answer from, whatever becomes current; `variants` those that experiments need.
    """

    def __init__(
        self,
        home: Home,
        metrics: Metrics | None = None,
        *,
        pin: str | None = None,
        variants: Iterable[str] = (),
        fallback_file: Path | None = None,
    ) -> None:
        self.home = home
        self.metrics = metrics or Metrics()
        self.pin = pin
        self.state = State()
        #: What was loaded before workers were forked. To free it would copy the memory that they share to each of them.
        self.kept: State | None = None
        self.variants: dict[str, State] = {}
        self.static: tuple[str, ...] = static_list(home, fallback_file)
        self.problem: str | None = None
        #: What is told while the server runs is laid over each catalogue that is to answer.
        self.lay: Callable[[Catalogue], None] = lambda _: None
        self._wanted = tuple(variants)
        self._fallback_file = fallback_file
        self._served: str | None = None  # the mark of erasures under which it was read
        self._seen: str | None = None  # the version last tried, so that a broken one is not tried at every poll

    def refresh(self) -> bool:
        """Whether a new scoring was loaded. Requests under way finish on the state they began with."""
        version = self.pin or current_version(self.home)
        mark = served_mark(self.home)
        if mark != self._served:  # customers were taken out of files that keep their names
            self._served, self._seen = mark, None
            self.variants.clear()
        if version == self._seen:
            if version is None and self.state.version is None:
                self._begin_from_last_good(None)
            return False
        self._seen = version
        try:
            if version is None:
                raise RegularsError("the scores are gone: scores/CURRENT is missing")
            state = self._load(version)
            warm_up(state)
        except _FAILURES as error:
            self._failed(version, error)
            if self.state.version is None:
                self._begin_from_last_good(str(error))
            return False
        self._answer_from(state)
        self.problem = None
        self._load_variants()
        self.metrics.loads.labels(outcome="loaded").inc()
        log.info("scores %s loaded: %d customers", version, len(state.rows))
        if self.pin is None:
            self._remember(state)
        return True

    def _load(self, version: str) -> State:
        before = self.state.catalogue
        if self.pin is not None:
            # Scoring prunes old versions; the copy stays for as long as the pin is wanted.
            return self._read(keep(self.home, version, under=PINNED), version, before)
        return self._read(self.home.scores / "versions" / version, version, before)

    def _read(self, directory: Path, version: str, before: Catalogue | None) -> State:
        """The scoring, mapped; where that cannot be (a full disk), in this worker's own memory."""
        try:
            return read_state(directory, version=version, before=before, mapped_in=self.home)
        except DataError:
            raise
        except (RegularsError, OSError) as error:
            log.warning("scores %s are not shared between workers: %s", version, error)
            return read_state(directory, version=version, before=before)

    def _load_variants(self) -> None:
        for version in self._wanted:
            if version not in self.variants:
                try:
                    kept = keep(self.home, version, under=PINNED)
                    self._answer_also_from(version, self._read(kept, version, self.state.catalogue))
                except _FAILURES as error:
                    self._failed(version, error)
                    self.problem = f"an experiment's scores could not be loaded: {error}"

    @property
    def catalogues(self) -> list[Catalogue]:
        """Those of all scorings that answer."""
        states = (self.state, *list(self.variants.values()))
        return [state.catalogue for state in states if state.catalogue is not None]

    def _answer_also_from(self, version: str, state: State) -> None:
        self._lay(state)
        self.variants[version] = state
        self._lay(state)

    def _lay(self, state: State) -> None:
        if state.catalogue is not None:
            self.lay(state.catalogue)

    def _answer_from(self, state: State) -> None:
        self._lay(state)
        before, self.state = self.state, state
        self._lay(state)  # again: what was told since then was told to the catalogues that answered
        before.insights.told.clear()  # the state itself may stay, and nobody asks it again
        self.tell()
        freeze()
        let_go(self.home.root)

    def tell(self) -> None:
        """Say in the metrics what answers; a process forked from the one that loaded it says so itself."""
        self.metrics.customers.set(len(self.state.rows))
        scored_at = self.state.scored_at
        if scored_at is not None:
            self.metrics.as_of.set((scored_at - EPOCH).total_seconds())

    def _failed(self, version: str | None, error: Exception) -> None:
        self.problem = str(error)
        self.metrics.loads.labels(outcome="failed").inc()
        log.error("scores %s were not loaded: %s", version, error)

    def _begin_from_last_good(self, why: str | None) -> None:
        try:
            state = recall(self.home)
        except _FAILURES as error:
            self.problem = f"{why or 'the scores are gone'}; and the last good scores could not be loaded: {error}"
            return
        if state is not None:
            self._answer_from(state)
            said = why or "the scores are gone: scores/CURRENT is missing"
            self.problem = f"{said}. The last good scores answer: {state.version}"
            log.warning("the last good scores answer: %s", state.version)

    def _remember(self, state: State) -> None:
        try:
            remember(self.home, state)
            self.static = static_list(self.home, self._fallback_file)
        except _FAILURES as error:
            log.warning("no copy of scores %s was kept under %s: %s", state.version, LAST_GOOD, error)


def watch(refresh: Callable[[], object], *, every: float, stop: threading.Event) -> threading.Thread:
    """A started daemon thread that calls `refresh` each `every` seconds until `stop` is set."""

    def poll() -> None:
        while not stop.wait(every):
            refresh()

    thread = threading.Thread(target=poll, name="regulars-reload", daemon=True)
    thread.start()
    return thread
