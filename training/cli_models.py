"""The commands about versions of models: list them, which is what the bare form does, and prune old ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from features.settings import current_settings
from features.terminal import out, print_json, print_table
from training.cli_arguments import AsJson, Model
from training.grades import grade as grade_of
from training.protocols import MODELS
from training.version_listing import described

if TYPE_CHECKING:
    from training.versions import ModelVersion

LIST = "list"


class ListsUnlessTold(typer.core.TyperGroup):
    """A group whose bare form, with its arguments, is its command `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What was given, after `list` where no command is named."""
        named = any(one in self.commands for one in args)
        helping = bool(args) and args[0] in ctx.help_option_names
        return list(super().parse_args(ctx, args if named or helping else [LIST, *args]))


models = typer.Typer(
    cls=ListsUnlessTold,
    help="List the versions in the registry, or remove old ones.",
    epilog="Example:  regulars models churn --log",
)


@models.command("list", epilog="Example:  regulars models churn --log")
def list_versions(
    model: Annotated[Model | None, typer.Argument(help="Which model; all when none is named.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Show the promotion log instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the versions in the registry, or who promoted what, when and why."""
    from training.promotions import history
    from training.run import listing
    from training.tracking import open_registry

    home = current_settings().data_home
    if log:
        rows = history(home, model.value if model else None)
        if as_json:
            print_json([asdict(row) for row in rows])
            return
        print_table(
            "Promotion log",
            ("when", "who", "model", "what", "from", "to", "why"),
            [(f"{r.at:%Y-%m-%d %H:%M}", r.who, r.model, r.action, r.from_version, r.to_version, r.why) for r in rows],
        )
        return
    registry = open_registry(home)
    if as_json and model is None:
        print_json(listing(registry))
        return
    versions = [v for name in ([model.value] if model else MODELS) for v in registry.versions(name)]
    if as_json:
        print_json([described(version) for version in versions])
        return
    if not versions:
        out.print("No model is trained yet. Train:  regulars train")
        return
    print_table(
        "Models",
        ("model", "version", "alias", "trained", "measured", "grade", "tested as of", "lake"),
        [
            (
                v.model,
                v.version,
                ", ".join(v.aliases),
                f"{v.created:%Y-%m-%d %H:%M}",
                measured(v),
                grade_text(v),
                f"{v.test_as_of:%Y-%m-%d}",
                v.data_hash,
            )
            for v in versions
        ],
    )
    print_notes([v for v in versions if v.aliases])


@models.command(epilog="Example:  regulars models prune --keep 5 --older-than 90 --dry-run")
def prune(
    keep: Annotated[
        int | None, typer.Option(min=1, help="Newest versions of each model that stay.", show_default="[retention], 5")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Days for which everything stays.", show_default="[retention], 90")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove old versions, reports and searches from the registry, with their files.

    A version stays that has an alias, that a rollback would go back to, or that a
    scoring on disk was made with: the current one, the last good one, one that is
    pinned or that an experiment names.
    """
    from training.prune import prune as prune_registry
    from training.run import listing
    from training.tracking import open_registry

    settings = current_settings()
    registry = open_registry(settings.data_home)
    done = prune_registry(
        registry,
        keep=settings.retention.keep_versions if keep is None else keep,
        older_than_days=settings.retention.older_than_days if older_than is None else older_than,
        now=datetime.now(UTC),
        dry_run=dry_run,
    )
    if not dry_run:
        listing(registry)
    if as_json:
        print_json(asdict(done))
        return
    what = "Would remove" if dry_run else "Removed"
    out.print(f"{what} {len(done.versions):,} versions and {len(done.runs):,} runs of reports and searches.")
    if done.versions:
        rows = [(one.model, one.version, f"{one.created:%Y-%m-%d %H:%M}", measured(one)) for one in done.versions]
        print_table("Versions", ("model", "version", "trained", "measured"), rows)


def grade_text(version: ModelVersion | None) -> str:
    """The grade of a version, or nothing."""
    found = None if version is None else grade_of(version.model, version.metrics)
    return "" if found is None else found.grade


def measured(version: ModelVersion) -> str:
    """The metric of the gate, with its interval."""
    metric = version.gate.metric
    value, low, high = (version.metrics.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return ""
    interval = f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else ""
    return f"{metric} {value:.4g}{interval}"


def print_notes(versions: Sequence[ModelVersion]) -> None:
    """A line for each note of each version."""
    for version in versions:
        for note in version.notes:
            out.print(f"[yellow]note[/] {version.model} version {version.version}: {note}")
