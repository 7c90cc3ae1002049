"""How often a key may ask: a bucket of tokens that fills evenly (token bucket)."""

from __future__ import annotations

from dataclasses import dataclass

#: A key may ask this many seconds' worth at once.
_BURST_SECONDS = 10.0


@dataclass
class Bucket:
    """One key's allowance in this process."""

    per_second: float
    tokens: float
    at: float  # of a monotonic clock, in seconds


class RateLimit:
    """The buckets of all keys. With several workers, each allows its share."""

    def __init__(self, *, workers: int = 1) -> None:
        self.workers = workers
        self._buckets: dict[str, Bucket] = {}

    def wait(self, key_id: str, per_minute: int, *, at: float) -> float:
        """Seconds until the key may ask again; 0 when it may now, and then it has."""
        per_second = per_minute / 60 / self.workers
        bucket = self._buckets.get(key_id)
        if bucket is None or bucket.per_second != per_second:
            bucket = self._buckets[key_id] = Bucket(per_second, _most(per_second), at)
        bucket.tokens = min(_most(per_second), bucket.tokens + (at - bucket.at) * per_second)
        bucket.at = at
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / per_second


def _most(per_second: float) -> float:
    return max(1.0, per_second * _BURST_SECONDS)
