"""Requests and answers of the API, as msgspec types: the one place their fields, limits and meanings are written."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
#: A name of ours or of the shop's code: a placement, an experiment, a variant.
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:/-]+$")]
Ids = Annotated[list[Id], Meta(max_length=200)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Stage = Literal["new", "regular", "slipping", "lapsed", "lost"]
SortKey = Literal["value_at_risk", "churn_probability", "expected_spend", "spend", "days_since_last_order"]


class Filters(Struct, forbid_unknown_fields=True, frozen=True):
    """What a product must be to be recommended."""

    in_stock: Annotated[bool, Meta(description="True: only products that can be sold now. False: the others too.")] = (
        True
    )
    department: Annotated[Text | None, Meta(description="Only this department.")] = None
    category: Annotated[Text | None, Meta(description="Only this category.")] = None
    brand: Annotated[Text | None, Meta(description="Only this brand.")] = None
    exclude: Annotated[Ids, Meta(description="Products never to return.")] = field(default_factory=list)


ProductField = Literal["department", "brand", "in_stock"]


class RecommendationRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Whom to recommend to, or around which products; everything is optional."""

    customer_id: Annotated[Id | None, Meta(description="The customer, when known.")] = None
    session_id: Annotated[Id | None, Meta(description="The visit, as its events name it.")] = None
    session: Annotated[Ids, Meta(description="Products looked at in this visit, latest last.")] = field(
        default_factory=list
    )
    cart: Annotated[Ids, Meta(description="Products in the cart; never returned.")] = field(default_factory=list)
    placement: Annotated[Name | None, Meta(description="Where it is shown; said back in the answer.")] = None
    k: Annotated[int, Meta(ge=1, le=100, description="How many products.")] = 10
    filters: Filters = field(default_factory=Filters)
    fields: Annotated[
        list[ProductField], Meta(max_length=10, description="Further fields wanted of each product, in `product`.")
    ] = field(default_factory=list)
    dry_run: Annotated[bool, Meta(description="Answer, but count it nowhere.")] = False


class Item(Struct, frozen=True, gc=False):
    """One recommended product."""

    rank: int
    product_id: str
    name: str | None
    score: Annotated[
        float | None, Meta(description="Higher is better, within one source; null for a product that only fills.")
    ]
    source: Annotated[
        str,
        Meta(
            description="own_history, als, item_item, next_order, similar_customers, cart, session, bought_together, "
            "category, segment, popular, catalogue, static."
        ),
    ]
    reason: Annotated[str, Meta(description="Why, in words.")]
    category: str | None = None
    price: float | None = None
    product: Annotated[
        dict[str, str | bool | None] | UnsetType, Meta(description="The fields asked for; absent when none were.")
    ] = UNSET


class Recommendations(Struct, frozen=True):
    """Ranked products, how they were found, and by which model version."""

    items: list[Item]
    strategy: Annotated[
        str,
        Meta(
            description="personal, cart, session, bought_together, category, segment, popular, static, "
            "or none when there is nothing to give."
        ),
    ]
    fallback: Annotated[str | None, Meta(description="Why the answer is plainer than asked for; null if it is not.")]
    model: str
    model_version: int | None
    as_of: str | None
    request_id: Annotated[str, Meta(description="Send it with the events that come of this answer.")]
    customer_id: str | None = None
    placement: str | None = None
    experiment: str | None = None
    variant: str | None = None


class BatchRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """The same question for many customers."""

    customer_ids: Annotated[list[Id], Meta(min_length=1, max_length=1000, description="Up to 1,000.")]
    placement: Annotated[Name | None, Meta(description="Where it is shown.")] = None
    k: Annotated[int, Meta(ge=1, le=100, description="How many products for each.")] = 10
    filters: Filters = field(default_factory=Filters)
    fields: Annotated[list[ProductField], Meta(max_length=10, description="Further fields of each product.")] = field(
        default_factory=list
    )
    dry_run: Annotated[bool, Meta(description="Answer, but count it nowhere.")] = False


class Batch(Struct, frozen=True):
    """One answer per customer, in the order asked."""

    answers: list[Recommendations]


class Place(Struct, forbid_unknown_fields=True, frozen=True):
    """One placement of a page."""

    placement: Annotated[Name, Meta(description="Where it is shown.")]
    k: Annotated[int, Meta(ge=1, le=100, description="How many products.")] = 10
    filters: Filters = field(default_factory=Filters)


class PageRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """All placements of one page in one call."""

    placements: Annotated[list[Place], Meta(min_length=1, max_length=20)]
    customer_id: Annotated[Id | None, Meta(description="The customer, when known.")] = None
    session_id: Annotated[Id | None, Meta(description="The visit, as its events name it.")] = None
    session: Annotated[Ids, Meta(description="Products looked at in this visit, latest last.")] = field(
        default_factory=list
    )
    cart: Annotated[Ids, Meta(description="Products in the cart; never returned.")] = field(default_factory=list)
    fields: Annotated[list[ProductField], Meta(max_length=10, description="Further fields of each product.")] = field(
        default_factory=list
    )
    distinct: Annotated[bool, Meta(description="Show no product in two placements.")] = True
    dry_run: Annotated[bool, Meta(description="Answer, but count it nowhere.")] = False


class AtRiskQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """Which customers at risk, in which order."""

    min_probability: Annotated[Probability, Meta(description="Least churn probability.")] = 0.0
    min_value_at_risk: Annotated[float, Meta(ge=0, description="Least value at risk, in the shop's currency.")] = 0.0
    stage: Annotated[Stage | None, Meta(description="Only this stage of life.")] = None
    sort: Annotated[SortKey, Meta(description="Highest first.")] = "value_at_risk"
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Rows of one page.")] = 50
    offset: Annotated[int, Meta(ge=0, le=2**53, description="Rows to skip.")] = 0
    include_contacted: Annotated[
        bool, Meta(description="Also who was contacted lately (setting contact_rest_days). Never who opted out.")
    ] = False
    format: Annotated[Literal["json", "csv"] | None, Meta(description="Over the Accept header.")] = None


class ExportQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """Which customers at risk, in which order; all of them."""

    min_probability: Annotated[Probability, Meta(description="Least churn probability.")] = 0.0
    min_value_at_risk: Annotated[float, Meta(ge=0, description="Least value at risk, in the shop's currency.")] = 0.0
    stage: Annotated[Stage | None, Meta(description="Only this stage of life.")] = None
    sort: Annotated[SortKey, Meta(description="Highest first.")] = "value_at_risk"
    include_contacted: Annotated[
        bool, Meta(description="Also who was contacted lately (setting contact_rest_days). Never who opted out.")
    ] = False


class ScoredCustomer(Struct, frozen=True):
    """One customer with scores. Probabilities are of the horizon; money is in the shop's currency."""

    customer_id: str
    churn_probability: float | None
    value_at_risk: float | None
    expected_spend: float | None
    purchase_probability: float | None
    stage: str
    days_since_last_order: int
    last_order_at: str
    orders: int
    spend: float | None
    reasons: list[str]
    last_outcome: Annotated[str | None, Meta(description="What came of the last contact.")] = None
    last_outcome_at: str | None = None


class AtRiskPage(Struct, frozen=True):
    """One page of customers at risk, how they were found, and by which model version."""

    items: list[ScoredCustomer]
    total: int
    limit: int
    offset: int
    sorted_by: str
    strategy: Annotated[
        str, Meta(description="churn, recency when there is no churn model, none when nothing is scored.")
    ]
    fallback: str | None
    model: str
    model_version: int | None
    as_of: str | None
    horizon_days: int | None


class CustomerPage(Struct, frozen=True):
    """One customer: scores, reasons and next purchases."""

    customer_id: str
    known: bool
    active: bool | None
    scores: ScoredCustomer | None
    next_purchases: Recommendations
    models: dict[str, int | None]
    as_of: str | None
    horizon_days: int | None
    currency: str


class ModelsPage(Struct, frozen=True):
    """Which versions answer now."""

    models: dict[str, int | None]
    scores_version: str | None
    as_of: str | None
    created_at: str | None
    lake_version: str | None
    customers: int
    products: int
    problem: Annotated[str | None, Meta(description="Why newer scores could not be loaded; the ones before answer.")]
    pinned: Annotated[str | None, Meta(description="The scoring that answers whatever becomes current.")] = None


class Health(Struct, frozen=True):
    """Whether the server runs, and from what it answers."""

    status: Literal["ok", "empty"]
    scores_version: str | None


class Readiness(Struct, frozen=True):
    """Whether the server answers, from what, and what is away."""

    status: Annotated[
        Literal["ok", "degraded", "empty"],
        Meta(description="degraded: it answers, but something is away. empty: nothing is scored yet."),
    ]
    scores_version: str | None
    problems: Annotated[dict[str, str], Meta(description="What is away or broken: scores, events, registry, keys.")]


class FieldError(Struct, frozen=True):
    """What is wrong with one field of the request."""

    field: str
    detail: str


class Problem(Struct, frozen=True):
    """A problem as RFC 9457 describes it, with the fields that caused it."""

    title: str
    status: int
    detail: str
    errors: list[FieldError] = field(default_factory=list)
    type: str = "about:blank"
