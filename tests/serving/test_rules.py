"""The shop's rules: checked when read, read anew when changed, and what each does to an answer."""

import os
import time
from pathlib import Path

import pytest

from features.errors import ConfigError
from serving.app import build_app
from serving.circumstances import Circumstances
from serving.recommend import recommend
from serving.rule_book import RuleBook, RulesFile
from serving.rules import read_rules
from serving.schemas import RecommendationRequest
from serving.state import State

WHOLE = """
hide = ["p5"]
if_nothing = "popular"
diversity = 0.2
[no_repeats]
category = ["bread"]
[[pin]]
product = "p4"
position = 2
placements = ["home"]
from = 2024-06-01
until = 2024-07-01
[[boost]]
factor = 50
brand = ["Farm"]
[[bury]]
factor = 50
product = ["p0"]
[[cap]]
per = "department"
most = 1
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "rules.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hide = 5", "Expected `array`, got `int` - at `$.hide`"),
        ("colour = 1", "unknown field `colour`"),
        ("[[pin]]\nproduct = 'p'\nposition = 0", "Expected `int` >= 1 - at `$.pin[0].position`"),
        ("[[pin]]\nposition = 1", "missing required field `product`"),
        ("[[boost]]\nfactor = -1\nbrand = ['x']", "> 0"),
        ("[[boost]]\nfactor = 2", r"[[boost]] number 1 names no products. Name them by product, category"),
        ("[[cap]]\nper = 'colour'\nmost = 2", "Invalid enum value 'colour'"),
        ("[[cap]]\nper = 'brand'\nmost = 2\nfrom = 2024-02-01\nuntil = 2024-01-01", "not after its from, 2024-02-01"),
        (
            "[[pin]]\nproduct = 'a'\nposition = 1\n[[pin]]\nproduct = 'b'\nposition = 1",
            "'a' and 'b' are both pinned to position 1 (everywhere). Give one of them another position.",
        ),
        ("diversity = 2", "<= 1"),
        ("hide = [", "not a TOML file"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_rules(write(tmp_path, text))
    assert said in str(raised.value)
    assert str(tmp_path / "rules.toml") in str(raised.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist\. Correct the setting rules_file"):
        read_rules(tmp_path / "none.toml")


def ask(state: State, folder: Path, text: str, **request: object):
    book = RuleBook(read_rules(write(folder, text)), state.catalogue)
    return recommend(state, RecommendationRequest(**request), Circumstances("r", rules=book, now=state.scored_at))


def ids(answer) -> list[str]:
    return [item.product_id for item in answer.items]


def test_a_pin_holds_its_place_in_its_placement_and_days(state: State, tmp_path: Path) -> None:
    pin = '[[pin]]\nproduct = "p4"\nposition = 2\nplacements = ["home"]\n'
    there = ask(state, tmp_path, pin, customer_id="ann", k=3, placement="home")
    assert ids(there) == ["p1", "p4", "p2"]
    assert (there.items[1].source, there.items[1].reason) == ("pinned", "Placed here by the shop")
    assert there.strategy == "personal"
    assert "p4" not in ids(ask(state, tmp_path, pin, customer_id="ann", k=3, placement="footer"))
    assert "p4" not in ids(ask(state, tmp_path, pin + "until = 2024-06-01\n", customer_id="ann", k=3, placement="home"))
    assert "p4" in ids(ask(state, tmp_path, pin + "from = 2024-06-01\n", customer_id="ann", k=3, placement="home"))


def test_a_pinned_product_that_cannot_be_sold_is_not_shown(state: State, tmp_path: Path) -> None:
    assert "p3" not in ids(ask(state, tmp_path, '[[pin]]\nproduct = "p3"\nposition = 1\n', customer_id="ann", k=3))


def test_boosted_products_rise_and_buried_ones_sink(state: State, tmp_path: Path) -> None:
    assert ids(ask(state, tmp_path, "", k=5)) == ["p0", "p1", "p2", "p4", "p5"]
    boost = '[[boost]]\nfactor = 50\nbrand = ["Farm"]\n'
    assert ids(ask(state, tmp_path, boost, k=5)) == ["p2", "p4", "p0", "p1", "p5"]
    bury = '[[bury]]\nfactor = 50\nproduct = ["p0"]\n'
    assert ids(ask(state, tmp_path, bury, k=5)) == ["p1", "p2", "p4", "p5", "p0"]


def test_a_cap_lets_plainer_products_in(state: State, tmp_path: Path) -> None:
    cap = '[[cap]]\nper = "department"\nmost = 1\n'
    assert ids(ask(state, tmp_path, cap, k=5)) == ["p0", "p1", "p2", "p5"]  # p4 is dairy, as p2 is; p5 has none


def test_what_is_not_to_be_repeated_is_not_suggested_to_who_bought_it(state: State, tmp_path: Path) -> None:
    once = '[no_repeats]\ncategory = ["bread"]\n'
    assert "p1" not in ids(ask(state, tmp_path, once, customer_id="ann", k=5))
    assert "p1" in ids(ask(state, tmp_path, once, customer_id="bob", k=5))


def test_a_changed_file_is_taken_up_and_a_wrong_one_changes_nothing(tmp_path: Path, make_runtime, asked) -> None:
    file = write(tmp_path, 'hide = ["p0"]')
    runtime = make_runtime(rules_file=file)
    client = asked(build_app(runtime))

    def shown() -> set[str]:
        answers = [
            client.post("/v1/recommendations", json={"k": 9}).json(),
            client.get("/v1/products/p1/similar").json(),
            client.get("/v1/products/p1/bought-together").json(),
            client.get("/v1/customers/bob").json()["next_purchases"],
            *client.post("/v1/recommendations/batch", json={"customer_ids": ["ann", "bob"]}).json()["answers"],
            *client.post("/v1/recommendations/page", json={"placements": [{"placement": "a"}]}).json()["answers"],
        ]
        return {item["product_id"] for answer in answers for item in answer["items"]}

    assert shown() == {"p1", "p2", "p4", "p5"}
    write(tmp_path, 'hide = ["p2", "p0"]')
    runtime.refresh()
    assert shown() == {"p1", "p4", "p5"}
    write(tmp_path, "hide = [")
    runtime.refresh()
    assert shown() == {"p1", "p4", "p5"}
    ready = client.get("/readyz").json()
    assert ready["status"] == "degraded"
    assert "The rules before stay in force." in ready["problems"]["rules"]
    write(tmp_path, "")
    runtime.refresh()
    assert shown() == {"p0", "p1", "p2", "p4", "p5"}
    assert client.get("/readyz").json()["problems"] == {}


def test_a_file_put_in_place_of_another_is_noticed_whatever_its_times(tmp_path: Path) -> None:
    file = write(tmp_path, 'hide = ["a"]')
    rules = RulesFile(file)
    at = time.time() - 1000
    other = tmp_path / "other"
    other.write_text('hide = ["b"]')
    os.utime(file, (at, at))
    os.utime(other, (at, at))
    other.replace(file)
    rules.refresh()
    assert rules.rules.hide == ["b"]


def test_the_whole_example_is_read(tmp_path: Path, state: State) -> None:
    answer = ask(state, tmp_path, WHOLE, customer_id="ann", placement="home", k=5)
    assert "p5" not in ids(answer)
    assert "p1" not in ids(answer)
    assert answer.items[1].product_id == "p4"


def test_a_server_does_not_start_with_a_wrong_file(tmp_path: Path, make_runtime) -> None:
    with pytest.raises(ConfigError, match="unknown field"):
        make_runtime(rules_file=write(tmp_path, "colour = 1"))
