import math
from pathlib import Path

import numpy as np
import pytest

from features.errors import ConfigError
from serving.app import build_app
from serving.experiments import assign, read_experiments
from serving.sequential import LEAST_UNITS, TAU, compare

GOOD = """
[home-order]
placements = ["home"]
metric = "purchase"
[home-order.variants.control]
share = 0.25
[home-order.variants.own-first]
share = 0.75
own_list_first = true
rebuy_hours = 0
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiments.toml"
    path.write_text(text)
    return path


def test_a_file_reads_as_it_says(tmp_path: Path) -> None:
    experiment = read_experiments(written(tmp_path, GOOD))["home-order"]
    assert (experiment.placements, experiment.metric) == (["home"], "purchase")
    assert list(experiment.variants) == ["control", "own-first"]
    assert experiment.variants["own-first"].own_list_first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a", "not a TOML file"),
        ("[a]\nx = 1\n", "unknown field `x`"),
        ("[a.variants.one]\nshare = 1.0\n", "length >= 2"),
        ("[a.variants.one]\nshare = 0.5\n[a.variants.two]\nshare = 0.4\n", "add up to 0.9"),
        ("[a.variants.one]\nshare = 0.5\n[a.variants.two]\nshare = '0.5'\n", "Expected `float`"),
        (GOOD + GOOD.replace("home-order", "other"), "run in the same placement"),
        (GOOD.replace("purchase", "sale"), "Invalid enum value 'sale'"),
        ('[a]\nplacements = ["a b"]\n', "matching regex"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_experiments(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_experiments(tmp_path / "none.toml")


def test_a_customer_always_sees_the_same_and_shares_are_kept(tmp_path: Path) -> None:
    experiments = read_experiments(written(tmp_path, GOOD))
    seen = [assign(experiments, unit=f"customer {n}", placement="home") for n in range(4000)]
    assert seen == [assign(experiments, unit=f"customer {n}", placement="home") for n in range(4000)]
    share = sum(one is not None and one.variant == "control" for one in seen) / 4000
    assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 4000))


def test_the_groups_of_two_experiments_are_independent(tmp_path: Path) -> None:
    other = GOOD.replace("home-order", "cart-order").replace('"home"', '"cart"')
    experiments = read_experiments(written(tmp_path, GOOD + other))
    both = sum(
        assign(experiments, unit=f"c{n}", placement="home").variant == "control"
        and assign(experiments, unit=f"c{n}", placement="cart").variant == "control"
        for n in range(4000)
    )
    assert both / 4000 == pytest.approx(0.0625, abs=4 * math.sqrt(0.0625 * 0.9375 / 4000))


def test_nobody_known_and_other_placements_are_in_no_experiment(tmp_path: Path) -> None:
    experiments = read_experiments(written(tmp_path, GOOD))
    assert assign(experiments, unit=None, placement="home") is None
    assert assign(experiments, unit="ann", placement="cart") is None


def test_the_likelihood_ratio_worked_by_hand() -> None:
    found = compare(60, 400, 40, 400)
    assert found is not None
    variance = 0.125 * 0.875 * (1 / 400 + 1 / 400)
    ratio = math.sqrt(variance / (variance + TAU**2)) * math.exp(
        TAU**2 * 0.05**2 / (2 * variance * (variance + TAU**2))
    )
    assert found.difference == pytest.approx(0.05)
    assert found.p_value == pytest.approx(min(1.0, 1 / ratio))
    assert found.low < 0 < found.high


def test_the_interval_excludes_nothing_exactly_when_the_test_rejects() -> None:
    rejected = {}
    for more in range(0, 400, 10):
        found = compare(1000 + more, 5000, 1000, 5000)
        assert found is not None
        rejected[found.p_value < 0.05] = True
        assert (found.p_value < 0.05) == (found.low > 0)
    assert set(rejected) == {True, False}


def test_too_few_units_or_no_success_at_all_say_nothing() -> None:
    assert compare(5, LEAST_UNITS - 1, 5, 1000) is None
    assert compare(0, 500, 0, 500) is None


def test_looking_at_every_step_finds_no_difference_where_there_is_none() -> None:
    rng = np.random.default_rng(7)
    false_alarms = 0
    for _ in range(300):
        one, other = (np.cumsum(rng.random(4000) < 0.1) for _ in range(2))
        looks = range(100, 4001, 50)
        found = (compare(int(one[n - 1]), n, int(other[n - 1]), n) for n in looks)
        false_alarms += any(difference is not None and difference.p_value < 0.05 for difference in found)
    assert false_alarms / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_a_difference_that_is_there_is_found() -> None:
    rng = np.random.default_rng(7)
    found = compare(int((rng.random(20_000) < 0.13).sum()), 20_000, int((rng.random(20_000) < 0.10).sum()), 20_000)
    assert found is not None
    assert found.p_value < 0.01


def test_variants_change_the_answer_and_every_answer_says_which(make_runtime, asked, tmp_path: Path) -> None:
    file = written(tmp_path, GOOD)
    client = asked(build_app(make_runtime(experiments_file=file)))
    seen = {}
    for customer in ("ann", "bob"):
        for placement in ("home", "cart"):
            body = {"customer_id": customer, "session": ["p2"], "placement": placement, "k": 1}
            answer = client.post("/v1/recommendations", json=body).json()
            seen[customer, placement] = answer
            parts = answer["request_id"].split("~")
            assert parts[3:] == [answer["experiment"] or "", answer["variant"] or "", placement]
    for (customer, placement), answer in seen.items():
        own_first = answer["variant"] == "own-first"
        assert answer["strategy"] == ("personal" if own_first else "session"), (customer, placement)
        assert (answer["experiment"] == "home-order") == (placement == "home")
    assert {answer["variant"] for answer in seen.values()} == {None, "control", "own-first"}


def test_a_variant_may_answer_from_other_scores(make_runtime, asked, tmp_path, scored_home, write_scores, ranked_lists):
    write_scores(scored_home, "v2", ranking=ranked_lists, models={"recommender": 9, "churn": 2})
    text = "[models.variants.control]\nshare = 0.5\n[models.variants.older]\nshare = 0.5\nscores = 'v1'\n"
    client = asked(build_app(make_runtime(experiments_file=written(tmp_path, text))))
    seen = {}
    for n in range(40):
        answer = client.post("/v1/recommendations", json={"customer_id": f"c{n}"}).json()
        seen.setdefault(answer["variant"], set()).add(answer["model_version"])
    assert seen == {"control": {9}, "older": {3}}
