from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.build import BUILT_IN, entity_features, features_of
from features.definitions import CUSTOMER
from features.errors import ConfigError
from features.own import own_features
from features.reference import reference
from features.settings import Settings
from features.time_safety import moved_features
from tests.features.small_shop import arrow, line, snapshot_of

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def test_page_holds_the_reference_as_generated_now() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(f"{reference()}\n"), (
        "docs/features.md is out of date: put the output of  regulars features docs  at its end"
    )


def test_every_feature_has_a_name_of_its_own_and_says_what_it_means() -> None:
    names = [(feature.entity.name, feature.name) for feature in BUILT_IN]
    assert len(set(names)) == len(names)
    assert not [feature.name for feature in BUILT_IN if not feature.description.endswith(".") or not feature.unit]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example of the page, as a file."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    [code] = [block for block in blocks if "FEATURES" in block]
    assert len([text for text in code.splitlines() if text.strip()]) < 10
    file = tmp_path / "own.py"
    file.write_text(code, encoding="utf-8")
    return file


def test_example_of_the_page_adds_a_feature(example: Path) -> None:
    own = own_features(Settings(features_file=example))
    orders = [
        line("ann", "1", "2024-05-01T09:00"),
        line("ann", "2", "2024-05-02T13:00"),
        line("ann", "3", "2024-01-01T09:00"),
    ]
    snapshot = snapshot_of({"order_lines": arrow("order_lines", orders)}, "2024-06-01")
    features = features_of(snapshot, own=own)
    ann = entity_features(snapshot, CUSTOMER, features).to_pandas().iloc[0]
    assert ann["morning_share_90d"] == 0.5
    assert moved_features(snapshot.tables, snapshot.given, snapshot.as_of, features) == {}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("FEATURES = [1]", "must be a list of"),
        ("", "must be a list of"),
        ("1 / 0", "ZeroDivisionError"),
        (
            "from features.customers import CUSTOMER_FEATURES\nFEATURES = CUSTOMER_FEATURES[:1]",
            "a feature 'orders_life' of customer exists",
        ),
    ],
)
def test_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, code: str, message: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(code)
    with pytest.raises(ConfigError, match=message):
        own_features(Settings(features_file=file))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        own_features(Settings(features_file=tmp_path / "none.py"))
