"""A small client of the API, which gives answers back as the types they were written as."""

from __future__ import annotations

import http.client
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from features.errors import RegularsError
from serving.schemas import AtRiskPage, CustomerPage, ModelsPage, RecommendationRequest, Recommendations

T = TypeVar("T")


class Client:
    """Asks one server. Each question is a connection of its own."""

    def __init__(self, host: str, port: int, *, timeout: float = 30) -> None:
        self.host, self.port, self.timeout = host, port, timeout

    def recommend(self, request: RecommendationRequest) -> Recommendations:
        """POST /v1/recommendations."""
        return self._ask("POST", "/v1/recommendations", Recommendations, body=msgspec.json.encode(request))

    def at_risk(self, **query: str | float) -> AtRiskPage:
        """GET /v1/customers/at-risk."""
        return self._ask("GET", f"/v1/customers/at-risk?{urlencode(query)}", AtRiskPage)

    def customer(self, customer_id: str) -> CustomerPage:
        """GET /v1/customers/{customer_id}."""
        return self._ask("GET", f"/v1/customers/{quote(customer_id, safe='')}", CustomerPage)

    def models(self) -> ModelsPage:
        """GET /v1/models."""
        return self._ask("GET", "/v1/models", ModelsPage)

    def _ask(self, method: str, path: str, kind: type[T], *, body: bytes | None = None) -> T:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RegularsError(f"http://{self.host}:{self.port}{path} did not answer: {error}") from None
        finally:
            connection.close()
        if response.status != 200:
            text = content.decode(errors="replace")
            raise RegularsError(f"http://{self.host}:{self.port}{path} answered {response.status}: {text}")
        return msgspec.json.decode(content, type=kind)
