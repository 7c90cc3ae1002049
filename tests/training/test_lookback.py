"""Past scorings held against what came: worked by hand on a shop whose customers do as the test says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.errors import DataError
from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import current_settings, load_settings
from serving.cli import app
from tests.features.loading import CAMPAIGNS, HEADER, MAPPING
from tests.serving.conftest import customer, ranked_lists, write_scores
from training import lookback as looking
from training.bundle import read_manifest
from training.cli_lookback import judge
from training.judged import Judged
from training.lookback import look_back
from training.lookback_lists import judge_lists
from training.protocols import Context
from training.ranked_lists import RankedLists
from training.said import DEPTH, KIND, PRODUCTS, due, keep_said, kept_sayings, known_on
from training.tracking import open_registry
from training.verdicts import AS_PROMISED, OFF_LEVEL, TOO_FEW, WORSE, kept_lookbacks, newest_verdicts

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
DAYS = 28
WHO = [f"c{number:03}" for number in range(200)]
#: Who comes back within the horizon: 90 of the first hundred, 10 of the second.
BACK = [*WHO[:90], *WHO[100:110]]
AT = datetime(2024, 7, 10, tzinfo=UTC)


def line(who: str, day: float, product: str, order: str = "") -> str:
    at = AS_OF.replace(tzinfo=None) + timedelta(days=day)
    return f"{who}{order}{day:g},{who},{product},{at:%Y-%m-%d %H:%M:%S},1,10.00"


#: Two orders before, and for some one after, of a product each had bought and one that nobody had.
BEFORE = [line(who, day, product) for who in WHO for day, product in ((-40.5, "tea"), (-5.5, "oil"))]
AFTER = [line(who, 3.5, product) for who in BACK for product in ("oil", "new")]
#: Somebody who is new since then, and by whom it is known that the horizon has passed.
LATE = [line("late", DAYS + 2.5, "tea")]


class Shop:
    """A home with a scoring as of AS_OF, and what happened loaded as far as a test says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = load_settings(home=root / "home", threads=1, seed=1)
        self.home = Home(self.settings.home)

    def load(self, *lines: str, contacts: Sequence[str] = ()) -> Context:
        (self.root / "orders.csv").write_text("\n".join((HEADER, *BEFORE, *lines)))
        mapping = MAPPING
        if contacts:
            mapping += CAMPAIGNS.partition("[responses]")[0]
            rows = [f"spring,{who},2024-06-03,{treated}" for who, treated in (one.split() for one in contacts)]
            (self.root / "contacts.csv").write_text("\n".join(("campaign,customer,at,treated", *rows)))
        (self.root / "shop.toml").write_text(mapping)
        ingest("files", self.settings, mapping=self.root / "shop.toml", now=datetime(2024, 8, 1))
        return Context(settings=self.settings, home=self.home, lake=read_lake(self.home))

    def score(
        self,
        *,
        version: str = "v1",
        as_of: datetime = AS_OF,
        promised: Mapping[str, Any] | None = None,
        ranking: RankedLists | None = None,
        models: Mapping[str, int | None] | None = None,
        **said: Any,
    ) -> Path:
        """The directory of a scoring: churn 0.1 of the first hundred, 0.9 of the second, unless `said` otherwise."""
        rows = [
            customer(
                who,
                0.1 if number < 100 else 0.9,
                1.0,
                silent=6,
                purchase_probability=0.9 if number < 100 else 0.1,
                expected_spend=18.0 if number < 100 else 2.0,
                expected_spend_low=0.0,
                expected_spend_high=20.0,
            )
            | {name: value[number] if isinstance(value, list) else value for name, value in said.items()}
            for number, who in enumerate(WHO)
        ]
        of_models = {model: {"metrics": metrics} for model, metrics in (promised or {}).items()}
        return write_scores(
            self.home,
            version,
            customers=rows,
            ranking=ranking,
            models=dict(models or {"churn": 3, "propensity": 2, "value": 1, "recommender": None}),
            about={"as_of": as_of.isoformat(), "horizon_days": DAYS, "backtests": of_models},
        )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def judged(context: Context, said: Path) -> dict[str, Judged]:
    return {one.model: one for one in look_back(context, said, at=AT).models}


PROMISED = {
    "churn": {"auc": 0.91, "auc_low": 0.88, "auc_high": 0.94},
    "propensity": {"auc": 0.9},
    "value": {"mae": 3.0, "mae_low": 2.9, "mae_high": 3.1, "correlation": 0.82, "correlation_low": 0.75},
}


def test_what_came_is_measured_by_the_very_numbers_said(shop: Shop) -> None:
    said = keep_said(shop.home, shop.score(promised=PROMISED))
    found = judged(shop.load(*AFTER, *LATE), said)
    churn = found["churn"]
    # Of 100 x 100 pairs of one who stopped and one who stayed: 90 x 90 the right way round, 2 x 90 x 10 tied.
    assert churn.came["auc"] == pytest.approx((90 * 90 + 0.5 * 2 * 90 * 10) / 100**2)
    assert churn.came["brier"] == pytest.approx(0.9 * 0.1**2 + 0.1 * 0.9**2)
    assert (churn.version, churn.customers, churn.ratio) == (3, 200, pytest.approx(1.0))
    assert (churn.verdict, churn.promised["auc"]) == (AS_PROMISED, 0.91)
    assert churn.tenths[0].came == pytest.approx(0.0)
    assert sum(tenth.customers for tenth in churn.tenths) == 200
    assert found["propensity"].came["auc"] == churn.came["auc"]
    value = found["value"]
    # 20 came of whoever came back: off by 2 of the 90, by 18 of the other 10; and the same the other way round.
    assert value.came["mae"] == pytest.approx(0.9 * 2 + 0.1 * 18)
    assert value.came["interval_coverage"] == 1.0
    # By how spend is told apart, which no season moves; the error is promised and told, and judges nothing.
    assert (value.metric, value.came["correlation"]) == ("correlation", pytest.approx((90**2 - 10**2) / 100**2))
    assert value.promised["mae"] == 3.0
    assert (value.ratio, value.verdict) == (pytest.approx(1.0), AS_PROMISED)


def test_worse_than_promised_and_off_its_level_are_told_and_too_few_are_not_judged(shop: Shop) -> None:
    much = {"churn": {"auc": 0.97, "auc_low": 0.96, "auc_high": 0.98}}
    said = keep_said(shop.home, shop.score(promised=much, purchase_probability=[0.9] * 150 + [0.7] * 50))
    found = judged(shop.load(*AFTER, *LATE), said)
    assert found["churn"].verdict == WORSE
    assert "promised 0.970" in found["churn"].why
    assert found["propensity"].verdict == OFF_LEVEL
    assert found["propensity"].ratio == pytest.approx(0.5 / 0.85)
    assert "nothing was promised" in found["propensity"].why
    few = shop.load(*AFTER, *(line(who, 4.5, "tea", "again") for who in WHO if who not in BACK[:60]), *LATE)
    assert judged(few, said)["churn"].verdict == TOO_FEW


def test_who_was_contacted_is_told_apart_and_who_was_held_out_is_judged_by(shop: Shop) -> None:
    said = keep_said(shop.home, shop.score(promised=PROMISED))
    called = [f"{who} yes" for who in WHO[100:120]] + [f"{who} no" for who in WHO[120:130]]
    found = judged(shop.load(*AFTER, *LATE, contacts=called), said)["churn"]
    assert found.customers == 180
    assert found.contacted is not None
    assert (found.contacted.customers, found.contacted.predicted, found.contacted.came) == (20, pytest.approx(0.9), 0.5)
    assert found.ratio == pytest.approx((10 + 80) / (0.1 * 100 + 0.9 * 80))


def test_ranked_lists_are_judged_by_what_those_bought_who_came_back(shop: Shop) -> None:
    products = ranked_lists().products.slice(0, 3).set_column(0, "product_id", pa.array(["gone", "oil", "tea"]))
    lists = np.tile(np.array([[0, 1, 2]], dtype=np.int32), (len(WHO), 1))
    lists[1] = [2, 0, -1]
    whole = replace(
        ranked_lists(),
        customers=pa.table({"customer_id": WHO}),
        products=products,
        lists=lists,
        scores=np.tile(np.array([[0.9, 0.8, 0.7]], dtype=np.float32), (len(WHO), 1)),
        sources=np.zeros((len(WHO), 3), dtype=np.uint8),
        own_orders=np.ones((len(WHO), 3), dtype=np.uint16),
        popular=np.array([0, 1, 2], dtype=np.int32),
        neighbours=np.full((3, 1), -1, dtype=np.int32),
        neighbour_lift=np.zeros((3, 1), dtype=np.float32),
    )
    promised = {"recommender": {"ndcg@10": 0.4, "recall@10": 0.5}}
    said = keep_said(shop.home, shop.score(promised=promised, ranking=whole, models={"recommender": 7}))
    kept = pq.read_table(said / "customers.parquet")[PRODUCTS].to_pylist()
    assert kept[:2] == [["gone", "oil", "tea"], ["tea", "gone"]]
    later = shop.load(*AFTER, *LATE)
    found = judged(later, said)["recommender"]
    # Each bought oil and new. What was gone holds its place, so oil is a hit at the second; c001 has none.
    gain = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    assert found.customers == len(BACK)
    assert found.came["recall@10"] == pytest.approx(0.5 * 99 / 100)
    assert found.came["ndcg@10"] == pytest.approx(gain * 99 / 100)
    assert (found.version, found.promised, found.ratio) == (7, {"ndcg@10": 0.4, "recall@10": 0.5}, None)
    assert DEPTH >= 20
    on_spark = replace(later, settings=later.settings.model_copy(update={"engine": "spark"}))
    about, table = read_manifest(said, kind=KIND), pq.read_table(said / "customers.parquet")
    assert judge_lists(on_spark, about, table) == found


def test_where_nobody_came_back_lists_are_not_judged_and_it_is_said(shop: Shop) -> None:
    lists = replace(ranked_lists(), customers=pa.table({"customer_id": WHO[:2]}))
    said = keep_said(shop.home, shop.score(ranking=lists, models={"churn": 3, "recommender": 7}))
    found = look_back(shop.load(*LATE), said, at=AT)
    assert [(one.model, one.came["brier"]) for one in found.models] == [("churn", pytest.approx((0.9**2 + 0.1**2) / 2))]
    (note,) = found.notes
    assert note.startswith("recommender: No customer ordered both before")


def test_nothing_is_judged_before_its_horizon_has_passed(shop: Shop) -> None:
    said = keep_said(shop.home, shop.score())
    early = shop.load(*AFTER)
    assert due(shop.home, early.lake) == []
    assert known_on(said) == AS_OF.replace(tzinfo=None) + timedelta(days=DAYS)
    with pytest.raises(DataError, match="not known yet"):
        look_back(early, said, at=AT)
    assert due(shop.home, shop.load(*AFTER, *LATE).lake) == [said]


def test_what_is_loaded_of_after_the_horizon_changes_nothing(shop: Shop) -> None:
    said = keep_said(shop.home, shop.score(promised=PROMISED))
    one = judged(shop.load(*AFTER, *LATE), said)
    more = [line(who, DAYS + 0.5, "tea") for who in WHO]
    assert judged(shop.load(*AFTER, *LATE, *more), said) == one


def test_the_first_scoring_of_a_week_is_kept_and_the_one_by_newer_models_of_its_day(shop: Shop) -> None:
    def keep(days: int, churn: int, version: str) -> Path | None:
        as_of = AS_OF + timedelta(days=days)
        return keep_said(shop.home, shop.score(version=version, as_of=as_of, models={"churn": churn}))

    first = keep(2, 1, "a")  # a Monday
    assert keep(2, 1, "b") is None
    assert keep(3, 1, "c") is None
    assert keep(9, 1, "d") is not None
    assert keep(2, 2, "e") == first
    assert [path.name for path in kept_sayings(shop.home)] == ["2024-06-03", "2024-06-10"]
    assert read_manifest(first, kind=KIND)["models"] == {"churn": 2}


def test_once_judged_only_figures_stay_and_killed_half_way_it_is_judged_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = keep_said(shop.home, shop.score(promised=PROMISED))
    context = shop.load(*AFTER, *LATE)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(looking, "remove_said", dies)
        with pytest.raises(KeyboardInterrupt):
            judge(context, said)
    (before,) = kept_lookbacks(shop.home)
    assert due(shop.home, context.lake) == [said]
    judge(context, said)
    (after,) = kept_lookbacks(shop.home)
    assert before | {"judged_at": None} == after | {"judged_at": None}
    assert due(shop.home, context.lake) == []
    assert not said.exists()
    # Scored once more as of that day, it is not judged a second time.
    assert keep_said(shop.home, shop.score(version="again", promised=PROMISED)) is None
    text = (shop.home.lookback / f"{said.name}.json").read_text()
    assert not [who for who in WHO if f'"{who}"' in text]
    assert newest_verdicts(shop.home)["churn"]["as_of"] == "2024-06-01T00:00:00"


def test_the_command_judges_what_is_due_says_what_waits_and_logs_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REGULARS_HOME", str(shop.home.root))
    current_settings.cache_clear()
    run = lambda *arguments: CliRunner().invoke(app, ["lookback", *arguments])  # noqa: E731
    shop.load(*AFTER)
    assert "No scoring is kept" in str(run().exception)
    keep_said(shop.home, shop.score(promised=PROMISED))
    assert "judged once orders up to 2024-06-29 are loaded" in str(run().exception)
    later = AS_OF + timedelta(days=9)
    keep_said(shop.home, shop.score(version="later", as_of=later))
    shop.load(*AFTER, *LATE)
    told = json.loads(run("--json", "--plots", str(tmp_path / "pictures")).stdout)
    assert told["waiting"] == {"2024-06-10": "2024-07-08"}
    (one,) = told["judged"]
    assert [model["model"] for model in one["models"]] == ["churn", "propensity", "value"]
    assert (tmp_path / "pictures" / "lookback-2024-06-01.png").read_bytes().startswith(b"\x89PNG")
    shown = run().stdout
    for text in ("churn 3", "0.910", "as promised", "known once orders up to 2024-07-08 are loaded"):
        assert text in shown
    registry = open_registry(shop.home)
    (logged,) = registry.client.search_runs([registry.experiment("lookback")])
    assert logged.data.metrics["churn.came.auc"] == pytest.approx(0.9)
    current_settings.cache_clear()
