"""What handlers share: the runtime of a request, events taken in before an answer, answers counted."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from serving.metrics import Metrics
from serving.runtime import Runtime
from serving.schemas import Recommendations

#: Of the time that an answer may take, the share it may wait for events just written.
_CATCH_UP_SHARE = 0.5


def runtime_of(request: Request) -> Runtime:
    """The runtime that the application was built with."""
    runtime: Runtime = request.scope["runtime"]
    return runtime


async def catch_up(runtime: Runtime) -> None:
    """Take in events just written; where that takes long, the answer is made without them."""
    if runtime.feed.is_behind():
        await runtime.feed.catch_up(seconds=runtime.settings.answer_ms / 1000 * _CATCH_UP_SHARE)


def count(request: Request, answers: list[Recommendations], *, dry_run: bool = False) -> None:
    """Count answers by strategy and variant, unless they are not to be counted."""
    if dry_run or not answers:
        return
    request.scope["strategy"] = counted(runtime_of(request).metrics, request.scope["path_template"], answers)


def counted(metrics: Metrics, route: str, answers: Sequence[Recommendations]) -> str:
    """Count the answers of one request by strategy and variant; the strategy that the request is counted under."""
    for answer in answers:
        metrics.count_strategy(route, answer.strategy, answer.variant or "")
    return answers[0].strategy


def count_strategy(request: Request, strategy: str) -> None:
    """Count one answer that is no list of products."""
    request.scope["strategy"] = strategy
    runtime_of(request).metrics.count_strategy(request.scope["path_template"], strategy, "")
