"""The commands about personal data: export, erase, retain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.settings import current_settings
from features.terminal import out, print_json, print_table, step

if TYPE_CHECKING:
    from serving.privacy import Report

app = typer.Typer(
    no_args_is_help=True,
    help="Personal data: export or erase a customer's, remove what is too old.",
    epilog="Example:  regulars privacy erase 17850",
)
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("export", epilog="Example:  regulars privacy export 17850 --out 17850.json")
def export_customer(
    customer: Annotated[str, typer.Argument(help="The customer's id.", show_default=False)],
    to: Annotated[Path, typer.Option("--out", help="The JSON file to write, for the owner alone.", show_default=False)],
) -> None:
    """Write down everything that is kept of a customer: orders, events, contacts, notes, features, scores, lists."""
    import json

    from features.home import write_private
    from serving.keys import now_utc
    from serving.privacy_export import export

    with step("Gathering what is kept"):
        found = export(current_settings(), customer, now=now_utc())
    write_private(to.resolve(), json.dumps(found, indent=2, ensure_ascii=False, default=_plain).encode())
    rows = [
        (part, name, len(rows) if isinstance(rows, list) else 1)
        for part, tables in found.items()
        if isinstance(tables, dict)
        for name, rows in tables.items()
    ]
    print_table(f"Written to {to}", ("part", "of it", "rows"), rows)


@app.command(
    epilog="Example:  regulars privacy erase 17850 --dry-run   or   regulars privacy erase --from-file ids.txt"
)
def erase(
    customers: Annotated[list[str] | None, typer.Argument(help="Ids of customers.", show_default=False)] = None,
    from_file: Annotated[Path | None, typer.Option(help="Text file of ids, one a line.", show_default=False)] = None,
    allow_return: Annotated[
        bool, typer.Option("--allow-return", help="Later loads and events may bring them in again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase customers everywhere: lake, features, scores, ranked lists, pictures, events, outcomes, notes, plans.

    The request is written down first, as a keyed hash of the id, and later
    loads and events leave those customers out. For somebody erased who may
    come back, erase them once more with --allow-return.

    Servers stop answering with what was erased within seconds. What models
    learned cannot be taken out of them: they are noted as to be trained again.
    Cut short, the same command completes it.
    """
    from serving.keys import now_utc
    from serving.privacy import erase as erase_everywhere

    wanted = [*(customers or []), *_lines(from_file)]
    if not wanted:
        raise typer.BadParameter("name customers, or a file of them with --from-file", param_hint="CUSTOMER")
    many = f"{len(set(wanted)):,} customer{'s' if len(set(wanted)) > 1 else ''}"
    with step(f"Looking for {many}" if dry_run else f"Erasing {many}") as say:
        report = erase_everywhere(
            current_settings(), wanted, now=now_utc(), may_return=allow_return, dry_run=dry_run, say=say
        )
    _tell(report, f"Would be erased of {many}" if dry_run else f"Erased of {many}", as_json=as_json)
    if not as_json and report.retrain:
        out.print(
            "[yellow]note[/] Models have learned from them, which cannot be taken out of a model. Train and score "
            "again:  regulars train && regulars score",
            soft_wrap=True,
        )


@app.command(epilog="Example:  regulars privacy retain --dry-run")
def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    r"""Remove what is older than the shop keeps. Run it each night; unset limits keep for good.

    In regulars.toml:

        \[privacy]
        keep_orders_days = 1095
        keep_events_days = 180
        keep_outcomes_days = 730
    """
    from serving.keys import now_utc
    from serving.privacy import retain as remove_old

    with step("Looking for what is too old" if dry_run else "Removing what is too old") as say:
        report = remove_old(current_settings(), now=now_utc(), dry_run=dry_run, say=say)
    _tell(report, "Would be removed" if dry_run else "Removed", as_json=as_json)


@app.command(
    epilog="Example:  regulars privacy pseudonyms 17850   or   regulars privacy pseudonyms --from-file ids.txt --out "
    "names.csv"
)
def pseudonyms(
    customers: Annotated[list[str] | None, typer.Argument(help="Ids of customers.", show_default=False)] = None,
    from_file: Annotated[Path | None, typer.Option(help="Text file of ids, one a line.", show_default=False)] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="The CSV file to write, for the owner alone.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    r"""The pseudonyms of customers, to find in the shop's own systems whom a list names.

    Nothing leads from a pseudonym back to an id: give all ids of the shop, and join.

    In regulars.toml, before the first load:

        \[privacy]
        pseudonyms = true
    """
    import csv
    import io

    from features.errors import ConfigError
    from features.home import write_private
    from features.pseudonyms import pseudonyms_of

    found = pseudonyms_of(current_settings())
    if found is None:
        raise ConfigError("Customers are held by the shop's own ids here: [privacy] pseudonyms is off.")
    ids = [*(customers or []), *_lines(from_file)]
    if not ids:
        raise typer.BadParameter("name customers, or a file of them with --from-file", param_hint="CUSTOMER")
    rows = [(one, found.of(one)) for one in dict.fromkeys(ids)]
    header = ("customer_id", "pseudonym")
    if to is not None:
        text = io.StringIO()
        csv.writer(text).writerows([header, *rows])
        write_private(to.resolve(), text.getvalue().encode())
        out.print(f"{len(rows):,} written to {to}")
    elif as_json:
        print_json(dict(rows))
    else:
        print_table("Pseudonyms", header, rows)


def _tell(report: Report, title: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(report))
        return
    counts: Mapping[str, int] = report.counts
    print_table(title, ("where", "rows"), sorted(counts.items()) or [("nothing was there", 0)])


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: cannot be read ({error}).", param_hint="--from-file") from None
    return [line.strip() for line in lines if line.strip()]


def _plain(value: object) -> str:
    """A time in ISO 8601, money as it stands."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
