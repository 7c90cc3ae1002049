"""A trace of each request by OpenTelemetry, where the setting `otlp_endpoint` says where to send it; else nothing.

A span is named by the template of its route and holds its request id; neither path nor query, which name customers.
"""

from __future__ import annotations

import os
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import ConfigError
from features.release import NAME, release
from features.settings import Settings

#: After which what a collector did not take is given up.
_SECONDS = 2


class Traced:
    """An ASGI application whose every HTTP request is a span, of the caller's trace where `traceparent` names one."""

    def __init__(self, app: ASGIApp, provider: Any) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.app = app
        self.tracer = provider.get_tracer(NAME)
        self.propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer within a span."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        carried = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        found: dict[str, Any] = {}

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                found["http.response.status_code"] = message["status"]
                for name, value in message["headers"]:
                    if name == b"x-request-id":
                        found["regulars.request_id"] = value.decode("latin-1")
            await send(message)

        context = self.propagator.extract(carried)
        # An exception of a request may quote its data; the gate answers and logs it.
        with self.tracer.start_as_current_span(
            scope["method"], context=context, kind=SpanKind.SERVER, record_exception=False
        ) as span:
            await self.app(scope, receive, watched)
            route = scope.get("path_template", "other")
            span.update_name(f"{scope['method']} {route}")
            found |= {"http.request.method": scope["method"], "http.route": route}
            found["regulars.strategy"] = scope.get("strategy", "")
            if "tenant" in scope:
                found["regulars.tenant"] = scope["tenant"]
            span.set_attributes(found)
            if found.get("http.response.status_code", 500) >= 500:
                span.set_status(Status(StatusCode.ERROR))


def make_provider(settings: Settings) -> Any:
    """What sends spans from this process, or None where none are wanted. Raises ConfigError without the exporter.

    Call it in the process that answers: it starts a thread, which a fork would lose.
    """
    if settings.otlp_endpoint is None:
        return None
    check(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    about = {"service.name": NAME, "service.version": release(), "service.instance.id": str(os.getpid())}
    provider = TracerProvider(resource=Resource.create(about))
    address = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=_SECONDS)))
    return provider


def check(settings: Settings) -> None:
    """Raise ConfigError where traces are wanted and cannot be sent."""
    if settings.otlp_endpoint is None:
        return
    if not settings.otlp_endpoint.startswith(("http://", "https://")):
        raise ConfigError("Setting 'otlp_endpoint' must begin with http:// or https://, as http://localhost:4318 does.")
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigError(
            "Setting 'otlp_endpoint' needs the exporter of OpenTelemetry, which is not installed:  "
            "pip install 'regulars[otel]'"
        ) from None
