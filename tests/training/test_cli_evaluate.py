from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from features.errors import NotReadyError
from features.settings import current_settings
from serving.cli import app
from training.cli_evaluate import as_plain, print_evaluation, result_rows
from training.protocols import Context, Evaluation

Command = Callable[..., Result]


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    def call(*arguments: str, home: Path) -> Result:
        monkeypatch.setenv("REGULARS_HOME", str(home))
        monkeypatch.setenv("REGULARS_THREADS", "1")
        current_settings.cache_clear()
        return CliRunner().invoke(app, ["evaluate", *arguments])

    yield call
    current_settings.cache_clear()


@pytest.fixture
def measured(evaluate: Command, small_shop: Context, tmp_path: Path) -> dict:
    """A back-test of three named customers' last orders, and what was predicted for them."""
    named, written = tmp_path / "named.csv", tmp_path / "predicted.csv"
    named.write_text("customer_id\nm1\nm2\nm4\n")
    options = [
        "--split",
        "last-order",
        "--customers",
        str(named),
        "--predictions",
        str(written),
        "--k",
        "3,5",
        "--json",
    ]
    result = evaluate("recommender", *options, home=small_shop.home.root)
    assert result.exit_code == 0, result.output
    return {"answer": json.loads(result.stdout), "predicted": pd.read_csv(written)}


def test_the_answer_has_the_published_shape_and_measures_only_whom_it_was_told(
    measured: dict, small_shop: Context
) -> None:
    answer = measured["answer"]
    assert list(answer)[:4] == ["model", "split", "data", "results"]
    assert (answer["model"], answer["split"]) == ("recommender", "last-order")
    assert answer["data"]["customers"] == 3
    assert answer["data"]["products"] == 40
    assert answer["data"]["hash"] == small_shop.lake.version
    assert {"regulars", "personal_top_frequency", "global_top_frequency"} <= set(answer["results"])
    for metrics in answer["results"].values():
        assert {"recall@3", "ndcg@5", "ndcg_full@5", "phr@3", "repeat_recall@5", "coverage@5"} <= set(metrics)
        assert not any(name.endswith(("@10", "@20")) for name in metrics)
    assert answer["seconds"] > 0


def test_anyone_can_score_the_predictions_and_gets_the_same_figure(measured: dict, small_shop: Context) -> None:
    orders = pd.read_csv(small_shop.home.root.parent / "files" / "orders.csv")
    orders["Time"] = pd.to_datetime(orders["Time"], format="%d/%m/%Y %H:%M")
    predicted = measured["predicted"]
    shares = []
    for customer, listed in predicted.groupby("customer_id"):
        theirs = orders[orders["Member"] == customer]
        last = theirs[theirs["Receipt"] == theirs.sort_values("Time")["Receipt"].iloc[-1]]
        truth = set(last["Article"])
        shares.append(len(truth & set(listed.loc[listed["rank"] <= 5, "product_id"])) / len(truth))
    assert list(predicted.columns) == ["customer_id", "rank", "product_id", "score", "source"]
    assert sum(shares) / len(shares) == pytest.approx(measured["answer"]["results"]["regulars"]["recall@5"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["churn", "--split", "last-order"], "only the recommender takes it, not churn"),
        (["value", "--k", "5"], "only the recommender takes it, not value"),
        (["propensity", "--predictions", "p.csv"], "only the recommender takes it, not propensity"),
        (["recommender", "--k", "5,none"], "'none' is not a number from 1 to 1000"),
        (["recommender", "--k", "0"], "'0' is not a number from 1 to 1000"),
        (["recommender", "--predictions", "p.txt"], "must end in .parquet or .csv"),
        (["recommender", "--predictions", "nowhere/p.csv"], "does not exist"),
        (["recommender", "--customers", "nowhere.csv"], "does not exist"),
        (["recommender", "--as-of", "12/03/2017"], "12/03/2017"),
        (["recommender", "--split", "random"], "random"),
        (["price"], "price"),
    ],
)
def test_wrong_use_exits_with_2_before_anything_is_read(
    evaluate: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    result = evaluate(*arguments, home=tmp_path / "nothing")
    assert result.exit_code == 2
    assert said in result.output


def test_without_data_it_says_what_to_load(evaluate: Command, tmp_path: Path) -> None:
    result = evaluate("recommender", home=tmp_path / "nothing")
    assert isinstance(result.exception, NotReadyError)
    assert "regulars ingest" in str(result.exception)


EVALUATION = Evaluation(
    model="value",
    split="cutoff",
    data={"customers": 2, "hash": "abc", "as_of": "2024-01-01", "horizon_days": 7},
    results={
        "last_spend": {"mae": 3.0, "correlation": 0.5, "base_rate": 0.25},
        "regulars": {"mae": 2.0, "correlation": 0.25, "base_rate": 0.25, "bias": math.nan},
    },
    seconds=1.0,
)


def test_ours_stands_first_and_the_best_is_marked_whichever_way_is_better() -> None:
    rows = result_rows(EVALUATION.results, ["mae", "correlation", "base_rate", "bias"])
    assert [[str(cell) for cell in row] for row in rows] == [
        ["regulars", "*2.0000", "0.2500", "0.2500", ""],
        ["last_spend", "3.0000", "*0.5000", "0.2500", ""],
    ]
    assert "bold" in str(rows[0][0].style)


def test_a_model_without_a_metric_has_no_row_and_alone_none_is_best() -> None:
    assert [[str(cell) for cell in row] for row in result_rows(EVALUATION.results, ["bias"])] == [["regulars", ""]]
    results = {"regulars": {"brier": 0.1}, "recency": {"auc": 0.7}}
    assert [[str(cell) for cell in row] for row in result_rows(results, ["brier"])] == [["regulars", "0.1000"]]


def test_notes_are_in_the_answer_only_when_there_are_any() -> None:
    assert "notes" not in as_plain(EVALUATION)
    noted = as_plain(Evaluation(**(EVALUATION.__dict__ | {"notes": ("few customers",)})))
    assert noted["notes"] == ("few customers",)


def test_the_table_names_data_split_and_moment(capsys: pytest.CaptureFixture[str]) -> None:
    print_evaluation(EVALUATION)
    said = " ".join(capsys.readouterr().out.split())
    assert "value, split cutoff, as of 2024-01-01, 7 days ahead: 2 customers; lake abc" in said
