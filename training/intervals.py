"""Intervals of shares."""

from __future__ import annotations

import math

from training.off_policy import Z95


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    share = successes / n
    middle = (share + Z95 * Z95 / (2 * n)) / (1 + Z95 * Z95 / n)
    half = Z95 / (1 + Z95 * Z95 / n) * math.sqrt(share * (1 - share) / n + Z95 * Z95 / (4 * n * n))
    return max(middle - half, 0.0), min(middle + half, 1.0)
