"""`regulars ingest` as a user runs it: exit codes, what stands on stdout and on stderr, and one load at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import RegularsError
from features.sources.complete_journey import TERMS
from tests.features.loading import GOOD, HEADER, MAPPING, Shop

REGULARS = Path(sys.executable).with_name("regulars")


def regulars(shop: Shop, *arguments: str, columns: int = 200) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REGULARS_")}
    environment |= {"REGULARS_HOME": str(shop.home.root), "REGULARS_THREADS": "1", "COLUMNS": str(columns)}
    return subprocess.run(
        [REGULARS, *arguments], cwd=shop.folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_load_prints_what_came_of_it_and_exits_0(shop: Shop) -> None:
    shop.orders(GOOD, "o2,ann,tea,never,1,1")
    done = regulars(shop, "ingest", "--mapping", "shop.toml")
    assert done.returncode == 0, done.stderr
    assert f"Lake {shop.current()}" in done.stdout
    row = next(line.split() for line in done.stdout.splitlines() if line.strip().startswith("order_lines"))
    assert row == ["order_lines", "2", "1", "0", "0", "1", "bad_ordered_at", "1"]
    assert "note order_lines: set aside 1 row that breaks the contract. See them:  regulars quarantine" in done.stdout
    assert "order_lines: looking through orders.csv" in done.stderr
    assert "order_lines: 2 rows read, 1 break the contract" in done.stderr
    assert "✓ Loading shop.toml" in done.stderr
    again = regulars(shop, "ingest", "--mapping", "shop.toml")
    assert again.returncode == 0
    assert f"Lake {shop.current()}: nothing new" in again.stdout


def test_json_is_all_there_is_on_stdout(shop: Shop) -> None:
    shop.orders(GOOD)
    done = regulars(shop, "ingest", "--mapping", "shop.toml", "--json")
    report = json.loads(done.stdout)
    assert report["changed"] is True
    assert report["version"] == shop.current()
    assert report["tables"] == [
        {
            "table": "order_lines",
            "read": 1,
            "added": 1,
            "updated": 0,
            "already": 0,
            "held": 1,
            "quarantined": {},
        }
    ]


@pytest.mark.parametrize(
    ("orders", "mapping", "said"),
    [
        (f"{HEADER}\n{GOOD}\n", MAPPING.replace('"customer"', '"Client"'), "column 'Client' named for customer_id is"),
        (f"{HEADER}\n{GOOD}\n", MAPPING.replace("quantity", "qty"), "[order_lines]: unknown key 'qty'. Columns of"),
        ("", MAPPING, "orders.csv: the file is empty (0 bytes). Nothing was loaded. Export it again."),
        (None, MAPPING, "orders.csv does not exist. Correct 'path'."),
    ],
)
def test_what_cannot_be_loaded_exits_1_with_one_message_and_no_traceback(
    shop: Shop, orders: str | None, mapping: str, said: str
) -> None:
    if orders is not None:
        shop.write("orders.csv", orders)
    shop.write("shop.toml", mapping)
    done = regulars(shop, "ingest", "--mapping", "shop.toml")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--mapping"),
        (("--source", "kaggle"), "kaggle"),
        (("--source", "complete-journey", "--mapping", "shop.toml"), "goes with files and sql alone"),
        (("--speed", "fast"), "--speed"),
    ],
)
def test_used_wrongly_exits_2(shop: Shop, arguments: tuple[str, ...], said: str) -> None:
    done = regulars(shop, "ingest", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not shop.home.root.exists()


def test_help_shows_a_mapping_and_an_example(shop: Shop) -> None:
    done = regulars(shop, "ingest", "--help", columns=100)
    assert done.returncode == 0
    assert 'amount = { expression = "Quantity * Price" }' in done.stdout
    assert "[order_lines]" in done.stdout
    assert "regulars ingest --mapping shop.toml" in done.stdout
    assert "docs/ingest.md" in done.stdout


def test_complete_journey_states_its_terms_of_use(shop: Shop) -> None:
    done = regulars(shop, "ingest", "--source", "complete-journey", "--json")
    assert done.returncode == 0, done.stderr
    assert f"note {TERMS}\n" in done.stderr
    held = {table["table"]: table["held"] for table in json.loads(done.stdout)["tables"]}
    assert held["order_lines"] == 1_469_307
    assert held["customers"] == 801


def test_two_loads_at_once_the_second_is_told_to_wait(shop: Shop) -> None:
    shop.orders(GOOD)
    with shop.home.lock("ingest"):
        done = regulars(shop, "ingest", "--mapping", "shop.toml")
        with pytest.raises(RegularsError, match="Another 'ingest' is running on"):
            shop.load()
    assert done.returncode == 1
    assert f"error: Another 'ingest' is running on {shop.home.root}. Wait for it to end, or stop it" in done.stderr
    assert shop.load().changed


def test_quarantine_shows_what_was_set_aside_and_why(shop: Shop) -> None:
    shop.load_lines(GOOD, "o2,ann,tea,never,1,1", "o3,bob", *[f"o{n},ann,tea,2024-01-01,1,x" for n in range(4, 34)])
    done = regulars(shop, "quarantine", "--reason", "bad_ordered_at")
    assert done.returncode == 0
    assert f"Quarantine of lake {shop.current()}: 1 rows" in done.stdout
    assert "order: o2, customer: ann, product: tea, at: never, pieces: 1, paid: 1" in done.stdout
    some = regulars(shop, "quarantine", "--limit", "3").stdout
    assert "32 rows, 3 shown" in some
    assert some.count("orders.csv") == 3
    rows = json.loads(regulars(shop, "quarantine", "--table", "order_lines", "--json").stdout)
    assert len(rows) == 32
    assert rows[-1] == {
        "table": "order_lines",
        "reason": "unreadable_line",
        "source": "orders.csv",
        "row": "line 4: o3,bob",
    }
    assert json.loads(regulars(shop, "quarantine", "--table", "products", "--json").stdout) == []


def test_quarantine_of_no_lake_says_what_to_load(shop: Shop) -> None:
    done = regulars(shop, "quarantine")
    assert done.returncode == 1
    assert "No data is loaded" in done.stderr
