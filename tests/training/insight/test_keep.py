"""The picture as it is kept: whole, the same for the same shop, and read without pandas."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import ConfigError, DataError
from features.home import Home
from features.lake import read_lake
from features.settings import BestCustomers
from tests.training.insight.conftest import AT
from training.bundle import seal
from training.insight.faces import ALL
from training.insight.files import CUSTOMERS, Insight, current_version, read_insight
from training.insight.keep import keep_insight
from training.insight.picture import STEPS
from training.insight.portrait import Rules
from training.insight.reference import BEGIN, END, reference
from training.insight.words import WORDS, segment_name, word
from training.protocols import Context

ROOT = Path(__file__).parents[3]


def test_what_is_read_is_what_was_kept_and_its_parts_agree(
    kept: Insight, pictured_context: Context, told: list[str]
) -> None:
    assert told == list(STEPS)
    assert current_version(pictured_context.home) == kept.version
    n = kept.about["customers"]
    assert kept.customers.num_rows == len(kept.spend) == len(kept.traits) == n == 400
    ids = kept.customers["customer_id"].to_pylist()
    assert ids == sorted(ids)
    assert sum(row["customers"] for row in kept.tables["segments"]) == n
    assert sum(row["customers"] for row in kept.tables["stages"]) == n
    last = kept.tables["states"][-1]
    stages = {row["group"]: row["customers"] for row in kept.tables["stages"]}
    assert (last["new"], last["cooling"], last["lost"]) == (stages["new"], stages["lapsed"], stages["lost"])
    np.testing.assert_allclose(kept.spend.sum(axis=1), kept.customers["spend_lately"].to_numpy(), rtol=1e-4)
    tagged = [tag for tags in kept.customers["tags"].to_pylist() for tag in tags]
    assert {row["tag"]: row["customers"] for row in kept.tables["tags"] if row["customers"]} == {
        tag: tagged.count(tag) for tag in set(tagged)
    }


def test_every_face_of_the_cube_holds_all_that_was_sold(kept: Insight) -> None:
    names = [one.name for one in kept.cube.dimensions]
    assert {"segment", "grade", "stage", "category", "weekday", "daypart", "period"} <= set(names)
    total = np.nansum(kept.cube.face(names[0], ALL, "spend"))
    for rows in names:
        for columns in [ALL, *names]:
            if rows != columns:
                assert np.nansum(kept.cube.face(rows, columns, "spend")) == pytest.approx(total)
    one, other = kept.cube.face("category", "grade", "customers"), kept.cube.face("grade", "category", "customers")
    np.testing.assert_array_equal(one, other.T)
    spend, orders = (kept.cube.face("segment", "weekday", name) for name in ("spend", "orders"))
    np.testing.assert_allclose(kept.cube.face("segment", "weekday", "spend_per_order"), spend / orders)
    buyers = kept.cube.face("segment", ALL, "customers")[:, 0]
    groups = [row["customers"] for row in kept.tables["segments"]]
    assert np.nan_to_num(buyers).tolist() == groups


def test_customers_alike_are_near(kept: Insight) -> None:
    row = kept.row_of("m7")
    assert row is not None
    near = kept.alike(row, k=3)
    assert len(set(near)) == 3
    assert "m7" not in near
    distance = ((kept.traits - kept.traits[row]) ** 2).sum(axis=1)
    found = sorted(distance[kept.row_of(one)] for one in near)
    assert found == sorted(np.delete(distance, row))[:3]
    assert kept.row_of("nobody") is None


def test_the_same_shop_is_not_pictured_twice_and_other_rules_are(kept: Insight, pictured_context: Context) -> None:
    steps: list[str] = []
    again = keep_insight(pictured_context, at=datetime(2026, 1, 1, tzinfo=UTC), done=steps.append)
    assert (again.version, again.about["created_at"], steps) == (kept.version, AT.isoformat(), [])
    other = keep_insight(pictured_context, at=AT, rules=Rules(best={"spend": 1.0, "visits": 1}))
    assert other.version != kept.version
    own = kept.tables["best"]["rule"]["categories"]
    assert other.tables["best"]["rule"] == {"spend": 1.0, "categories": own, "visits": 1}
    assert other.tables["best"]["customers"] > kept.tables["best"]["customers"]
    chosen = pictured_context.settings.model_copy(update={"best_customers": BestCustomers(spend=1.0, visits=1)})
    by_settings = replace(pictured_context, settings=chosen)
    assert keep_insight(by_settings, at=AT).version == other.version
    given = keep_insight(by_settings, at=AT, rules=Rules(best={"spend": 2.0}))
    assert given.tables["best"]["rule"] == {"spend": 2.0, "categories": own, "visits": 1}
    assert keep_insight(pictured_context, at=AT).version == kept.version


def test_a_changed_file_is_named(kept: Insight, pictured_context: Context, tmp_path: Path) -> None:
    shutil.copytree(pictured_context.home.insight, tmp_path / "insight")
    file = tmp_path / "insight" / "versions" / kept.version / CUSTOMERS
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"customers.parquet: missing or changed"):
        read_insight(Home(tmp_path))


def test_the_reader_needs_neither_pandas_nor_what_fits(kept: Insight, pictured_context: Context) -> None:
    code = (
        "import sys; from pathlib import Path; from features.home import Home\n"
        "from training.insight.files import read_insight; import training.insight.words\n"
        "print('pandas' in sys.modules)\n"
        f"print(read_insight(Home(Path({str(pictured_context.home.root)!r}))).version)\n"
        "print(sorted({'sklearn', 'duckdb', 'ibis', 'mlflow', 'lightgbm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    # PyArrow itself loads pandas, where it is installed, when it reads a table.
    assert done.stdout.split("\n")[:3] == ["False", kept.version, "[]"]


def test_every_key_of_the_picture_has_a_word_in_both_languages(kept: Insight) -> None:
    keys = {one.name for one in kept.cube.dimensions}
    keys |= {value for one in kept.cube.dimensions if one.kind != "product" for value in one.values if value.isalpha()}
    keys |= {row[name] for table, name in (("tags", "tag"), ("segments", "group")) for row in kept.tables[table]}
    assert keys <= set(WORDS)
    assert all(all(texts) for texts in WORDS.values())
    assert (word("lost", "en"), word("lost", "zh"), word("attribute_age_band")) == ("Lost", "已流失", "age band")
    assert segment_name([("visits", "high"), ("discount", "low")], "zh") == "来得多，少用折扣"
    with pytest.raises(ConfigError, match="not told in 'fr'"):
        word("lost", "fr")


def test_the_page_of_metrics_is_the_one_the_functions_give() -> None:
    page = (ROOT / "docs" / "insights.md").read_text(encoding="utf-8")
    assert page[page.index(BEGIN) : page.index(END) + len(END)] == reference()


def test_tables_are_plain_json(kept: Insight) -> None:
    assert json.loads(json.dumps(kept.tables, allow_nan=False)) == kept.tables


def test_predicted_values_and_the_horizon_come_from_the_scoring_of_the_same_moment(
    kept: Insight, pictured_context: Context, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(pictured_context.home.lake, home.lake)
    settings = pictured_context.settings.model_copy(update={"home": home.root})
    context = Context(settings=settings, home=home, lake=read_lake(home))
    scoring = home.scores / "versions" / "s1"
    scoring.mkdir(parents=True)
    ids = kept.customers["customer_id"].to_pylist()[1:]  # the first has no score
    scores = pa.table({"customer_id": ids[::-1], "expected_spend": np.arange(len(ids), dtype=float)[::-1]})
    pq.write_table(scores, scoring / "customers.parquet")
    about = {"lake_version": context.lake.version, "as_of": kept.about["as_of"], "horizon_days": 14}
    seal(scoring, kind="scores", about=about)
    (home.scores / "CURRENT").write_text("s1")
    found = keep_insight(context, at=AT)
    assert (found.about["horizon_days"], found.about["scores_version"]) == (14, "s1")
    predicted = found.customers["predicted_value"].to_pylist()
    assert predicted == [None, *range(len(ids))]
    assert found.tables["lifetime"]["predicted"]["measure"] == "expected_spend"
    assert found.tables["lifetime"]["predicted"]["customers"] == len(ids)
    seal(scoring, kind="scores", about={**about, "lake_version": "another"})
    assert keep_insight(context, at=AT).about["scores_version"] is None
