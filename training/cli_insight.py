"""The commands that picture the shop: report, insight."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.errors import ConfigError
from features.terminal import out, print_json, print_table, progress, step
from training.cli_arguments import AsJson, current_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from training.insight.files import Insight
    from training.insight.portrait import Rules

DOCS = "docs"


@contextmanager
def picturing() -> Iterator[Callable[[str], None]]:
    """A bar of progress; the block is given what to tell each step that is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from training.insight.picture import STEPS

    title = "Picturing the shop"
    if not progress.is_terminal:
        with step(title) as say:
            yield lambda name: say(f"{name.replace('_', ' ')} ({STEPS.index(name) + 1} of {len(STEPS)})")
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    started = time.perf_counter()
    with Progress(*columns, console=progress, transient=True) as bar:
        task = bar.add_task(f"{title}: {STEPS[0]}", total=len(STEPS))

        def done(name: str) -> None:
            following = STEPS[min(STEPS.index(name) + 1, len(STEPS) - 1)]
            bar.update(task, advance=1, description=f"{title}: {following.replace('_', ' ')}")

        yield done
    progress.print(f"[green]\N{CHECK MARK}[/] {title} [dim]{time.perf_counter() - started:.1f} s[/]")


def kept_now(rules: Rules | None = None) -> Insight:
    """The picture of the lake as it is, taken if there is none yet."""
    from training.insight.keep import keep_insight

    context = current_context()
    with picturing() as done:
        return keep_insight(context, at=datetime.now(UTC), rules=rules, done=done)


class Language(StrEnum):
    """The languages of the report."""

    EN = "en"
    ZH = "zh"


def report(
    to: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    lang: Annotated[Language, typer.Option(help="Of the page.")] = Language.EN,
    best_spend: Annotated[float | None, typer.Option(min=0, help="Best customers: least spend in 364 days.")] = None,
    best_categories: Annotated[int | None, typer.Option(min=0, help="Best customers: fewest categories.")] = None,
    best_visits: Annotated[int | None, typer.Option(min=0, help="Best customers: fewest days with an order.")] = None,
    margin: Annotated[float | None, typer.Option(min=0, max=1, help="Of spend, for the profit of campaigns.")] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="Of one contact, for the profit of campaigns.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one page with the whole picture of the shop's customers, in English or Chinese, to forward.

    It needs no network and runs no script. A threshold of best customers that
    is not given is that of [best_customers] in regulars.toml, else what the
    first fifth of those who bought lately reach. With other thresholds than
    before, the picture that the console shows changes too, until the next
    regulars score.
    """
    from features.home import write_text
    from training.insight.page import report_page
    from training.insight.portrait import Rules

    given = {"spend": best_spend, "categories": best_categories, "visits": best_visits}
    thresholds = {name: value for name, value in given.items() if value is not None}
    found = kept_now(Rules(best=thresholds, margin=margin, cost_per_contact=cost))
    write_text(to, report_page(found, language=lang.value))
    if as_json:
        print_json({"version": found.version, "page": str(to), "about": found.about, "tables": found.tables})
        return
    out.print(f"The page is {to}, as of {found.about['as_of'][:10]}: {found.about['customers']:,} customers.")


def insight(
    name: Annotated[str | None, typer.Argument(help="Which table; all are listed when none is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """The shop's picture of its customers, one table at a time: segments, deciles, cohorts, what sells with what.

    Written by  regulars score  too, for the server. What each figure means, with
    formula and source, stands in docs/insights.md, which  regulars insight docs
    prints.
    """
    if name == DOCS:
        from training.insight.reference import reference

        typer.echo(reference())
        return
    found = kept_now()
    tables = found.tables
    if name is None:
        if as_json:
            print_json({"version": found.version, "about": found.about, "tables": tables})
            return
        rows = [(table, _size(value)) for table, value in tables.items()]
        print_table(f"Picture {found.version} as of {found.about['as_of'][:10]}", ("table", "holds"), rows)
        out.print("One of them:  regulars insight segments")
        return
    if name not in tables:
        raise ConfigError(f"There is no table '{name}' in the picture. Tables: {', '.join(tables)}.")
    if as_json:
        print_json(tables[name])
    else:
        _print(name, tables[name])


def _size(value: Any) -> str:
    if value is None:
        return "nothing: the shop's data do not tell"
    if isinstance(value, Mapping):
        return ", ".join(value)
    return f"{len(value):,} rows"


def _print(title: str, value: Any) -> None:
    """Rows as a table, a matrix as one, anything else part by part."""
    if isinstance(value, Mapping) and {"rows", "columns", "values"} <= set(value):
        rows = [
            [name, *(_shown(cell) for cell in cells)]
            for name, cells in zip(value["rows"], value["values"], strict=True)
        ]
        print_table(title, ("", *(str(name) for name in value["columns"])), rows)
    elif isinstance(value, Mapping):
        plain = [(name, _shown(part)) for name, part in value.items() if not isinstance(part, Mapping | list)]
        if plain:
            print_table(title, ("", ""), plain)
        for name, part in value.items():
            if isinstance(part, Mapping | list) and part:
                _print(f"{title}: {name}", part)
    elif isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        names = [name for name in value[0] if not isinstance(value[0][name], Mapping)]
        print_table(title, names, [[_shown(row[name]) for name in names] for row in value])
    elif value is None:
        out.print(f"{title}: the shop's data do not tell.")
    else:
        print_table(title, ("", ""), [(place, _shown(one)) for place, one in enumerate(value)])


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(str(_shown(one)) for one in value)
    return value
