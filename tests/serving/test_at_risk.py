import csv
import io
from dataclasses import replace

import pyarrow as pa
import pytest

from features.home import Home
from serving.at_risk import as_csv, at_risk, csv_parts, customer_page, listing
from serving.languages import preferred
from serving.recommend import Circumstances
from serving.schemas_customers import AtRiskPage, AtRiskQuery
from serving.state import State, load_state


def ask(state: State, **query: object) -> AtRiskPage:
    return at_risk(state, AtRiskQuery(**query))


def ids(page: AtRiskPage) -> list[str]:
    return [item.customer_id for item in page.items]


def test_most_value_at_risk_comes_first_and_ties_stand_by_id(state: State) -> None:
    page = ask(state)
    assert ids(page) == ["ann", "bob", "cat", "=eve"]  # dan is not active
    assert (page.strategy, page.sorted_by, page.model_version, page.total) == ("churn", "value_at_risk", 2, 4)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"min_probability": 0.5}, ["bob", "cat"]),
        ({"min_value_at_risk": 10.0, "sort": "churn_probability"}, ["bob", "cat", "ann"]),
        ({"stage": "slipping"}, ["bob"]),
        ({"stage": "lost"}, []),
        ({"sort": "days_since_last_order"}, ["bob", "cat", "ann", "=eve"]),
    ],
)
def test_filters_and_sorts(state: State, query: dict, expected: list[str]) -> None:
    assert ids(ask(state, **query)) == expected


def test_pages_hold_each_customer_once(state: State) -> None:
    pages = [ids(ask(state, limit=1, offset=offset)) for offset in range(6)]
    assert pages == [["ann"], ["bob"], ["cat"], ["=eve"], [], []]
    assert ask(state, limit=1, offset=9).total == 4


def test_without_a_churn_model_the_longest_silent_come_first_and_the_answer_says_so(home: Home, write_scores) -> None:
    from_file = [
        {**row, "churn_probability": None, "value_at_risk": None, "reasons": []}
        for row in load_customers(home, write_scores)
    ]
    write_scores(home, "v2", customers=from_file, models={"churn": None})
    page = ask(load_state(home), min_probability=0.5)
    assert ids(page) == ["bob", "cat", "ann", "=eve"]
    assert (page.strategy, page.sorted_by, page.model_version) == ("recency", "days_since_last_order", None)
    assert "no churn model" in page.fallback


def load_customers(home: Home, write_scores) -> list[dict]:
    write_scores(home, "v1")
    customers = load_state(home).customers
    assert customers is not None
    return customers.to_pylist()


def test_without_amounts_the_list_stands_by_probability(home: Home, write_scores) -> None:
    rows = [{**row, "value_at_risk": None} for row in load_customers(home, write_scores)]
    write_scores(home, "v2", customers=rows)
    page = ask(load_state(home))
    assert ids(page) == ["bob", "cat", "ann", "=eve"]
    assert page.fallback == "there is no value_at_risk, so the list stands by churn_probability"


def test_nothing_scored_is_an_empty_list_that_says_so(home: Home) -> None:
    page = ask(load_state(home))
    assert (page.items, page.total, page.strategy) == ([], 0, "none")
    assert "nothing is scored yet" in page.fallback


def test_csv_reads_back_and_no_cell_runs_as_a_formula(state: State) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(ask(state)))))
    assert [row["customer_id"] for row in rows] == ["ann", "bob", "cat", "'=eve"]
    assert rows[0]["churn_probability"] == "0.2"
    assert rows[0]["reasons"] == "orders every 3 days, silent for 9 days"


def test_customer_page_shows_scores_and_next_purchases(state: State) -> None:
    page = customer_page(state, "ann", Circumstances("r"))
    assert page.known
    assert page.active
    assert page.scores is not None
    assert (page.scores.churn_probability, page.scores.last_order_at) == (0.2, "2024-05-29T00:00:00+00:00")
    assert page.next_purchases.items[0].product_id == "p1"
    assert (page.horizon_days, page.currency) == (28, "EUR")


def test_lapsed_customer_has_no_churn_probability(state: State) -> None:
    page = customer_page(state, "dan", Circumstances("r"))
    assert page.known
    assert page.active is False
    assert page.scores is not None
    assert page.scores.churn_probability is None
    assert page.next_purchases.fallback == "customer 'dan' has no list yet"


def test_unknown_customer_page_says_so_and_offers_what_is_popular(state: State) -> None:
    page = customer_page(state, "nobody", Circumstances("r"))
    assert (page.known, page.scores, page.next_purchases.strategy) == (False, None, "popular")


def test_reasons_are_told_in_chinese_when_asked(state: State) -> None:
    assert ask(state, lang="zh").items[0].reasons == ["平均每 3 天下单一次，已 9 天没有下单"]
    assert "平均每 3 天下单一次，已 9 天没有下单" in as_csv(ask(state, lang="zh"))
    page = customer_page(state, "ann", Circumstances("r"), lang="zh")
    assert page.scores is not None
    assert page.scores.reasons == ["平均每 3 天下单一次，已 9 天没有下单"]
    assert ask(state, lang="en") == ask(state)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, en;q=0.3, zh;q=0.5", "zh"),
        ("en-GB, zh", "en"),
        ("zh;q=0, de", "en"),
        ("*", "en"),
        ("zh;q=much", "en"),
    ],
)
def test_the_language_the_client_reads_best_is_told(header: str, language: str) -> None:
    assert preferred(header) == language


def test_reasons_that_an_earlier_release_wrote_as_text_are_told_as_they_are(state: State) -> None:
    assert state.customers is not None
    place = state.customers.schema.get_field_index("reasons")
    texts = pa.array([["silent for 9 days"]] * state.customers.num_rows)
    older = replace(state, customers=state.customers.set_column(place, "reasons", texts))
    assert ask(older, lang="zh").items[0].reasons == ["silent for 9 days"]


GRADED = {"churn": {"grade": "good", "why": "AUC surely above 0.741"}}


def test_how_far_the_predictions_can_be_relied_on_stands_on_every_list(state: State) -> None:
    graded = replace(state, about={**state.about, "grades": GRADED})
    page = ask(graded)
    assert page.grade is not None
    assert (page.grade.grade, page.grade.why) == ("good", "AUC surely above 0.741")
    assert {row["prediction_grade"] for row in csv.DictReader(io.StringIO(as_csv(page)))} == {"good"}
    whole = b"".join(csv_parts(graded, listing(graded, AtRiskQuery()))).decode()
    assert whole == as_csv(page)
    assert customer_page(graded, "ann", Circumstances("r")).grades["churn"] == page.grade


def test_scores_of_an_earlier_release_have_no_grade_and_say_so(state: State) -> None:
    page = ask(state)
    assert page.grade is None
    assert {row["prediction_grade"] for row in csv.DictReader(io.StringIO(as_csv(page)))} == {"not known"}
