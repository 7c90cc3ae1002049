from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.training.registry.fakes import AT
from training.promotion_log import Action, Promotion, PromotionLog, State, before


def write(log: PromotionLog, action: Action, to: int, *, state: State = State.DONE, model: str = "churn") -> int:
    return log.write(
        model=model,
        action=action,
        from_version=None,
        to_version=to,
        who="ann",
        at=AT,
        why="because",
        metrics={"auc": 0.8, "nothing": math.nan},
        state=state,
    )


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    log = PromotionLog(tmp_path / "promotions.db")
    row = write(log, Action.PROMOTED, 3)
    assert log.rows("churn") == [
        Promotion(row, "churn", Action.PROMOTED, None, 3, "ann", AT, "because", {"auc": 0.8}, State.DONE)
    ]
    assert log.rows("value") == []


def test_reading_a_log_that_is_not_there_makes_none(tmp_path: Path) -> None:
    assert PromotionLog(tmp_path / "promotions.db").rows() == []
    assert list(tmp_path.iterdir()) == []


def test_intents_are_pending_until_settled(tmp_path: Path) -> None:
    log = PromotionLog(tmp_path / "promotions.db")
    first = write(log, Action.PROMOTED, 1, state=State.INTENT)
    second = write(log, Action.PROMOTED, 2, state=State.INTENT)
    log.settle(first, State.DONE)
    assert [row.id for row in log.pending()] == [second]


P, R, X = Action.PROMOTED, Action.ROLLED_BACK, Action.REFUSED


@pytest.mark.parametrize(
    ("story", "champion", "expected"),
    [
        ([], 1, None),
        ([(P, 1)], 1, None),
        ([(P, 1), (P, 2)], 2, 1),
        ([(P, 1), (P, 2), (P, 3), (R, 2)], 2, 1),
        ([(P, 1), (P, 2), (R, 1)], 1, None),
        ([(P, 1), (P, 2), (R, 1), (P, 3)], 3, 1),
        ([(P, 1), (P, 2), (P, 1)], 1, 2),
        ([(P, 1), (X, 2), (P, 3)], 3, 1),
        ([(P, 1), (P, 2)], 7, 2),
    ],
)
def test_the_version_before(
    tmp_path: Path, story: list[tuple[Action, int]], champion: int, expected: int | None
) -> None:
    log = PromotionLog(tmp_path / "promotions.db")
    for action, number in story:
        write(log, action, number)
    assert before(log.rows(), champion=champion, exists=frozenset(range(10))) == expected


def test_a_version_that_is_gone_or_never_became_champion_is_passed_over(tmp_path: Path) -> None:
    log = PromotionLog(tmp_path / "promotions.db")
    write(log, P, 1)
    write(log, P, 2)
    write(log, P, 3, state=State.ABANDONED)
    write(log, P, 4)
    assert before(log.rows(), champion=4, exists=frozenset({1, 4})) == 1
