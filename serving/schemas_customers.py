"""Requests and answers about customers: who is at risk, one customer, who is likely to buy what."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from serving.schemas import Id, ModelGrade, Probability, Recommendations, Text

Stage = Literal["new", "regular", "slipping", "lapsed", "lost"]
Language = Literal["en", "zh"]
SortKey = Literal[
    "value_at_risk", "churn_probability", "expected_spend", "spend", "days_since_last_order", "response_probability"
]


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
    lang: Annotated[Language | None, Meta(description="Of the reasons; over the Accept-Language header.")] = None


class ExportQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """Which customers at risk, in which order; all of them."""

    min_probability: Annotated[Probability, Meta(description="Least churn probability.")] = 0.0
    min_value_at_risk: Annotated[float, Meta(ge=0, description="Least value at risk, in the shop's currency.")] = 0.0
    stage: Annotated[Stage | None, Meta(description="Only this stage of life.")] = None
    sort: Annotated[SortKey, Meta(description="Highest first.")] = "value_at_risk"
    include_contacted: Annotated[
        bool, Meta(description="Also who was contacted lately (setting contact_rest_days). Never who opted out.")
    ] = False
    lang: Annotated[Language | None, Meta(description="Of the reasons; over the Accept-Language header.")] = None


class CustomerQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """In which language."""

    lang: Annotated[Language | None, Meta(description="Of the reasons; over the Accept-Language header.")] = None


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
    expected_back_by: Annotated[
        str | None, Meta(description="Day by which four of five customers like this one are back after an order.")
    ] = None
    days_overdue: Annotated[int | None, Meta(description="Whole days since then; 0 where it has not passed.")] = None
    next_order_expected: Annotated[
        str | None, Meta(description="Day by which half of customers like this one order next.")
    ] = None
    next_order_from: Annotated[str | None, Meta(description="Start of the middle 80% of days for it.")] = None
    next_order_until: Annotated[str | None, Meta(description="End of the middle 80% of days for it.")] = None
    expected_spend_low: Annotated[
        float | None,
        Meta(description="Four of five customers like this one spend at least this, and at most the high."),
    ] = None
    expected_spend_high: float | None = None
    lifetime_value: Annotated[
        float | None, Meta(description="Spend in lifetime_days to come, discounted; see the customer's page.")
    ] = None
    lifetime_value_low: float | None = None
    lifetime_value_high: float | None = None
    response_probability: Annotated[
        float | None,
        Meta(description="Of a response within the horizon if contacted now; null where no response is learned."),
    ] = None


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
    grade: Annotated[ModelGrade | None, Meta(description="How far the probabilities can be relied on.")] = None


class OnlineFeatures(Struct, frozen=True):
    """Features as of now from the online store: those unknown, or older than the shop allows, are null."""

    features: dict[str, float | str | None] = {}
    age_hours: Annotated[
        dict[str, float | None], Meta(description="How old each part is, by the store's view; null: not known there.")
    ] = {}
    problem: Annotated[str | None, Meta(description="Why there are none: the store is away, or slow.")] = None


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
    online: Annotated[OnlineFeatures | None, Meta(description="Null where the shop keeps no features online.")] = None
    grades: Annotated[
        dict[str, ModelGrade], Meta(description="How far each model's predictions can be relied on.")
    ] = {}
    lifetime_days: Annotated[int | None, Meta(description="Days that lifetime_value counts.")] = None
    yearly_discount: Annotated[
        float | None, Meta(description="By how much a year's delay makes spend worth less in it.")
    ] = None


class AudienceRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Who is likely to buy: a product, or one of a category, department or brand; exactly one of the four."""

    product_id: Annotated[Id | None, Meta(description="A product.")] = None
    category: Annotated[Text | None, Meta(description="Any product of this category.")] = None
    department: Annotated[Text | None, Meta(description="Any product of this department.")] = None
    brand: Annotated[Text | None, Meta(description="Any product of this brand.")] = None
    days: Annotated[
        Annotated[int, Meta(ge=1, le=365)] | None, Meta(description="Within so many days; null: the scores' horizon.")
    ] = None
    min_probability: Annotated[Probability, Meta(description="Least probability.")] = 0.0
    exclude_bought_days: Annotated[
        float, Meta(ge=0, le=36_500, description="Leave out who bought it within so many days.")
    ] = 0
    include_contacted: Annotated[
        bool, Meta(description="Also who was contacted lately (setting contact_rest_days). Never who opted out.")
    ] = False
    limit: Annotated[int, Meta(ge=1, le=100_000, description="How many customers.")] = 100
    offset: Annotated[int, Meta(ge=0, le=2**53, description="Customers to skip.")] = 0


class AudienceQuery(Struct, forbid_unknown_fields=True, frozen=True):
    """In which form."""

    format: Annotated[Literal["json", "csv"] | None, Meta(description="Over the Accept header.")] = None


class AudienceMember(Struct, frozen=True):
    """One customer of an audience."""

    customer_id: str
    probability: Annotated[float, Meta(description="Of buying it within the days asked for.")]
    times_bought: Annotated[int, Meta(description="Products of it bought, counted once in each order.")]
    orders: int
    days_since_bought: int | None
    reason: str


class AudiencePage(Struct, frozen=True):
    """The customers most likely to buy, likeliest first."""

    items: list[AudienceMember]
    total: Annotated[int, Meta(description="Customers that the request allows.")]
    days: float
    strategy: Annotated[
        str, Meta(description="learned (of a category), own_share, or none when there is nothing to go by.")
    ]
    fallback: str | None
    model: str
    model_version: int | None
    as_of: str | None
    grade: Annotated[ModelGrade | None, Meta(description="How far the purchase probability can be relied on.")] = None
