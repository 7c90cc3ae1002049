"""The results of all benchmarks as one self-contained page: tables, and each ratio as a bar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

#: Ratios beyond are drawn as if they were this much, either way.
_FURTHEST = 32.0
_HALF = 90  # pixels from level to the furthest
_TEMPLATE = Path(__file__).with_name("results.html.jinja")


def page(results: Mapping[str, Any]) -> str:
    """HTML of benchmarks/results.json."""
    environment = Environment(autoescape=True, trim_blocks=True)
    environment.filters |= {"figure": _figure, "bar": _bar}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(**results)


def _figure(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def times_better(row: Mapping[str, Any]) -> float | None:
    """How many times better ours is, below 1 where it is worse; None where there is no ratio."""
    ratio = row["ratio"]
    if not ratio or not math.isfinite(ratio) or ratio < 0:
        return None
    return float(ratio if row["higher_is_better"] else 1 / ratio)


def _bar(row: Mapping[str, Any]) -> Any:
    better = times_better(row)
    if better is None:
        return ""
    length = math.log(min(max(better, 1 / _FURTHEST), _FURTHEST)) / math.log(_FURTHEST) * _HALF
    start, width = (_HALF, length) if length >= 0 else (_HALF + length, -length)
    colour = "var(--good)" if row["ahead"] else "var(--bad)"
    return Markup(
        f'<svg width="{2 * _HALF}" height="12" role="img" aria-label="{better:.2f} times better">'
        f'<rect x="{start:.1f}" y="2" width="{max(width, 1):.1f}" height="8" fill="{colour}"/>'
        f'<line x1="{_HALF}" y1="0" x2="{_HALF}" y2="12" stroke="currentColor"/></svg>'
    )
