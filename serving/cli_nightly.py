"""The command that runs the night: nightly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from features.errors import ConfigError, NotReadyError
from features.settings import current_settings, server_settings
from features.terminal import out, print_json, print_table, progress
from training.cli_arguments import AsJson

#: The exit code where another run is going on.
BUSY = 4


def nightly(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show the last run, and the one going on.")] = False,
    accept: Annotated[
        str | None, typer.Option(help="Why the data are right although a floor held them.", show_default=False)
    ] = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Of several shops, each in turn; --dry-run and --json go along.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Everything a night needs, in one run: from new orders to new scores, and word of how it went.

    It pulls the sources, checks the data, computes features, scores, looks for
    drift, trains what is due or drifted, back-tests it beside the champion,
    promotes it or holds it with a reason, scores anew, and tells by webhook and
    e-mail. In regulars.toml:

        \[nightly]
        sources = \[{ source = "files", mapping = "shop.toml" }]
        retrain_days = 28

    Killed at any step and run again, it resumes there. Run twice with nothing
    new, it does nothing and says so. Where a step fails, what is safe goes on,
    and the last good scores and models stay served. The report of each run is
    kept in the data home, below nightly/.

    Exit codes: 0 all right, 1 failed, 3 done or held back with something to
    look at, 4 another run is going on. Timers, webhooks and alerts:
    docs/nightly.md.
    """
    if all_tenants:
        _all_tenants([f"--{name}" for name, asked in (("dry-run", dry_run), ("json", as_json)) if asked])
        return
    settings = current_settings()
    if status:
        _status(as_json=as_json)
        return
    if dry_run:
        from serving.nightly.plan import plan

        rows = plan(settings, clock=_now)
        if as_json:
            print_json([{"step": name, "would": would} for name, would in rows])
        else:
            print_table("A nightly run would", ("step", "do"), rows)
        return
    from serving.nightly.journal import PAGE, BusyError
    from serving.nightly.record import EXIT_CODES, Status
    from serving.nightly.run import nightly as run_nightly

    try:
        ended = run_nightly(settings, clock=_now, accepted=accept)
    except BusyError as error:
        progress.print(f"[bold red]error:[/] {error}", soft_wrap=True)
        raise typer.Exit(BUSY) from None
    run = ended.run
    if as_json:
        print_json({**run.as_json(), "report": str(ended.report)})
    else:
        _show(run.as_json())
        out.print(f"The report is {ended.report / PAGE}", soft_wrap=True)
    code = EXIT_CODES[run.result or Status.FAILED]
    if code:
        raise typer.Exit(code)


def _all_tenants(options: list[str]) -> None:
    from serving.nightly.every_shop import every_shop, worst

    server = server_settings()
    if not server.tenants:
        raise ConfigError("--all-tenants is for several shops, and none are named. See [tenants] in docs/tenants.md.")
    codes = every_shop(server, options)
    progress.print(", ".join(f"{name}: {code}" for name, code in codes.items()))
    if worst([*codes.values()]):
        raise typer.Exit(worst([*codes.values()]))


def _now() -> datetime:
    return datetime.now(UTC)


def _status(*, as_json: bool) -> None:
    from serving.nightly.journal import PAGE, Journal

    journal = Journal(current_settings().data_home)
    going, last, summary = journal.unfinished(), journal.last_finished(), journal.last_summary()
    held = going is not None and journal.is_held()
    if as_json:
        print_json(
            {
                "last": summary,
                "steps": [] if last is None else last.as_json()["steps"],
                "going_on": held,
                "unfinished": None if going is None else going.as_json(),
            }
        )
        return
    if going is not None:
        at = list(going.steps)[-1] if going.steps else "the beginning"
        what = "is going on" if held else "was cut short, and is resumed by  regulars nightly"
        out.print(f"The run of {going.run} {what}: at {at}.")
    if summary is None:
        if going is None:
            raise NotReadyError("No nightly run has finished yet. Run one:  regulars nightly")
        return
    if last is None:
        out.print(f"The last run, {summary['run']}: {summary['result']}. Its report is gone.")
        return
    _show(last.as_json())
    out.print(f"Last without failure: {(summary['succeeded_at'] or 'never')[:19]}")
    out.print(f"The report is {journal.root / summary['report'] / PAGE}", soft_wrap=True)


def _show(run: dict[str, Any]) -> None:
    rows = [(one["name"], one["status"], f"{one['seconds']:.1f} s", "\n".join(_said(one))) for one in run["steps"]]
    title = f"Nightly run {run['run']}: {run['result']}"
    if run["nothing_new"]:
        title += ". Nothing new came in: nothing was done"
    print_table(title, ("step", "status", "time", "said"), rows)


def _said(step: dict[str, Any]) -> list[str]:
    before = [f"As in the run of {step['of_run']}."] if step["of_run"] else []
    return [*before, *step["said"], *(f"What to do: {do}" for do in step["do"])]
