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
Propensity = Annotated[float, Meta(gt=0, le=1)]
Dial = Annotated[float, Meta(ge=0, le=1)]
Price = Annotated[float, Meta(ge=0, le=1e12)]
IfNothing = Literal["empty", "popular"]
Question = Literal["next_purchase", "buy_again", "trending", "new_arrivals", "category", "similar", "bought_together"]


class Filters(Struct, forbid_unknown_fields=True, frozen=True):
    """What a product must be to be recommended."""

    in_stock: Annotated[bool, Meta(description="True: only products that can be sold now. False: the others too.")] = (
        True
    )
    department: Annotated[Text | None, Meta(description="Only this department.")] = None
    category: Annotated[Text | None, Meta(description="Only this category.")] = None
    brand: Annotated[Text | None, Meta(description="Only this brand.")] = None
    exclude: Annotated[Ids, Meta(description="Products never to return.")] = field(default_factory=list)
    min_price: Annotated[Price | None, Meta(description="Least price; a product without one is left out.")] = None
    max_price: Annotated[Price | None, Meta(description="Highest price; a product without one is left out.")] = None
    exclude_bought_days: Annotated[
        float, Meta(ge=0, le=36_500, description="Leave out what the customer bought within so many days.")
    ] = 0
    repeats: Annotated[
        bool | None,
        Meta(description="False: nothing the customer ever bought. True: all. Null: as the shop's rules say."),
    ] = None


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
    question: Annotated[
        Question,
        Meta(
            description="next_purchase; buy_again (what is due, and when); trending; new_arrivals (for the customer); "
            "category (the order of a category page); similar and bought_together (around product_id)."
        ),
    ] = "next_purchase"
    product_id: Annotated[Id | None, Meta(description="The product that similar and bought_together are around.")] = (
        None
    )
    offset: Annotated[int, Meta(ge=0, le=10_000, description="Products to skip: the next page.")] = 0
    if_nothing: Annotated[
        IfNothing | None,
        Meta(description="When the filters leave nothing: an empty list, or popular products without the filters."),
    ] = None
    diversity: Annotated[Dial | None, Meta(description="0: the best first. 1: each unlike those before it.")] = None
    novelty: Annotated[Dial | None, Meta(description="0: the best first. 1: the least known first.")] = None
    explore: Annotated[
        Dial | None, Meta(description="Share of the places given to chance; each item then has its propensity.")
    ] = None


class Grounds(Struct, frozen=True, omit_defaults=True, gc=False):
    """The numbers behind a reason. Days are counted to the moment of the answer."""

    product_id: Annotated[str | None, Meta(description="The other product that the numbers are about.")] = None
    support: Annotated[int | None, Meta(description="Orders with both products.")] = None
    confidence: Annotated[float | None, Meta(description="Share of the other product's orders that hold this.")] = None
    lift: Annotated[float | None, Meta(description="That share over this product's share of all orders.")] = None
    orders: Annotated[int | None, Meta(description="Orders of the customer that held it.")] = None
    every_days: Annotated[float | None, Meta(description="Median days between those orders.")] = None
    days_ago: Annotated[int | None, Meta(description="Whole days since the last of them.")] = None
    due_on: Annotated[str | None, Meta(description="When it is bought again by that rhythm.")] = None
    lately: Annotated[int | None, Meta(description="Orders of the shop with it, in the last window_days.")] = None
    before: Annotated[int | None, Meta(description="The same, in as many days before.")] = None
    window_days: int | None = None
    of_kind: Annotated[int | None, Meta(description="What the customer bought of its category or brand.")] = None
    listed_on: str | None = None


class ProductsQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """Which products around one product, and how many."""

    k: Annotated[int, Meta(ge=1, le=100, description="How many products.")] = 10
    in_stock: Annotated[bool, Meta(description="False: also what cannot be sold now.")] = True
    department: Annotated[Text | None, Meta(description="Only this department.")] = None
    category: Annotated[Text | None, Meta(description="Only this category.")] = None
    brand: Annotated[Text | None, Meta(description="Only this brand.")] = None
    min_price: Annotated[Price | None, Meta(description="Least price.")] = None
    max_price: Annotated[Price | None, Meta(description="Highest price.")] = None
    customer_id: Annotated[Id | None, Meta(description="The customer, when known.")] = None
    placement: Annotated[Name | None, Meta(description="Where it is shown.")] = None


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
            "due, category, trending, new, profile, segment, popular, catalogue, pinned, static."
        ),
    ]
    reason: Annotated[str, Meta(description="Why, in words.")]
    category: str | None = None
    price: float | None = None
    product: Annotated[
        dict[str, str | bool | None] | UnsetType, Meta(description="The fields asked for; absent when none were.")
    ] = UNSET
    grounds: Annotated[Grounds | UnsetType, Meta(description="The numbers in the reason; absent when it has none.")] = (
        UNSET
    )
    propensity: Annotated[
        float | UnsetType,
        Meta(description="The chance that this answer held it; absent without exploration. Send it with the events."),
    ] = UNSET


class Recommendations(Struct, frozen=True):
    """Ranked products, how they were found, and by which model version."""

    items: list[Item]
    strategy: Annotated[
        str,
        Meta(
            description="personal, cart, session, bought_together, due, category, trending, new, profile, segment, "
            "popular, pinned, static, or none when there is nothing to give."
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
    question: Annotated[Question, Meta(description="As for one answer.")] = "next_purchase"


class Batch(Struct, frozen=True):
    """One answer per customer, in the order asked."""

    answers: list[Recommendations]


class Place(Struct, forbid_unknown_fields=True, frozen=True):
    """One placement of a page."""

    placement: Annotated[Name, Meta(description="Where it is shown.")]
    k: Annotated[int, Meta(ge=1, le=100, description="How many products.")] = 10
    filters: Filters = field(default_factory=Filters)
    question: Annotated[Question, Meta(description="As for one answer.")] = "next_purchase"
    product_id: Annotated[Id | None, Meta(description="The product that similar and bought_together are around.")] = (
        None
    )


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


class ModelGrade(Struct, frozen=True):
    """How far a model's predictions can be relied on, by its back-test and what that leaves uncertain."""

    grade: Annotated[str, Meta(description="excellent, good, fair or unusable.")]
    why: str


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
    grades: Annotated[
        dict[str, ModelGrade], Meta(description="How far each model's predictions can be relied on.")
    ] = {}


class Health(Struct, frozen=True):
    """Whether the server runs, and from what it answers."""

    status: Literal["ok", "empty"]
    scores_version: str | None


ShopStatus = Literal["ok", "degraded", "empty", "away"]


class Readiness(Struct, frozen=True):
    """Whether the server answers, from what, and what is away."""

    status: Annotated[
        Literal["ok", "degraded", "empty"],
        Meta(description="degraded: it answers, but something is away. empty: nothing is scored yet."),
    ]
    scores_version: str | None
    problems: Annotated[dict[str, str], Meta(description="What is away or broken: scores, events, registry, keys.")]
    tenants: Annotated[
        dict[str, ShopStatus] | UnsetType,
        Meta(description="Of a server of several shops, to whom shows the key of none: how each stands."),
    ] = UNSET


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
