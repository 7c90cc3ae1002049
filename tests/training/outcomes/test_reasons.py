from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from features.build import BUILT_IN
from features.errors import ConfigError
from training.boosting import BoostingConfig
from training.churn import ChurnModel
from training.feature_table import FeatureTable
from training.reason_messages import CHINESE, ENGLISH, MESSAGES, PARTS, say
from training.reason_topics import TOPICS, topic_of
from training.reasons import LEAST, REASONS, explain, reasons, topic_weights


class Says:
    """A model that contributes what a test wants."""

    def __init__(self, **weights: float) -> None:
        self.features_ = FeatureTable(tuple(weights), {})
        self.weights = np.array(list(weights.values()))

    def contributions(self, frame: pd.DataFrame, *, raw: np.ndarray | None = None) -> np.ndarray:
        return np.tile(self.weights, (len(frame), 1))


ONE = pd.DataFrame(
    {
        "days_since_last_order": [31.6],
        "gap_mean_days": [9.2],
        "days_since_first_order": [300.0],
        "orders_90d": [4.0],
        "orders_180d": [14.0],
        "spend_90d": [80.0],
        "spend_180d": [280.0],
        "weeks_active_12w": [1.0],
        "products_90d": [1.0],
        "attribute_age": ["40-59"],
        "department_share_deli": [0.126],
    }
)


def test_what_is_said_worked_by_hand() -> None:
    said = {
        "days_since_last_order": "orders every 9 days, silent for 31 days",
        # 4 against 10 before; 80 against 200 before.
        "orders_trend_90d": "orders down 60% on the 90 days before",
        "spend_trend_90d": "spend down 60% on the 90 days before",
        "weeks_active_12w": "ordered in 1 of the last 12 weeks",
        "products_90d": "1 product in the last 90 days",
        "attribute_age": "age 40-59",
        "department_share_deli": "13% of purchases in deli",
    }
    for feature, phrase in said.items():
        assert reasons(Says(**{feature: 1.0}), ONE) == [[phrase]]


def test_what_lowers_the_risk_says_so_and_comes_last() -> None:
    told = reasons(Says(weeks_active_12w=-2.0, days_since_last_order=0.5, products_90d=1.0), ONE)
    assert told == [
        [
            "1 product in the last 90 days",
            "orders every 9 days, silent for 31 days",
            "in favour: ordered in 1 of the last 12 weeks",
        ]
    ]


def test_the_heaviest_topics_are_told_and_no_more_than_asked_for() -> None:
    model = Says(weeks_active_12w=1.0, days_since_last_order=3.0, products_90d=2.0, spend_90d=0.5)
    assert [len(reasons(model, ONE, most=most)[0]) for most in (1, 2, 3)] == [1, 2, 3]
    assert reasons(model, ONE, most=1) == [["orders every 9 days, silent for 31 days"]]


def test_features_of_one_topic_are_added_up() -> None:
    topics, weights = topic_weights(Says(gap_last_days=0.4, silence_to_gap_mean=-0.7, spend_7d=0.1), ONE)
    assert [topic.name for topic in topics] == ["silence", "spend"]
    np.testing.assert_allclose(weights, [[-0.3, 0.1]])


def test_of_departments_and_attributes_the_heaviest_is_named() -> None:
    frame = ONE.assign(department_share_bread=0.5)
    model = Says(department_share_bread=0.3, department_share_deli=-0.4)
    assert reasons(model, frame) == [["in favour: 13% of purchases in deli"]]


def test_what_weighs_next_to_nothing_is_not_told() -> None:
    assert reasons(Says(weeks_active_12w=LEAST / 2), ONE) == [[]]


def test_a_fall_is_no_reason_to_stay() -> None:
    assert reasons(Says(orders_trend_90d=-1.0), ONE) == [[]]
    grown = ONE.assign(orders_90d=9.0)
    assert reasons(Says(orders_trend_90d=-1.0), grown) == [["in favour: orders up 80% on the 90 days before"]]


def test_no_change_is_told_of_customers_younger_than_both_windows() -> None:
    young = ONE.assign(days_since_first_order=120.0)
    assert reasons(Says(orders_trend_90d=1.0, spend_trend_90d=1.0), young) == [[]]


def test_one_day_of_ordering_and_unknown_values_are_told_as_such() -> None:
    once = ONE.assign(gap_mean_days=np.nan, days_since_last_order=0.4)
    assert reasons(Says(days_since_last_order=1.0), once) == [["ordered on one day so far, less than a day ago"]]
    assert reasons(Says(attribute_age=1.0), ONE.assign(attribute_age=None)) == [[]]


def test_every_feature_of_ours_but_products_has_a_topic() -> None:
    names = [feature.name for feature in BUILT_IN if feature.entity.name == "customer"]
    assert len(names) > 40
    assert [name for name in names if topic_of(name) is None] == []


PLACES = {"phrase", "number", "count", "percent", "amount", "days", "every", "ago", "name"}


def places(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def test_each_topic_has_its_own_name_and_each_place_is_one_that_is_filled() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    assert all(places(text) <= PLACES for text in ENGLISH.values())


def test_both_languages_say_the_same_with_the_same_places() -> None:
    assert {key for key in ENGLISH if not key.endswith("_one")} == {key for key in CHINESE if not key.endswith("_one")}
    assert {key: places(text) for key, text in CHINESE.items()} == {key: places(ENGLISH[key]) for key in CHINESE}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_is_said_whole_with_its_numbers_and_its_sign(message: str, language: str) -> None:
    reason = {"message": message, "number": 1234.4, "other": 31.9, "detail": "deli"}
    told, lowered = (say(reason | {"lowers": lowers}, language) for lowers in (False, True))
    assert lowered == f"{ {'en': 'in favour: ', 'zh': '有利因素：'}[language] }{told}"
    asked = places(ENGLISH[message])
    assert ("1,234" in told) == bool(asked & {"count", "percent", "amount", "days", "every"})
    assert ("31" in told) == ("ago" in asked)
    assert ("deli" in told) == ("name" in asked)
    assert "{" not in told
    if message != "attribute" or language == "zh":
        assert any("\u4e00" <= letter <= "\u9fff" for letter in told) == (language == "zh")


def test_what_is_said_in_chinese_worked_by_hand() -> None:
    said = {
        "days_since_last_order": "平均每 9 天下单一次，已 31 天没有下单",
        "orders_trend_90d": "近 90 天的订单比之前 90 天减少 60%",
        "weeks_active_12w": "最近 12 周中有 1 周下过单",
        "products_90d": "近 90 天买过 1 种商品",
        "attribute_age": "客户属性：age 40-59",
        "department_share_deli": "13% 的购买属于 deli",
    }
    for feature, phrase in said.items():
        assert reasons(Says(**{feature: 1.0}), ONE, language="zh") == [[phrase]]
    daily = ONE.assign(gap_mean_days=1.2, days_since_last_order=0.3)
    assert reasons(Says(days_since_last_order=-1.0), daily, language="zh") == [
        ["有利因素：平均每天下单一次，上次下单在不到一天前"]
    ]
    assert len(PARTS) + len(MESSAGES) < len(ENGLISH)


def test_reasons_are_kept_as_messages_and_numbers_of_the_customers_asked_for() -> None:
    frame = pd.concat([ONE] * 3, ignore_index=True)
    kept = explain(Says(weeks_active_12w=1.0), frame, only=np.array([True, False, True]))
    assert kept.type == REASONS
    one = [{"message": "weeks", "lowers": False, "number": 1.0, "other": None, "detail": None}]
    assert kept.to_pylist() == [one, [], one]
    assert explain(Says(weeks_active_12w=1.0), ONE, only=np.array([False])).to_pylist() == [[]]
    assert explain(Says(weeks_active_12w=1.0), ONE.head(0)).to_pylist() == []


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'xx'\. Languages: en, zh"):
        reasons(Says(weeks_active_12w=1.0), ONE, language="xx")


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> ChurnModel:
    return ChurnModel(BoostingConfig(threads=1), rounds=150).fit(frame, frame["stopped"])


def test_of_a_real_model_every_number_is_that_customers_and_every_sign_the_contributions(
    model: ChurnModel, later: pd.DataFrame
) -> None:
    told = reasons(model, later)
    topics, weights = topic_weights(model, later)
    names = [topic.name for topic in topics]
    checked = 0
    for row, said in enumerate(told):
        for reason in said:
            lowers = reason.startswith("in favour: ")
            phrase = reason.removeprefix("in favour: ")
            facts = later.iloc[row]
            if found := re.fullmatch(r"ordered in (\d+) of the last 12 weeks", phrase):
                topic = "frequency"
                assert int(found[1]) == facts["weeks_active_12w"]
            elif found := re.fullmatch(
                r"orders every (\d+) days, (?:silent for|the last time) (\d+) days?(?: ago)?", phrase
            ):
                topic = "silence"
                assert int(found[1]) == round(facts["gap_mean_days"])
                assert int(found[2]) == int(facts["days_since_last_order"])
                assert ("silent" in phrase) == (facts["days_since_last_order"] > round(facts["gap_mean_days"]))
            elif found := re.fullmatch(r"spent ([\d,]+) in the last 90 days", phrase):
                topic = "spend"
                assert int(found[1].replace(",", "")) == round(facts["spend_90d"])
            else:
                continue
            assert (weights[row, names.index(topic)] < 0) == lowers
            checked += 1
    assert checked > len(later)


def test_rows_are_told_the_same_alone_and_together(model: ChurnModel, later: pd.DataFrame) -> None:
    together = reasons(model, later.head(30))
    assert [reasons(model, later.iloc[[row]])[0] for row in range(30)] == together
