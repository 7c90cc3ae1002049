"""Products: what the site would be recommended now for any customer, cart or product; what sells with what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct
from starlette.responses import Response

from serving.answering import catch_up
from serving.console.forms import asked_of
from serving.console.handlers_shop import insight_of
from serving.console.picture import name_of
from serving.console.visit import Visit
from serving.questions import AROUND_ONE
from serving.recommend import recommend
from serving.schemas import Filters, Name, Question, RecommendationRequest
from training.insight.files import Insight

QUESTIONS = ("next_purchase", "buy_again", "trending", "new_arrivals", "similar", "bought_together")
MOST_IN_CART = 50
#: Rows of a table.
MOST_SHOWN = 25


def tables_of(insight: Insight | None, lang: str) -> dict[str, Any]:
    """What the shop's picture says of products; empty tables where there is none yet."""
    if insight is None:
        return {"again": [], "pairs": [], "affinity": None}
    affinity = (insight.tables.get("affinity") or {}).get("segment")  # null where nothing has a category
    if affinity is not None:
        affinity = affinity | {
            "names": [name_of(insight, "segment", one, lang) for one in affinity["rows"]],
            "titles": [name_of(insight, "category", one, lang) for one in affinity["columns"]],
        }
    seen: set[frozenset[str]] = set()
    pairs = []
    for rule in (insight.tables.get("baskets") or {}).get("products", []):
        both = frozenset((rule["item_id"], rule["other_id"]))
        if both not in seen:  # of the two directions, the stronger, which stands first
            seen.add(both)
            pairs.append(rule)
    again = (insight.tables.get("products") or [])[:MOST_SHOWN]
    return {"again": again, "pairs": pairs[:MOST_SHOWN], "affinity": affinity}


class Asked(Struct, frozen=True):
    """What the site would send."""

    question: Literal["next_purchase", "buy_again", "trending", "new_arrivals", "similar", "bought_together"] = (
        "next_purchase"
    )
    customer: Annotated[str, Meta(max_length=200)] | None = None
    cart: Annotated[str, Meta(max_length=4000)] | None = None  # ids apart by commas or spaces
    product: Annotated[str, Meta(max_length=200)] | None = None
    placement: Name | None = None
    category: Annotated[str, Meta(max_length=200)] | None = None

    def of_the_api(self, question: Question, *, customer: str | None) -> RecommendationRequest:
        """The request it stands for, of the customer as they are held; it is counted nowhere."""
        cart = (self.cart or "").replace(",", " ").split()[:MOST_IN_CART]
        return RecommendationRequest(
            question=question,
            customer_id=customer,
            cart=cart,
            product_id=self.product,
            placement=self.placement,
            filters=Filters(category=self.category),
            k=10,
            dry_run=True,
        )

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to answer."""
        return self.question in AROUND_ONE or self.question == "trending" or self != Asked()


async def the_page(visit: Visit) -> Response:
    """GET /console/products."""
    asked = asked_of(visit.request, Asked)
    needs = asked.question in AROUND_ONE and asked.product is None
    answer = None
    if asked.is_asked and not needs:
        runtime = visit.runtime
        await catch_up(runtime)
        question = asked.of_the_api(asked.question, customer=asked.customer and runtime.known_as(asked.customer))
        state, circumstances = runtime.answer_from(customer_id=question.customer_id, placement=asked.placement)
        answer = recommend(state, question, circumstances)
    template = "products_part.html" if visit.is_part else "products.html"
    return visit.page(
        template,
        asked=asked,
        answer=answer,
        needs=needs,
        unset=UNSET,
        questions=QUESTIONS,
        sold=tables_of(await insight_of(visit), visit.lang),
        rules=visit.runtime.rules.path is not None,
        categories=[] if visit.state.catalogue is None else visit.state.catalogue.attributes["category"].values,
    )
