import csv
import io
import json
import subprocess
import sys

import pytest

from features.errors import RegularsError
from features.home import Home
from features.settings import current_settings
from serving.cli import ORDER


@pytest.mark.parametrize("command", ORDER)
def test_every_command_has_help_with_an_example(regulars, command: str) -> None:
    result = regulars(command, "--help")
    assert result.exit_code == 0
    assert f"regulars {command}" in result.stdout
    assert "Example:" in result.stdout


def test_recommend_prints_what_the_server_would_answer(regulars, scored_home: Home) -> None:
    result = regulars("recommend", "ann", "--k", "2", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [item["product_id"] for item in answer["items"]] == ["p1", "p2"]
    assert answer["strategy"] == "personal"


def test_recommend_for_a_cart_and_a_category(regulars, scored_home: Home) -> None:
    answer = json.loads(regulars("recommend", "--cart", "p0", "--category", "cheese", "--json").stdout)
    assert [item["product_id"] for item in answer["items"]] == ["p2"]


def test_recommend_asks_any_question_under_the_rules(regulars, scored_home: Home, tmp_path, monkeypatch) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('hide = ["p0"]')
    around = ("recommend", "--question", "similar", "--product", "p3", "--json", "--k", "9")
    assert json.loads(regulars(*around).stdout)["items"][0]["product_id"] == "p0"
    monkeypatch.setenv("REGULARS_RULES_FILE", str(rules))
    current_settings.cache_clear()
    shown = [item["product_id"] for item in json.loads(regulars(*around).stdout)["items"]]
    assert shown
    assert "p0" not in shown
    for wrong in (("--question", "similar"), ("--question", "what")):
        assert regulars("recommend", *wrong).exit_code == 2


def test_recommend_as_a_table_names_the_fallback(regulars, scored_home: Home) -> None:
    result = regulars("recommend", "nobody")
    assert "customer 'nobody' is not known" in result.stdout


def test_at_risk_as_json_and_csv_agree(regulars, scored_home: Home) -> None:
    page = json.loads(regulars("at-risk", "--limit", "3", "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(regulars("at-risk", "--limit", "3", "--csv").stdout)))
    assert [item["customer_id"] for item in page["items"]] == [row["customer_id"] for row in rows]
    assert page["total"] == 4


@pytest.mark.parametrize("arguments", [("at-risk", "--sort", "x"), ("recommend", "ann", "--k", "0"), ("nonsense",)])
def test_wrong_use_exits_with_2(regulars, scored_home: Home, arguments: tuple[str, ...]) -> None:
    assert regulars(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["recommend", "at-risk"])
def test_nothing_scored_says_what_to_run(regulars, command: str) -> None:
    result = regulars(command)
    assert isinstance(result.exception, RegularsError)
    assert "regulars train && regulars score" in str(result.exception)


def test_doctor_finds_nothing_broken_in_an_empty_home(regulars) -> None:
    result = regulars("doctor", "--json")
    report = json.loads(result.stdout)
    status = {finding["area"]: finding["status"] for finding in report["findings"]}
    assert (result.exit_code, report["healthy"]) == (0, True)
    assert (status["loaded"], status["trained"], status["scored"]) == ("missing", "missing", "missing")


def test_doctor_names_the_file_that_changed_and_exits_with_1(regulars, scored_home: Home) -> None:
    (scored_home.scores / "versions" / "v1" / "customers.parquet").write_bytes(b"changed")
    result = regulars("doctor", "--json")
    report = json.loads(result.stdout)
    broken = [finding for finding in report["findings"] if finding["status"] == "broken"]
    assert result.exit_code == 1
    assert [(finding["area"], finding["do"]) for finding in broken] == [("scored", "regulars score")]
    assert "customers.parquet" in broken[0]["found"]


def test_doctor_says_that_scores_are_older_than_the_lake(regulars, scored_home: Home) -> None:
    version = scored_home.lake / "versions" / "lake2"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text(json.dumps({"rows": {}, "has_amounts": True}))
    (scored_home.lake / "CURRENT").write_text("lake2")
    report = json.loads(regulars("doctor", "--json").stdout)
    scores = next(finding for finding in report["findings"] if finding["name"] == "scores")
    assert scores["status"] == "stale"
    assert "the lake has changed since" in scores["found"]


def test_help_starts_without_the_heavy_libraries() -> None:
    code = "import sys, serving.cli; print([m for m in ('mlflow', 'feast', 'ibis', 'lightgbm', 'bentoml', 'pandas', "
    code += "'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_keys_are_made_shown_once_listed_and_revoked(regulars) -> None:
    made = json.loads(regulars("keys", "create", "--scope", "site", "--name", "shop front", "--json").stdout)
    assert made["key"].startswith(f"rg_site_{made['id']}_")
    listed = json.loads(regulars("keys", "list", "--json").stdout)
    assert [(key["id"], key["name"], key["revoked_at"]) for key in listed] == [(made["id"], "shop front", None)]
    assert made["key"] not in regulars("keys", "list").stdout
    assert regulars("keys", "revoke", made["id"]).exit_code == 0
    assert json.loads(regulars("keys", "list", "--json").stdout)[0]["revoked_at"] is not None
    assert regulars("keys", "create", "--scope", "root").exit_code == 2
    unknown = regulars("keys", "revoke", "nothing")
    assert isinstance(unknown.exception, RegularsError)
