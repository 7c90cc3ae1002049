"""A small client of the API, which gives answers back as the types they were written as."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from features.errors import RegularsError
from serving.event_types import Event, EventBatch, EventsAnswer, IdentifyAnswer, IdentifyRequest
from serving.feedback import FeedbackPage
from serving.outcomes import Outcome, OutcomeBatch, OutcomesAnswer
from serving.schemas import (
    Batch,
    BatchRequest,
    ModelsPage,
    PageRequest,
    Readiness,
    RecommendationRequest,
    Recommendations,
)
from serving.schemas_contact import CampaignPage, ContactPlanPage, ContactPlanRequest
from serving.schemas_customers import AtRiskPage, AudiencePage, AudienceRequest, CustomerPage
from serving.stock import StockAnswer, StockBatch, Stocked

T = TypeVar("T")
_PART = 1 << 16


class Client:
    """Asks one server, with a key where it wants one. Each question is a connection of its own.

    `secure`: over TLS, which a proxy before the server speaks. Each method raises RegularsError for what is not
    answered, and for an answer that is a problem.
    """

    def __init__(
        self, host: str, port: int, *, key: str | None = None, timeout: float = 30, secure: bool = False
    ) -> None:
        self.host, self.port, self.key, self.timeout, self.secure = host, port, key, timeout, secure

    def recommend(self, request: RecommendationRequest) -> Recommendations:
        """POST /v1/recommendations."""
        return self._ask("POST", "/v1/recommendations", Recommendations, body=request)

    def recommend_many(self, request: BatchRequest) -> list[Recommendations]:
        """POST /v1/recommendations/batch: one answer per customer, in the order asked."""
        return self._ask("POST", "/v1/recommendations/batch", Batch, body=request).answers

    def recommend_page(self, request: PageRequest) -> list[Recommendations]:
        """POST /v1/recommendations/page: one answer per placement, in the order asked."""
        return self._ask("POST", "/v1/recommendations/page", Batch, body=request).answers

    def similar(self, product_id: str, *, k: int = 10) -> Recommendations:
        """GET /v1/products/{product_id}/similar."""
        return self._ask("GET", f"/v1/products/{_quoted(product_id)}/similar?k={k}", Recommendations)

    def bought_together(self, product_id: str, *, k: int = 10) -> Recommendations:
        """GET /v1/products/{product_id}/bought-together."""
        return self._ask("GET", f"/v1/products/{_quoted(product_id)}/bought-together?k={k}", Recommendations)

    def send(self, events: Sequence[Event], *, dry_run: bool = False) -> EventsAnswer:
        """POST /v1/events: on disk once this returns, or, as a dry run, checked alone; up to 1,000."""
        path = "/v1/events?dry_run=true" if dry_run else "/v1/events"
        return self._ask("POST", path, EventsAnswer, body=EventBatch(list(events)))

    def identify(self, session_id: str, customer_id: str) -> IdentifyAnswer:
        """POST /v1/sessions/{session_id}/customer: whose a visit is."""
        path = f"/v1/sessions/{_quoted(session_id)}/customer"
        return self._ask("POST", path, IdentifyAnswer, body=IdentifyRequest(customer_id))

    def stock(self, told: Mapping[str, bool | None]) -> StockAnswer:
        """PUT /v1/stock: what can be sold from now on, by product; None: as the product file says. Up to 1,000."""
        products = [Stocked(product, word) for product, word in told.items()]
        return self._ask("PUT", "/v1/stock", StockAnswer, body=StockBatch(products))

    def at_risk(self, **query: str | float) -> AtRiskPage:
        """GET /v1/customers/at-risk."""
        return self._ask("GET", f"/v1/customers/at-risk?{urlencode(query)}", AtRiskPage)

    def export(self, **query: str | float) -> Iterator[bytes]:
        """GET /v1/customers/at-risk/export: the whole list as CSV, in parts as they come."""
        with self._answer("GET", f"/v1/customers/at-risk/export?{urlencode(query)}") as response:
            while part := response.read(_PART):
                yield part

    def customer(self, customer_id: str) -> CustomerPage:
        """GET /v1/customers/{customer_id}."""
        return self._ask("GET", f"/v1/customers/{_quoted(customer_id)}", CustomerPage)

    def audience(self, request: AudienceRequest) -> AudiencePage:
        """POST /v1/audiences: the customers most likely to buy a product, or of a category."""
        return self._ask("POST", "/v1/audiences", AudiencePage, body=request)

    def contact_plan(self, request: ContactPlanRequest) -> ContactPlanPage:
        """POST /v1/contact-plans: whom to contact; recorded once this returns, unless it is a dry run."""
        return self._ask("POST", "/v1/contact-plans", ContactPlanPage, body=request)

    def campaign(self, campaign_id: str) -> CampaignPage:
        """GET /v1/contact-plans/{campaign_id}: a recorded plan and what came of it."""
        return self._ask("GET", f"/v1/contact-plans/{_quoted(campaign_id)}", CampaignPage)

    def outcomes(self, sent: Sequence[Outcome]) -> OutcomesAnswer:
        """POST /v1/outcomes: what came of contacts; up to 1,000."""
        return self._ask("POST", "/v1/outcomes", OutcomesAnswer, body=OutcomeBatch(list(sent)))

    def feedback(self, *, days: float = 30) -> FeedbackPage:
        """GET /v1/feedback."""
        return self._ask("GET", f"/v1/feedback?days={days}", FeedbackPage)

    def models(self) -> ModelsPage:
        """GET /v1/models."""
        return self._ask("GET", "/v1/models", ModelsPage)

    def ready(self) -> Readiness:
        """GET /readyz."""
        return self._ask("GET", "/readyz", Readiness)

    def _ask(self, method: str, path: str, kind: type[T], *, body: msgspec.Struct | None = None) -> T:
        with self._answer(method, path, body=body) as response:
            return msgspec.json.decode(response.read(), type=kind)

    @contextmanager
    def _answer(
        self, method: str, path: str, *, body: msgspec.Struct | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=self.timeout)
        try:
            headers = {"Content-Type": "application/json"}
            if self.key is not None:
                headers["Authorization"] = f"Bearer {self.key}"
            connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
            response = connection.getresponse()
            if response.status != 200:
                text = response.read().decode(errors="replace")
                raise RegularsError(f"{self.host}:{self.port}{path} answered {response.status}: {text}")
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise RegularsError(f"{self.host}:{self.port}{path} did not answer: {error}") from None
        finally:
            connection.close()


def _quoted(part: str) -> str:
    return quote(part, safe="")
