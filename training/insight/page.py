"""The report: one page with every insight and its plots, which needs no network and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape

from training.insight.faces import Cube
from training.insight.figures import Figures, tint, tint_around, tint_signed
from training.insight.files import Insight
from training.insight.findings import findings
from training.insight.report_words import text
from training.insight.rfm import GRID
from training.insight.words import DEFAULT, segment_name, tag_rule, word

TEMPLATES = Path(__file__).parent / "templates"
SECTIONS = (
    *("states", "cohorts", "segments", "deciles", "best", "grades", "lifetime", "behaviour", "tags", "movement"),
    *("products", "baskets", "cross_sell", "up_sell", "affinity", "places", "campaigns", "cube"),
)
#: The states in the order of a column, from below.
STATES = ("active", "returned", "new", "cooling", "lost")
#: Faces of the cube shown, the first of each that there is.
FACES = (("weekday", "daypart"), ("segment", "department"), ("segment", "category"))
#: The plane of the curve: left, right, top, bottom.
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 410, 10, 260


def report_page(insight: Insight, *, language: str = DEFAULT) -> str:
    """The page in English or Chinese; what comes from the data is escaped. Raises ConfigError for another language."""
    about, tables = insight.about, insight.tables
    word("customers", language)
    figures = Figures(language, about["currency"])
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader,
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "f": figures,
        "t": lambda key, **places: text(key, language, **places),
        "w": lambda key: word(str(key), language),
        # A long name may be broken behind a stroke.
        "breakable": lambda name: str(name).replace("/", "/\N{ZERO WIDTH SPACE}"),
    }
    environment.filters["wordof"] = environment.globals["w"]
    return environment.get_template("report.html").render(
        language=language,
        css=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        about=about,
        as_of=about["as_of"][:10],
        tables=tables,
        tiles=_tiles(insight, figures),
        found=findings(about, tables, figures),
        rule=lambda row: tag_rule(row["tag"], row["threshold"], language),
        sections=[name for name in SECTIONS if tables.get(name, True) is not None],
        states=STATES,
        most_customers=max((sum(row[state] for state in STATES) for row in tables["states"]), default=1),
        grid=GRID,
        tint_grid=partial(tint, most=float(max(max(row) for row in tables["rfm_grid"]))),
        tint_share=partial(tint, most=1.0),
        tint_half=partial(tint, most=0.5),
        tint_index=partial(tint_around, middle=100.0, steps=1.5),
        tint_deviation=partial(tint_signed, most=2.0),
        most_segment=_most_share(tables["segments"]),
        most_grade=_most_share(tables["grades"]["groups"]),
        **_cohorts(tables["cohorts"], figures),
        **_deciles(tables["deciles"]["spend"], figures),
        **_behaviour(tables["behaviour"], figures),
        **_lifetime(tables["lifetime"], figures),
        **_own_tints(tables),
        faces=_faces(insight.cube, language, has_spend=about["has_spend"]),
    )


def _tiles(insight: Insight, figures: Figures) -> list[tuple[str, str]]:
    about, tables = insight.about, insight.tables
    last, language = tables["states"][-1], figures.language
    active = last["new"] + last["active"] + last["returned"]
    tiles = [
        (figures.count(about["customers"]), text("tile_customers", language)),
        (figures.count(active), text("tile_active", language, days=about["horizon_days"])),
        (figures.count(last["lost"]), text("tile_lost", language)),
        (figures.count(tables["best"]["customers"]), text("tile_best", language)),
    ]
    if about["has_spend"]:
        spent = sum(row["spend"] or 0.0 for row in tables["segments"])
        tiles += [
            (figures.money(spent), text("tile_spend", language)),
            (figures.money(spent / max(about["customers"], 1)), text("tile_mean", language)),
        ]
    return tiles


def _cohorts(cohorts: dict[str, Any], figures: Figures) -> dict[str, Any]:
    """Rows with their size, and below them all cohorts together; months that no cohort has lived are left out."""
    lived = [k for k in cohorts["columns"] if any(row[k] is not None for row in cohorts["values"])]
    named = zip(cohorts["rows"], cohorts["customers"], strict=True)
    rows = [f"{month} ({figures.count(n)})" for month, n in named]
    values = [[row[k] for k in lived] for row in (*cohorts["values"], cohorts["mean"])]
    return {
        "cohort_rows": [*rows, text("all_cohorts", figures.language)],
        "cohort_columns": [text("month", figures.language, k=k) for k in lived],
        "cohort_values": values,
    }


def _deciles(spend: dict[str, Any] | None, figures: Figures) -> dict[str, Any]:
    """The curve of sales over customers, as points of the plane, three of them named."""
    if spend is None or not spend["customers"][-1]["amount_so_far"]:
        return {"curve": None, "curve_labels": [], "most_tenth": 1}
    points = [(0.0, 0.0)]
    total = sum(row["customers"] for row in spend["customers"])
    so_far = 0
    for row in spend["customers"]:
        so_far += row["customers"]
        points.append((so_far / total, min(row["share_so_far"], 1.0)))
    placed = [(_LEFT + (_RIGHT - _LEFT) * x, _BOTTOM - (_BOTTOM - _TOP) * y) for x, y in points]
    labels = [
        (round(placed[k][0], 1), round(placed[k][1], 1), f"{10 * k}%: {figures.share(points[k][1])}") for k in (1, 2, 5)
    ]
    return {
        "curve": " ".join(f"{x:.1f},{y:.1f}" for x, y in placed),
        "curve_labels": labels,
        "most_tenth": max(*(row["customers"] for row in spend["sales"]), 1),
    }


def _behaviour(behaviour: dict[str, Any] | None, figures: Figures) -> dict[str, Any]:
    if behaviour is None:
        return {}
    language, segments = figures.language, behaviour["segments"]
    names = [segment_name(one["named_by"], language) for one in segments]
    chosen = next(row for row in behaviour["tried"] if row["chosen"])
    return {
        "behaviour_rows": [
            f"{name} ({figures.count(one['customers'])})" for name, one in zip(names, segments, strict=True)
        ],
        "behaviour_values": [[one["deviations"][trait] for trait in behaviour["traits"]] for one in segments],
        "behaviour_note": text(
            "behaviour_note", language, k=len(segments), stability=figures.number(chosen["stability"])
        ),
        "behaviour_name": lambda number: names[int(number)],
        "trait": lambda name: word(f"{name}_high", language),
    }


def _lifetime(lifetime: dict[str, Any], figures: Figures) -> dict[str, str]:
    notes = {}
    for name, key in (("historic", "lifetime_note"), ("predicted", "predicted_note")):
        spread = lifetime[name]
        if spread is not None and spread["customers"]:
            quantiles = {
                "median": figures.money(spread["quantiles"]["50%"]),
                "top": figures.money(spread["quantiles"]["90%"]),
            }
            notes[key] = text(key, figures.language, mean=figures.money(spread["mean"]), **quantiles)
    return {"lifetime_note": "", "predicted_note": "", **notes}


def _most_share(rows: Sequence[Mapping[str, Any]]) -> float:
    """The largest share of customers or of sales of any group: what a whole bar stands for."""
    return max(*(row["share"] for row in rows), *(row["spend_share"] or 0.0 for row in rows)) or 1.0


def _own_tints(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tints that go by the largest value of their own matrix."""
    moved = tables["movement"] and tables["movement"]["segment"]
    found = {}
    for name, matrix in (("tint_moved", moved), ("tint_tiers", tables["up_sell"])):
        if matrix:
            found[name] = partial(tint, most=float(max(max(row) for row in matrix["values"])))
    return found


def _faces(cube: Cube, language: str, *, has_spend: bool) -> list[dict[str, Any]]:
    values = {one.name: one.values for one in cube.dimensions}
    measure = "spend" if has_spend else "orders"
    found, rows_shown = [], set()
    for rows, columns in FACES:
        if rows in rows_shown or not {rows, columns} <= set(values):
            continue
        rows_shown.add(rows)
        face = cube.face(rows, columns, measure)
        found.append(
            {
                "rows": values[rows],
                "columns": values[columns],
                "values": [[None if np.isnan(value) else float(value) for value in row] for row in face],
                "title": f"{word(rows, language)} / {word(columns, language)}: {word(measure, language)}",
                "tint": partial(tint, most=float(np.nanmax(face)) if not np.isnan(face).all() else 0.0),
            }
        )
    return found
