"""The customers most likely to buy a product, or of a category, in the next days: one pass over everybody's purchases.

What share of a customer's orders holds the products says how likely they are to buy (training.own_share). How many
orders they place is known from the purchase probability of the scores, as a Poisson count over its horizon; without
one, from the orders they placed. Of a category, a model learned from earlier months starts from there and corrects it
(training.category_propensity).
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import Catalogue
from serving.csv_text import cells, csv_bytes
from serving.insights import ago
from serving.outcomes import Contacts
from serving.quality import COLUMN, grade_of, word
from serving.schemas_customers import AudienceMember, AudiencePage, AudienceRequest
from serving.state import EPOCH, State
from training.category_propensity import CategoryPropensity, signals_of
from training.evidence import Evidence
from training.own_share import likelihood, orders_by_chance

MODEL = "propensity"
NO_CONTACTS = Contacts()
LEARNED, OWN_SHARE, NONE = "learned", "own_share", "none"


def audience(
    state: State,
    asked: AudienceRequest,
    contacts: Contacts = NO_CONTACTS,
    *,
    now: datetime | None = None,
    rest_days: float = 0,
) -> AudiencePage:
    """The likeliest customers first; ties stand by id. Whoever opted out is not among them.

    Who was contacted within `rest_days` of `now` (UTC), or is held out by a campaign, is only when asked for; who
    bought it in the last `exclude_bought_days` is not.
    """
    days = asked.days or state.about.get("horizon_days") or 28
    if state.ranking is None or state.catalogue is None or state.ranking.evidence is None:
        missing = "nothing is scored yet" if state.version is None else "these scores hold no evidence of purchases"
        return _page(state, [], 0, days, NONE, f"{missing}; run:  regulars train && regulars score")
    evidence, catalogue = state.ranking.evidence, state.catalogue
    wanted = _wanted(catalogue, asked)
    if not wanted.any():
        return _page(state, [], 0, days, NONE, f"no product is {_said(asked)}")
    why = None
    orders_ahead = _orders_ahead(state, evidence, days)
    if orders_ahead is None:
        why = "there is no purchase probability, so customers are taken to order as often as before"
        orders_ahead = evidence.customer_orders / max(evidence.days, 1.0) * days
    moment = (state.moment(now) - EPOCH).total_seconds() / 86_400
    model = _learned(state) if why is None and asked.category is not None else None
    # The model speaks of its horizon, and so must what it starts from.
    ahead = orders_ahead if model is None else orders_ahead * model.horizon_days / days
    found = likelihood(evidence, wanted, ahead)
    probability, times, last = found.probability, found.times, found.last
    if model is not None:
        signals = signals_of(evidence, found, wanted, as_of_day=moment)
        probability = model.probability(signals, asked.category, days=days)
    ids = state.ranking.customers["customer_id"]
    kept = probability >= asked.min_probability
    if asked.exclude_bought_days:
        kept &= last < moment - asked.exclude_bought_days
    left_out = contacts.left_out(now=now, rest_days=rest_days, opted_out_only=asked.include_contacted)
    kept[[state.ranked_rows[customer] for customer, _ in left_out if customer in state.ranked_rows]] = False
    rows = np.flatnonzero(kept)
    best = rows[_likeliest(probability[rows], asked.offset + asked.limit)][asked.offset :]
    names = ids.take(best).to_pylist()
    numbers = zip(
        names, probability[best].tolist(), times[best].tolist(), evidence.customer_orders[best].tolist(), strict=True
    )
    items = [_member(*known, moment - since) for known, since in zip(numbers, last[best].tolist(), strict=True)]
    return _page(state, items, len(rows), days, OWN_SHARE if model is None else LEARNED, why)


def _learned(state: State) -> CategoryPropensity | None:
    """The model of categories of the propensity champion; None where it has none, as those of earlier releases."""
    found = state.about.get("categories")
    return None if found is None else CategoryPropensity.from_json(found)


def as_csv(page: AudiencePage) -> bytes:
    """The rows of a page as CSV with a header."""
    said = word(page.grade)
    return csv_bytes([(*AudienceMember.__struct_fields__, COLUMN), *([*cells(item), said] for item in page.items)])


def _likeliest(probability: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Positions of the highest, highest first, ties in their order."""
    if most < len(probability):
        least = np.partition(probability, len(probability) - most)[len(probability) - most]
        among = np.flatnonzero(probability >= least)
    else:
        among = np.arange(len(probability))
    best: NDArray[np.int64] = among[np.argsort(-probability[among], kind="stable")][:most]
    return best


def _orders_ahead(state: State, evidence: Evidence, days: float) -> NDArray[np.float64] | None:
    """(customers of the lists,) orders expected in so many days; None where no probability is known."""
    if state.customers is None or state.ranking is None:
        return None
    scored = np.asarray(state.customers["purchase_probability"].cast("float64").to_numpy(), dtype=np.float64)
    horizon = state.about.get("horizon_days")
    if not horizon or not np.isfinite(scored).any():
        return None
    if state.ranked_rows is not state.rows:
        of_list = [state.rows.get(customer, -1) for customer in state.ranked_rows]
        at = np.array(of_list, dtype=np.int64)
        scored = np.where(at >= 0, scored[at], np.nan)
    expected = orders_by_chance(scored) * days / horizon
    before = evidence.customer_orders / max(evidence.days, 1.0) * days
    found: NDArray[np.float64] = np.where(np.isfinite(expected), expected, before)
    return found


def _wanted(catalogue: Catalogue, asked: AudienceRequest) -> NDArray[np.bool_]:
    if asked.product_id is not None:
        mask = np.zeros(len(catalogue.ids), dtype=bool)
        code = catalogue.codes.get(asked.product_id)
        if code is not None:
            mask[code] = True
        return mask
    name = "category" if asked.category is not None else "department" if asked.department is not None else "brand"
    return catalogue.has(name, getattr(asked, name) or "")


def _said(asked: AudienceRequest) -> str:
    for name in ("product_id", "category", "department", "brand"):
        value = getattr(asked, name)
        if value is not None:
            return f"of {name} '{value}'"
    return "named"


def _member(customer_id: str, probability: float, times: int, orders: int, days_ago: float) -> AudienceMember:
    since = int(days_ago) if times else None
    in_all = "1 order" if orders == 1 else f"{orders} orders"
    if since is None:
        reason = f"never bought it, {in_all} in all"
    else:
        reason = f"bought it {'once' if times == 1 else f'{times} times'} in {in_all}, last {ago(since)}"
    return AudienceMember(customer_id, round(probability, 6), times, orders, since, reason)


def _page(
    state: State, items: list[AudienceMember], total: int, days: float, strategy: str, why: str | None
) -> AudiencePage:
    return AudiencePage(
        items=items,
        total=total,
        days=float(days),
        strategy=strategy,
        fallback=why,
        model=MODEL,
        model_version=state.models.get(MODEL),
        as_of=state.as_of,
        grade=grade_of(state, MODEL),
    )
