"""Off-policy estimates: golden cases by hand, a world whose answers are known, and the way from log to table."""

import json
import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features.errors import DataError
from features.home import Home, write_text
from features.ingest import ingest
from features.lake import read_lake
from features.settings import current_settings, load_settings
from serving.choosing import explored
from serving.cli import app
from training.logged_answers import beside_lists, read_shown
from training.off_policy import Logged, doubly_robust, effective_answers, ips, logged_value, overlap, snips
from training.protocols import Context
from training.ranked_lists import RankedLists, save_ranked_lists

#: Two answers. The first showed a (sure, clicked) and b (by a chance of a half, clicked); the second a (not clicked)
#: and c (by a half, not clicked). The policy would show a and b in each.
BY_HAND = Logged(
    answer=np.array([0, 0, 1, 1]),
    reward=np.array([1.0, 1.0, 0.0, 0.0]),
    propensity=np.array([1.0, 0.5, 1.0, 0.5]),
    wanted=np.array([1.0, 1.0, 1.0, 0.0]),
    foretold=np.array([0.5, 0.25, 0.5, 0.1]),
    wanted_size=np.array([2.0, 2.0]),
    wanted_foretold=np.array([0.75, 0.75]),
)


def test_golden_values_worked_by_hand() -> None:
    assert logged_value(BY_HAND).value == 1.0  # (2 + 0) / 2
    assert ips(BY_HAND).value == 1.5  # (1/1 + 1/0.5) / 2
    # Weights 1, 2, 1, 0; rewards weigh 3 of 4, and the policy shows 2.
    assert snips(BY_HAND).value == pytest.approx(3 / 4 * 2)
    # Foretold 0.75 each; missed 1*0.5 + 2*0.75 = 2 in the first, 1*-0.5 in the second.
    assert doubly_robust(BY_HAND).value == pytest.approx((0.75 + 2 + 0.75 - 0.5) / 2)
    assert overlap(BY_HAND) == pytest.approx(4 / 4)
    assert effective_answers(BY_HAND) == pytest.approx(16 / 10)  # weights 3 and 1


def test_intervals_worked_by_hand() -> None:
    found = ips(BY_HAND)  # per answer 3 and 0: standard deviation 3 / sqrt 2, over sqrt 2
    assert found.high - found.value == pytest.approx(1.959964 * 1.5)
    ratio = snips(BY_HAND)  # 3 - 0.75*3 and 0 - 0.75*1, over the 4 weights, times 2 products
    assert ratio.high - ratio.value == pytest.approx(1.959964 * np.hypot(0.75, 0.75) / 4 * 2)


def test_the_logged_policy_itself_is_valued_as_logged() -> None:
    same = replace(BY_HAND, wanted=BY_HAND.propensity, wanted_size=np.array([2.0, 2.0]))
    assert ips(same).value == logged_value(same).value == 1.0


def test_what_was_never_shown_is_unknown_and_not_nothing() -> None:
    never = replace(BY_HAND, wanted=np.zeros(4))
    assert np.isnan(snips(never).value)
    assert overlap(never) == 0


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.5, np.nan])
def test_a_propensity_that_is_no_chance_is_refused(propensity: float) -> None:
    with pytest.raises(DataError, match="propensity is not above 0"):
        replace(BY_HAND, propensity=np.array([propensity, 1, 1, 1]))


def test_no_answer_is_refused() -> None:
    none = np.zeros(0)
    with pytest.raises(DataError, match="no answer with propensities"):
        Logged(none.astype(int), none, none, none, none, none, none)


N, K = 12, 4
#: Chance of a click by product; the logged order is the reverse of the best.
CLICKS = np.linspace(0.02, 0.5, N)
TARGET = np.arange(N - K, N)
TRUTH = float(CLICKS[TARGET].sum())


def simulated(answers: int, *, seed: int, share: float = 0.8, foresight: float = 0.0) -> Logged:
    """Answers of the exploring policy that shows products 0 … first, where clicks fall by CLICKS."""
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    shown, propensities = [], []
    for _ in range(answers):
        places, chances = explored(N, K, share, chance)
        shown += places
        propensities += chances
    product = np.array(shown)
    foretold = foresight * CLICKS
    return Logged(
        answer=np.repeat(np.arange(answers), K),
        reward=(rng.random(len(product)) < CLICKS[product]).astype(float),
        propensity=np.array(propensities),
        wanted=np.isin(product, TARGET).astype(float),
        foretold=foretold[product],
        wanted_size=np.full(answers, float(K)),
        wanted_foretold=np.full(answers, foretold[TARGET].sum()),
    )


@pytest.mark.parametrize("estimator", [ips, snips, doubly_robust])
def test_in_a_world_whose_answer_is_known_the_estimate_is_right_and_the_log_is_far_off(estimator) -> None:
    logged = simulated(20_000, seed=1)
    found = estimator(logged)
    assert found.low < TRUTH < found.high
    assert found.value == pytest.approx(TRUTH, rel=0.03)
    assert logged_value(logged).high < 0.8 * TRUTH
    assert overlap(logged) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("estimator", [ips, snips, doubly_robust])
def test_of_a_hundred_intervals_about_ninety_five_hold_the_truth(estimator) -> None:
    held = 0
    for seed in range(200):
        found = estimator(simulated(400, seed=seed))
        held += found.low <= TRUTH <= found.high
    assert 0.9 <= held / 200 <= 0.99


def test_a_good_model_narrows_the_doubly_robust_interval_and_a_wrong_one_leaves_it_right() -> None:
    blind, seeing = simulated(5_000, seed=3), simulated(5_000, seed=3, foresight=1.0)
    wrong = simulated(5_000, seed=3, foresight=-2.0)
    widths = [found.high - found.low for found in map(doubly_robust, (seeing, blind, wrong))]
    assert widths[0] < widths[1] < widths[2]
    assert doubly_robust(wrong).low < TRUTH < doubly_robust(wrong).high


MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "who"
product_id = "what"
ordered_at = "at"
[interactions]
path = "events.csv"
event_id = "event"
product_id = "what"
kind = "kind"
occurred_at = "at"
customer_id = "who"
request_id = "request"
propensity = "propensity"
"""
EVENTS = """event,what,kind,at,who,request,propensity
1,a,impression,2024-01-02,ann,r1,1
2,b,impression,2024-01-02,ann,r1,0.5
3,b,click,2024-01-02,ann,r1,0.5
4,a,impression,2024-01-02,ann,r2,1
5,c,impression,2024-01-02,ann,r2,0.5
6,a,impression,2024-01-02,bob,r3,
7,a,impression,2024-01-02,stranger,r4,1
8,c,impression,2024-01-02,ann,r2,0.5
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    (tmp_path / "orders.csv").write_text(
        "order,who,what,at\n1,ann,a,2024-01-01\n2,ann,b,2024-01-01\n3,bob,c,2024-01-01\n"
    )
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "shop.toml").write_text(MAPPING)
    settings = load_settings(home=tmp_path / "home", threads=1)
    ingest("files", settings, mapping=tmp_path / "shop.toml", replace=False, now=datetime(2025, 1, 1))
    home = Home(settings.home)
    directory = home.scores / "versions" / "v1" / "ranking"
    directory.mkdir(parents=True)
    save_ranked_lists(lists(), directory)
    write_text(home.scores / "CURRENT", "v1")
    monkeypatch.setenv("REGULARS_HOME", str(home.root))
    current_settings.cache_clear()
    yield Context(settings=settings, home=home, lake=read_lake(home))
    current_settings.cache_clear()


def lists() -> RankedLists:
    """Ann's list is a, b; bob's c."""
    row = np.array([[0, 1, -1], [2, -1, -1]], dtype=np.int32)
    return RankedLists(
        customers=pa.table({"customer_id": ["ann", "bob"]}),
        products=pa.table({"product_id": ["a", "b", "c"]}),
        lists=row,
        scores=np.zeros(row.shape, dtype=np.float32),
        sources=np.zeros(row.shape, dtype=np.uint8),
        own_orders=np.zeros(row.shape, dtype=np.uint16),
        popular=np.zeros(0, dtype=np.int32),
        neighbours=np.zeros((3, 1), dtype=np.int32),
        neighbour_lift=np.zeros((3, 1), dtype=np.float32),
        about={},
    )


def test_the_log_is_read_by_answer_and_product_once_and_without_what_has_no_propensity(shop: Context) -> None:
    logged = beside_lists(read_shown(shop, metric="click"), lists())
    assert logged.answers == 2  # r1 and r2; of r3 no propensity is known, and the stranger of r4 has no list
    assert logged.answer.tolist() == [0, 0, 1, 1]
    assert logged.reward.tolist() == [0, 1, 0, 0]
    assert logged.propensity.tolist() == [1, 0.5, 1, 0.5]
    assert logged.wanted.tolist() == [1, 1, 1, 0]
    assert logged.wanted_size.tolist() == [2, 2]
    assert ips(logged).value == 1.0
    # What the other answer says: of r2, a and c unclicked, so nothing is foretold in r1; of r1, half were clicked.
    assert logged.foretold[:2].tolist() == [0, 0]
    assert logged.wanted_foretold[1] == pytest.approx((0 + 20 * 0.5) / 21 + (1 + 20 * 0.5) / 21)


def test_the_command_prints_every_estimate(shop: Context) -> None:
    result = CliRunner().invoke(app, ["off-policy", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["scores"], found["answers"], found["overlap"]) == ("v1", 2, 1.0)
    assert set(found["per_answer"]) == {"logged", "ips", "snips", "doubly_robust"}
    assert found["per_answer"]["ips"]["value"] == 1.0
    table = CliRunner().invoke(app, ["off-policy"])
    assert "doubly_robust" in table.stdout


def test_a_lake_without_propensities_says_what_to_do(shop: Context) -> None:
    with pytest.raises(DataError, match="explore above 0"):
        read_shown(replace(shop, lake=replace(shop.lake, rows={})), metric="click")
