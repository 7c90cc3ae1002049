"""The report: one page with everything, in both languages, that runs nothing and asks nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from features.errors import ConfigError
from features.lake import read_lake
from features.settings import current_settings
from serving.cli import app
from tests.features.loading import Shop as Files
from training.insight.figures import Figures, tint, tint_around, tint_signed
from training.insight.files import CUSTOMER_FIELDS, Insight
from training.insight.keep import keep_insight
from training.insight.page import SECTIONS, report_page
from training.insight.report_words import TEXTS, text
from training.insight.words import LANGUAGES, RULES, tag_rule
from training.protocols import Context

VOID = {"meta"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed without having been opened, and keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opened and closed at once."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def read(page: str) -> str:
    """The words of a page whose tags are balanced."""
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return " ".join(" ".join(parser.words).split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_section_stands_on_the_page_in_its_language(kept: Insight, language: str) -> None:
    words = read(report_page(kept, language=language))
    absent = {name for name in SECTIONS if kept.tables.get(name, True) is None}
    assert absent == {"places"}  # the made-up shop has neither channels nor stores
    for name in set(SECTIONS) - absent:
        assert text(name, language) in words, name
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", words)
    assert f"{kept.tables['best']['customers']:,}" in words
    assert f"{kept.tables['states'][-1]['lost']:,}" in words


def test_the_page_runs_nothing_and_asks_nobody(kept: Insight) -> None:
    page = report_page(kept)
    for outside in ("<script", "src=", "http", "url(", "@import", "<link"):
        assert outside not in page
    assert len(page) < 400_000
    with pytest.raises(ConfigError, match="not told in 'fr'"):
        report_page(kept, language="fr")


def test_both_languages_have_the_same_places_to_fill() -> None:
    for texts in (TEXTS, RULES):
        for key, (english, chinese) in texts.items():
            assert set(re.findall(r"\{(\w+)\}", english)) == set(re.findall(r"\{(\w+)\}", chinese)), key
            assert re.search("[\u4e00-\u9fff]", chinese), key


def bare_shop(folder: Path, *, rows: list[str], header: str, mapping: str) -> Insight:
    files = Files(folder)
    files.orders(*rows, header=header, mapping=mapping)
    files.load()
    context = Context(settings=files.settings, home=files.home, lake=read_lake(files.home))
    return keep_insight(context, at=datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_shop_that_knows_next_to_nothing_gets_a_page_that_says_so(tmp_path: Path, language: str) -> None:
    mapping = """
        [order_lines]
        path = "orders.csv"
        order_id = "order"
        customer_id = "customer"
        product_id = "product"
        ordered_at = "at"
    """
    rows = [f"o{n},c{n % 3},p{n % 2},2024-0{1 + n % 4}-0{1 + n} 10:00:00" for n in range(8)]
    found = bare_shop(tmp_path, rows=rows, header="order,customer,product,at", mapping=mapping)
    assert found.tables["deciles"] == {"spend": None, "margin": None}
    assert found.tables["behaviour"] is None
    assert found.customers["m"].null_count == found.customers["historic_value"].null_count == 3
    words = read(report_page(found, language=language))
    assert text("not_told", language) in words
    assert text("no_campaigns", language) in words


def test_names_of_the_shop_are_escaped(tmp_path: Path) -> None:
    mapping = """
        [order_lines]
        path = "orders.csv"
        order_id = "order"
        customer_id = "customer"
        product_id = "product"
        ordered_at = "at"
        amount = "paid"
        store_id = "store"
    """
    rows = [f"o{n},c{n % 4},<b>tea,2024-0{1 + n % 5}-11 10:00:00,3,<script>alert(1)</script>" for n in range(12)]
    header = "order,customer,product,at,paid,store"
    page = report_page(bare_shop(tmp_path, rows=rows, header=header, mapping=mapping))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;b&gt;tea" in page


def test_figures_are_written_for_people() -> None:
    figures = Figures("en", "USD")
    assert (figures.count(1234567.0), figures.count(None)) == ("1,234,567", "\N{EN DASH}")
    assert [figures.share(value) for value in (0.3514, 0.021, 0.0, 1.0)] == ["35%", "2.1%", "0%", "100%"]
    assert (figures.money(12.5), figures.money(1234.5)) == ("12.50 USD", "1,234 USD")
    assert (figures.number(161.7), figures.number(10.28), figures.number(0.5)) == ("162", "10.3", "0.50")
    assert figures.signed_share(-0.0523) == "-5.2"
    assert tag_rule("specialist", 0.5) == "50% of spend or more in one category, 5 orders at least"


def alpha(style: str) -> float:
    return float(re.findall(r"[\d.]+(?=\))", style)[0])


def test_tints_are_darker_for_more_and_change_colour_at_the_middle() -> None:
    assert alpha(tint(1.0, most=2.0)) < alpha(tint(2.0, most=2.0)) == alpha(tint(9.0, most=2.0)) == 0.6
    assert tint(None, most=1.0) == tint(1.0, most=0.0) == ""
    above, below = (tint_around(value, middle=100, steps=1) for value in (200.0, 50.0))
    assert alpha(above) == alpha(below)
    assert above != below
    assert alpha(tint_around(100.0, middle=100, steps=1)) == alpha(tint_signed(0.0, most=2)) == 0.03


@pytest.fixture
def regulars(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    def call(home: Path, *arguments: str) -> Result:
        monkeypatch.setenv("REGULARS_HOME", str(home))
        # As the picture was taken, so that it is not taken again.
        monkeypatch.setenv("REGULARS_THREADS", "1")
        monkeypatch.setenv("REGULARS_SEED", "1")
        current_settings.cache_clear()
        return CliRunner().invoke(app, list(arguments))

    yield call
    current_settings.cache_clear()


def test_the_commands_write_the_page_and_print_its_tables(
    regulars: Callable[..., Result], kept: Insight, pictured_context: Context, tmp_path: Path
) -> None:
    home, page = pictured_context.home.root, tmp_path / "page.html"
    done = regulars(home, "report", "--out", str(page), "--lang", "zh", "--json")
    assert done.exit_code == 0, done.output
    assert '<html lang="zh">' in page.read_text(encoding="utf-8")
    said = json.loads(done.stdout)
    assert said["tables"].keys() == kept.tables.keys()
    one = regulars(home, "insight", "segments", "--json")
    assert json.loads(one.stdout) == said["tables"]["segments"]
    for name in (None, *said["tables"]):
        shown = regulars(home, "insight", *([] if name is None else [name]))
        assert shown.exit_code == 0, shown.output
        assert shown.stdout.strip()
    wrong = regulars(home, "insight", "cohort")
    assert isinstance(wrong.exception, ConfigError)
    assert "no table 'cohort'" in str(wrong.exception)


def test_thresholds_of_the_best_are_the_managers_to_set(
    regulars: Callable[..., Result], pictured_context: Context, tmp_path: Path
) -> None:
    home, page = pictured_context.home.root, str(tmp_path / "page.html")
    done = regulars(home, "report", "--out", page, "--best-visits", "30", "--best-spend", "0", "--json")
    best = json.loads(done.stdout)["tables"]["best"]
    assert (best["rule"]["visits"], best["rule"]["spend"]) == (30, 0)
    assert regulars(home, "report", "--out", page).exit_code == 0


def test_complete_journey_makes_a_page_with_all_of_it(journey: Context) -> None:
    found = keep_insight(journey, at=datetime(2025, 1, 1, tzinfo=UTC))
    assert found.about["horizon_days"] == 28
    for language in LANGUAGES:
        words = read(report_page(found, language=language))
        for name in SECTIONS:
            assert text(name, language) in words, name
    behaviour = found.tables["behaviour"]
    chosen = next(row for row in behaviour["tried"] if row["chosen"])
    assert chosen["stability"] >= 0.75
    assert chosen["k"] == len(behaviour["segments"]) == len({str(one["named_by"]) for one in behaviour["segments"]})
    assert sum(one["customers"] for one in behaviour["segments"]) == 2469
    last = found.tables["states"][-1]
    stages = {row["group"]: row["customers"] for row in found.tables["stages"]}
    assert (last["new"], last["cooling"], last["lost"]) == (stages["new"], stages["lapsed"], stages["lost"])
    assert last["active"] + last["returned"] == stages["regular"] + stages["slipping"]
    cohorts = found.tables["cohorts"]
    assert (cohorts["rows"][0], cohorts["customers"][0], cohorts["values"][0][0]) == ("2017-01", 1982, 1.0)
    assert np.sum(found.tables["movement"]["segment"]["values"]) == 2469
    assert not found.tables["movement"]["whole"]
    assert len(found.tables["places"]["store"]["places"]) == 13
    file = journey.home.insight / "versions" / found.version / "customers.parquet"
    assert pq.read_schema(file).names == CUSTOMER_FIELDS.names
