"""Plots for the quality pages: small SVGs with a title and the figures in words, no script, no outside address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_INK, _QUIET, _ACCENT, _ALARM = "#1f2933", "#52606d", "#2f6f8f", "#b44d12"
_WIDTH = 900
_MOST_POINTS = 900


def _svg(name: str, title: str, told: str, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(told)}</desc>{"".join(body)}</svg>'
    )


def _text(x: float, y: float, said: str, *, anchor: str = "start") -> str:
    halo = 'stroke="#fff" stroke-width="4" paint-order="stroke"'  # what lies behind does not cross the letters
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="13" text-anchor="{anchor}" fill="{_INK}" {halo}>'
        f"{escape(said)}</text>"
    )


def by_day(name: str, title: str, days: Mapping[str, int]) -> str:
    """A column for each day; of more days than fit, means of as many in a row."""
    if not days:
        return ""
    step = -(-len(days) // _MOST_POINTS)
    keys, values = list(days), list(days.values())
    means = [sum(values[i : i + step]) / len(values[i : i + step]) for i in range(0, len(values), step)]
    most, left, top, tall = max(max(means), 1), 60, 10, 150
    wide = (_WIDTH - left) / len(means)
    body = [
        f'<rect x="{left + i * wide:.1f}" y="{top + tall * (1 - mean / most):.1f}" width="{max(wide * 0.9, 0.6):.2f}" '
        f'height="{tall * mean / most:.1f}" fill="{_ACCENT}"/>'
        for i, mean in enumerate(means)
    ]
    body += [_text(left - 6, top + 10, f"{most:,.0f}", anchor="end"), _text(left - 6, top + tall, "0", anchor="end")]
    body += [_text(left, top + tall + 18, keys[0]), _text(_WIDTH, top + tall + 18, keys[-1], anchor="end")]
    each = "" if step == 1 else f" Each column is the mean of {step} days."
    told = f"{keys[0]} to {keys[-1]}: from {min(values):,} to {max(values):,} a day.{each}"
    return _svg(name, title, told, top + tall + 26, body)


def bars(
    name: str, title: str, values: Mapping[str, float], *, limits: Sequence[float] = (), form: str = "{:.2f}"
) -> str:
    """A bar for each value, in order, with its figure; those from the last of `limits` on stand out."""
    if not values:
        return ""
    most = max([*values.values(), *limits]) or 1.0
    left, row, right = 250, 20, 70
    width = _WIDTH - left - right
    tall = row * len(values)
    body = [
        f'<line x1="{left + width * limit / most:.1f}" x2="{left + width * limit / most:.1f}" y1="0" y2="{tall}" '
        f'stroke="{_QUIET}" stroke-dasharray="4 3"/>'
        for limit in limits
    ]
    for i, (label, value) in enumerate(values.items()):
        alarming = bool(limits) and value >= limits[-1]
        length = max(width * value / most, 1)
        body += [
            _text(left - 8, row * i + 14, label if len(label) < 36 else f"{label[:34]}…", anchor="end"),
            f'<rect x="{left}" y="{row * i + 4}" width="{length:.1f}" height="{row - 7}" '
            f'fill="{_ALARM if alarming else _ACCENT}"/>',
            _text(left + length + 6, row * i + 14, form.format(value)),
        ]
    for limit, anchor in zip(limits, ("end", "start"), strict=False):
        body.append(_text(left + width * limit / most, tall + 14, f"{limit:g}", anchor=anchor))
    told = "; ".join(f"{label} {form.format(value)}" for label, value in values.items())
    return _svg(name, title, told, tall + 20, body)
