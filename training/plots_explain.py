"""Pictures of what a model goes by: importance by topic, dependence on features, and groups with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.plots import INK, MUTED, OURS, figure_at, quiet

#: Groups drawn at most: the largest.
MOST_GROUPS = 30


def explanation_pictures(found: Mapping[str, Any], into: Path) -> list[Path]:
    """The pictures of an explanation (training.explain), as PNG files."""
    title = f"{str(found['model']).capitalize()} as of {found['as_of']}"
    drawn = [importance(into / "importance.png", found["topics"], title=title)]
    if found["dependence"]:
        drawn.append(dependence(into / "dependence.png", found["dependence"], title=title, event=found["predicted"]))
    if found["groups"]:
        drawn.append(groups(into / "groups.png", found["groups"], title=title))
    return drawn


def importance(path: Path, topics: Sequence[Mapping[str, Any]], *, title: str) -> Path:
    """Mean absolute contribution of each topic to the score, largest on top."""
    with figure_at(path, f"{title}: what it goes by", height=1.2 + 0.28 * len(topics)) as figure:
        axes = figure.subplots()
        names = [str(topic["topic"]) for topic in topics][::-1]
        axes.barh(names, [float(topic["importance"]) for topic in topics][::-1], color=OURS, height=0.62)
        axes.set(xlabel="mean of |contribution to the score|")
        quiet(axes)
    return path


def dependence(path: Path, curves: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str, event: str) -> Path:
    """Mean prediction with a feature set to each value in turn, one small picture a feature, on one scale."""
    rows = (len(curves) + 1) // 2
    with figure_at(path, f"{title}: predicted {event}", height=0.8 + 1.9 * rows) as figure:
        panels = figure.subplots(rows, 2, sharey=True, squeeze=False).ravel()
        for axes in panels[len(curves) :]:
            axes.set_visible(False)
        for axes, (feature, points) in zip(panels, curves.items(), strict=False):
            values = [point["value"] for point in points]
            axes.plot(values, [point["prediction"] for point in points], color=OURS, marker="o", markersize=3)
            axes.set_title(feature.replace("_", " "), fontsize=8.5, color=INK, loc="left")
            if values and isinstance(values[0], str):
                axes.tick_params(axis="x", rotation=30)
            quiet(axes)
    return path


def groups(path: Path, rows: Sequence[Mapping[str, Any]], *, title: str) -> Path:
    """What came true over what was predicted, and the AUC, of each group with 95% intervals; weak groups are marked."""
    shown = [row for row in rows if row["ratio"] is not None][:MOST_GROUPS][::-1]
    with figure_at(path, f"{title}: by group", height=1.2 + 0.24 * max(len(shown), 1)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for place, row in enumerate(shown):
            color = "#b0567a" if row["weak"] else OURS
            for axes, name in ((left, "ratio"), (right, "auc")):
                if row[name] is not None:
                    axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [place, place], color=color, linewidth=1.2)
                    axes.plot([row[name]], [place], color=color, marker="o", markersize=4)
        left.axvline(1.0, color=MUTED, linewidth=1, dashes=(4, 3))
        labels = [f"{row['kind'].removeprefix('attribute_').replace('_', ' ')}: {row['group']}" for row in shown]
        left.set_yticks(range(len(shown)), labels)
        left.set(xlabel="came true / predicted")
        right.set(xlabel="AUC")
        for axes in (left, right):
            quiet(axes)
    return path
