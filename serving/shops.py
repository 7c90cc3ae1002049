"""The several shops of one server: each with parts of its own, opened, refreshed and closed apart from all others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp

from features.errors import RegularsError
from features.settings import Settings
from features.tenants import shop_settings
from serving import starting
from serving.app import build_app
from serving.door import Door, open_door
from serving.handlers import status_of
from serving.logs import TENANT
from serving.many_shops import ManyShops
from serving.metrics import Metrics
from serving.reload import Holder
from serving.runtime import Runtime, open_holder, open_runtime
from serving.schemas import ShopStatus
from serving.short_way import ShortWay, ShortWays, short_way
from serving.tracing import Traced, make_provider

log = logging.getLogger("regulars.serving")
_AGAIN_SECONDS = 5.0
#: For how long a start waits for shops to open: that of a database that does not answer is more than one connection's.
START_SECONDS = 20.0


@dataclass
class Shop:
    """One shop: away, and answered for by `closed`, until its parts are open. Whatever fails in it stays in it."""

    name: str
    server: Settings
    closed: ASGIApp | None = None
    runtime: Runtime | None = None
    problem: str | None = None
    way: ShortWay | None = None
    _metrics: Metrics = field(init=False)
    _app: ASGIApp | None = None
    _holder: Holder | None = None
    _not_before: float = float("-inf")
    _working: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._metrics = Metrics(self.name)

    @property
    def status(self) -> ShopStatus:
        """How it stands."""
        return "away" if self.runtime is None else status_of(self.runtime)

    @property
    def app(self) -> ASGIApp | None:
        """What answers for it now."""
        return self._app or self.closed

    @property
    def origins(self) -> Collection[str]:
        """Origins whose pages may call it."""
        return () if self.runtime is None else self.runtime.settings.cors_origins

    def opens(self, key: str) -> bool:
        """Whether the key is one of its own; of a shop that is not open, nobody can say."""
        if self.runtime is None or self.runtime.ring.find(key) is not None:
            return True
        self._metrics.refused.labels(why="wrong_key").inc()
        return False

    def preload(self) -> None:
        """Load the scores before workers are forked; what cannot be loaded now is opened later."""
        self._within(self._preload)

    def refresh(self) -> None:
        """Take up what changed; open what is not open yet. Called about once a second, by a thread of its own."""
        if not self._working.acquire(blocking=False):
            return  # still at it
        try:
            if self.runtime is not None:
                self._within(self.runtime.refresh)
            elif time.monotonic() >= self._not_before:
                self._within(self._open)
                self._not_before = time.monotonic() + _AGAIN_SECONDS
        finally:
            self._working.release()

    def close(self) -> None:
        """Give back what is open."""
        if self.runtime is not None:
            self._within(self.runtime.close)

    def _within(self, work: Callable[[], object]) -> None:
        """Do it; what goes wrong is told in the log, once, and concerns no other shop."""
        token = TENANT.set(self.name)
        try:
            work()
            self.problem = None
        except Exception as error:
            # The outermost edge of one shop: a defect that only its data bring out must not stop the others.
            said = str(error) if isinstance(error, RegularsError) else type(error).__name__
            if said != self.problem:
                log.error("the shop is not ready: %s", said, exc_info=not isinstance(error, RegularsError))
            self.problem = said
        finally:
            TENANT.reset(token)

    def _preload(self) -> None:
        # No database is asked here: one that is away would keep every shop waiting.
        holder = open_holder(shop_settings(self.server, self.name), self._metrics)
        holder.refresh()
        holder.kept = holder.state
        self._holder = holder

    def _open(self) -> None:
        settings = shop_settings(self.server, self.name)
        starting.check_shop(settings)
        runtime = open_runtime(settings, metrics=self._metrics, holder=self._holder, shared=True)
        try:
            runtime.start()
        except BaseException:
            runtime.close()
            raise
        self._app = build_app(runtime)
        self.runtime = runtime
        self.way = short_way(runtime)
        log.info("the shop is open")


class Shops:
    """All shops of a server, and the door for whoever shows the key of none."""

    def __init__(self, server: Settings) -> None:
        self.server = server
        self.by_name = {name: Shop(name, server) for name in server.tenants}
        self._door: Door | None = None
        self._provider: Any = None

    @property
    def refreshing(self) -> Sequence[Callable[[], object]]:
        """What is to be called about once a second: a shop that takes long keeps no other waiting."""
        return tuple(shop.refresh for shop in self.by_name.values())

    def preload(self) -> None:
        """Load every shop's scores before workers are forked."""
        for shop in self.by_name.values():
            shop.preload()

    def start(self) -> None:
        """Open every shop that can be, before the first request; one that takes long, while the others answer."""
        opening = [threading.Thread(target=shop.refresh, daemon=True) for shop in self.by_name.values()]
        for thread in opening:
            thread.start()
        until = time.monotonic() + START_SECONDS
        for thread in opening:
            thread.join(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Give back what is open."""
        for shop in self.by_name.values():
            shop.close()
        if self._door is not None:
            self._door.runtime.close()
        if self._provider is not None:
            self._provider.shutdown()

    def way(self) -> ShortWays | None:
        """The short way of all of them, or None where requests are traced. Call it after `app`."""

        def of(name: str) -> ShortWay | None:
            return self.by_name[name].way if name in self.by_name else None

        return None if self._provider is not None else ShortWays(of)

    def app(self) -> ASGIApp:
        """The application over all of them. Call it in the process that answers."""
        self._door = open_door(self.server, lambda: {name: shop.status for name, shop in self.by_name.items()})
        for shop in self.by_name.values():
            shop.closed = self._door.closed
        app: ASGIApp = ManyShops(self.by_name, self._door.app)
        self._provider = make_provider(self.server)
        return app if self._provider is None else Traced(app, self._provider)
