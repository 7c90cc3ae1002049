"""How far the predictions of a scoring can be relied on: the grades that its models had when it was made."""

from __future__ import annotations

from serving.schemas import ModelGrade
from serving.state import State

#: The column of a CSV that says it, the same in every row: a list that is passed on keeps it.
COLUMN = "prediction_grade"
NOT_KNOWN = "not known"


def grades_of(state: State) -> dict[str, ModelGrade]:
    """Of each model that has one; scores of an earlier release have none."""
    return {model: ModelGrade(**found) for model, found in state.about.get("grades", {}).items()}


def grade_of(state: State, model: str) -> ModelGrade | None:
    """Of one model, where it is known."""
    return grades_of(state).get(model)


def word(grade: ModelGrade | None) -> str:
    """The grade alone."""
    return NOT_KNOWN if grade is None else grade.grade
