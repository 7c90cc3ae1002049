"""How figures are written on the report: counts, shares, money, and the tints of heat maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: What is not known.
DASH = "\N{EN DASH}"
#: The colours of a tint, as red, green, blue: above and below.
ABOVE, BELOW = (11, 110, 110), (194, 106, 45)


@dataclass(frozen=True)
class Figures:
    """In a language and a currency; a value that is not known is a dash."""

    language: str
    currency: str = ""

    def count(self, value: float | None) -> str:
        """A whole number, with thousands apart."""
        return DASH if value is None else f"{value:,.0f}"

    def share(self, value: float | None) -> str:
        """A share in per cent; below ten with one decimal."""
        if value is None:
            return DASH
        return f"{value:.1%}" if abs(value) < 0.0995 and value else f"{value:.0%}"

    def number(self, value: float | None) -> str:
        """A number with the digits it deserves."""
        if value is None:
            return DASH
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 1 else f"{value:,.2f}"

    def money(self, value: float | None) -> str:
        """An amount with its currency; large ones without cents."""
        if value is None:
            return DASH
        return f"{value:,.{0 if abs(value) >= 100 else 2}f} {self.currency}".rstrip()

    def signed_share(self, value: float | None) -> str:
        """A difference of shares in points of per cent, with its sign."""
        return DASH if value is None else f"{100 * value:+.1f}"


def tint(value: float | None, *, most: float, least: float = 0.0) -> str:
    """The style of a place of a heat map: darker for more, from `least` to `most`."""
    if value is None or most <= least:
        return ""
    return _style(min(max((value - least) / (most - least), 0.0), 1.0), ABOVE)


def tint_around(value: float | None, *, middle: float, steps: float) -> str:
    """The style of a place of a heat map around a middle: one colour above and one below, by `steps` doublings."""
    if value is None or value <= 0:
        return ""
    away = math.log2(value / middle) / steps
    return _style(min(abs(away), 1.0), ABOVE if away > 0 else BELOW)


def tint_signed(value: float, *, most: float) -> str:
    """The style of a place of a heat map around 0."""
    return _style(min(abs(value) / most, 1.0), ABOVE if value > 0 else BELOW)


def _style(part: float, colour: tuple[int, int, int]) -> str:
    # Never so dark that the page's own ink could not be read on it, on white paper or on black.
    return f"background:rgba({colour[0]},{colour[1]},{colour[2]},{0.03 + 0.57 * part:.2f})"
