"""Pages made from templates, in the reader's language; everything put into them is escaped."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.console import shown
from serving.console.assets import address
from serving.console.retold import retold
from serving.console.told import why
from serving.console.words import LANGUAGES, Words, words
from training.insight.words import word

if TYPE_CHECKING:
    from jinja2 import Environment

    from serving.console.visit import Visit

FOLDER = Path(__file__).with_name("templates")


def render(template: str, visit: Visit, **values: object) -> str:
    """The template filled, with what every page needs: words of the language, the session, the place."""
    told = words(visit.lang)
    return (
        environment(visit.lang)
        .get_template(template)
        .render(
            visit=visit,
            state=visit.state,
            lang=visit.lang,
            languages=LANGUAGES,
            _=told.say,
            many=told.many,
            csrf="" if visit.session is None else visit.session.csrf,
            **values,
        )
    )


@lru_cache(maxsize=len(LANGUAGES))
def environment(lang: str) -> Environment:
    """The templates, made ready when the first page is asked for: a server that answers none need not load them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    told = words(lang)
    made.globals["asset"] = address
    made.filters.update(_filters(told))
    return made


def _filters(told: Words) -> dict[str, Any]:
    return {
        "number": shown.number,
        "money": shown.money,
        "percent": shown.percent,
        "day": lambda moment: shown.day(moment, told.lang),
        "time": lambda moment: shown.time(moment, told.lang),
        "breakable": shown.breakable,
        "row_id": shown.row_id,
        "spark": shown.spark,
        "as_json": shown.as_json,
        "heat": shown.heat,
        "word": lambda key: word(str(key), told.lang),
        "retold": lambda text: retold(str(text), told.lang),
        "told_why": lambda item: why(item, told.lang),
    }
