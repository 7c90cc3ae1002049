"""The commands that say how far a model can be trusted: explain, fairness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from features.errors import NotReadyError
from features.settings import current_settings
from features.terminal import out, print_json, print_table
from training.cli_arguments import AsJson

#: Features shown in the terminal; all of them are in the JSON.
SHOWN = 12


class Outcome(StrEnum):
    """The models of what a customer does."""

    CHURN = "churn"
    PROPENSITY = "propensity"
    VALUE = "value"


OutcomeArgument = Annotated[Outcome, typer.Argument(help="Which model.", show_default=False)]
Version = Annotated[int | None, typer.Option(help="Which version; the champion when none is named.")]


def explain(model: OutcomeArgument, version: Version = None, as_json: AsJson = False) -> None:
    """What a model goes by, and the groups of customers in which it is weak.

    Importance is the mean absolute contribution to the score, by topic and by
    feature. Dependence is the mean prediction with one feature set to each of
    some values. Groups are by stage of life, tenure, one order or more, and
    the shop's own attributes. All of it is from the version's own back-test.
    """
    found = _kept(model, version)
    if as_json:
        print_json(found)
        return
    title = f"{model.value} version {found['version']}, {found['customers']:,} customers as of {found['as_of']}"
    print_table(title, ("topic", "importance"), [(row["topic"], f"{row['importance']:.3f}") for row in found["topics"]])
    features = [(row["feature"], row["topic"], f"{row['importance']:.3f}") for row in found["features"][:SHOWN]]
    print_table("Features", ("feature", "topic", "importance"), features)
    rows = [
        (feature, f"{_value(points[0])} … {_value(points[-1])}", *(_number(p["prediction"]) for p in _ends(points)))
        for feature, points in found["dependence"].items()
        if points
    ]
    print_table(
        f"Mean prediction ({found['predicted']}) with one feature changed",
        ("feature", "values", "at first", "in the middle", "at last"),
        rows,
    )
    _print_groups("Groups", found["groups"])


def fairness(model: OutcomeArgument, version: Version = None, as_json: AsJson = False) -> None:
    """How a model treats the groups of the shop's own attributes: selected, reached, misjudged.

    Selected is the share of a group that stands in the first tenth of the list.
    Reached is the share selected of those to whom it happens. Ratio is what came
    true over what was predicted. To keep an attribute out of a model, set
    exclude under [models.churn] in regulars.toml and train again.
    """
    from training.fairness import fairness as of_groups

    kept = _kept(model, version)
    found = {"model": model.value, "version": kept["version"], "as_of": kept["as_of"], **of_groups(kept["groups"])}
    if as_json:
        print_json(found)
        return
    if not found["groups"]:
        out.print("The shop's customers have no attributes, so there are no groups of them to compare.")
        return
    _print_groups(f"{model.value} version {kept['version']}, as of {kept['as_of']}", found["groups"])
    for parity in found["attributes"]:
        for told in parity["told"]:
            out.print(f"[yellow]note[/] {_plain(parity['attribute'])}: {told}", highlight=False)


def _kept(model: Outcome, number: int | None) -> dict[str, Any]:
    from training.explain import kept
    from training.tracking import open_registry

    registry = open_registry(current_settings().data_home)
    version = registry.resolve(model.value) if number is None else registry.get(model.value, number)
    if version is None:
        raise NotReadyError(f"There is no {model.value} champion. Train:  regulars train {model.value}")
    found = kept(Path(registry.fetch(version)), model=model.value)
    return {"version": version.version, **found}


def _print_groups(title: str, groups: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        title,
        ("by", "group", "customers", "came true", "predicted", "ratio", "AUC", "selected", "reached", "weak"),
        [
            (
                _plain(row["kind"]),
                row["group"],
                row["customers"],
                _number(row["happened"]),
                _number(row["predicted"]),
                _number(row["ratio"]),
                _number(row["auc"]),
                _number(row["selected"]),
                _number(row["reached"]),
                row["weak"] or "",
            )
            for row in groups
        ],
    )


def _ends(points: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return points[0], points[len(points) // 2], points[-1]


def _value(point: Mapping[str, Any]) -> str:
    value = point["value"]
    return value if isinstance(value, str) else f"{value:.3g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _plain(kind: str) -> str:
    return kind.removeprefix("attribute_").replace("_", " ")
