"""Every route of the server asked in all ways it may be, made from its description: a new route is asked by itself."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx

from serving.openapi import openapi
from serving.route_table import ApiRoute
from tests.serving.two_shops import MARK, ONLY_THEIRS, SHARED, Shopper

#: What is refused whoever asks: changes without what they need, for they begin a process of seconds, which is tried
#: below; a picture that nobody drew; a page that is not there.
ANSWERED_SO = {
    "/console/models/promote": 422,
    "/console/models/rollback": 422,
    "/console/models/picture": 404,
    "/console/{rest:path}": 404,
}
#: They end one session and begin another, and so are tried last.
LAST = ("/console/logout", "/console/session")
#: What any form or address of the console may ask for; each takes what it knows.
FIELDS = {
    "part": "page",
    "outcome": "reached",
    "note": "rang",
    "to": "Mia",
    "days": "3",
    "query": "stage=slipping",
    "cost": "1",
    "margin": "30",
    "model": "churn",
    "version": "1",
    "theme": "light",
    "format": "xlsx",
}


class Question(NamedTuple):
    """One request."""

    path: str
    what: dict[str, Any]

    @property
    def sent(self) -> list[str]:
        """What of the second shop's stands in it, the longest first."""
        found = set(re.findall(rf"[\w-]*{MARK}[\w-]*", f"{self.path} {self.what}"))
        return sorted(found, key=len, reverse=True)


def questions(route: ApiRoute, view_id: str) -> Iterator[Question]:
    """Ways to ask a route for what the second shop has: by ids of both shops and by its own alone."""
    for ids in ({**ONLY_THEIRS, "product_id": f"p-{MARK}"}, SHARED):
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda part, ids=ids: ids.get(part[1], "console.css"), route.path)
        asked = of_the_console(route, ids, view_id) if route.path.startswith("/console") else of_the_api(route, ids)
        yield from (Question(path, what) for what in asked)
        if route.path in LAST:
            return


def of_the_api(route: ApiRoute, ids: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """As the description of the API says that it may be asked: each body, then each parameter by itself."""
    told = openapi()["paths"].get(route.path, {}).get(route.method.lower(), {})
    examples = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    bodies = [{"json": with_ids(one["value"], ids)} for one in examples.values()] or [{}]
    yield from bodies
    for parameter in told.get("parameters", ()):
        if parameter["in"] == "query":
            for value in values_of(parameter["name"], parameter["schema"], ids):
                yield {**bodies[0], "params": {parameter["name"]: value}}


def with_ids(value: object, ids: Mapping[str, str]) -> Any:
    """An example with the ids in place of its own."""
    if isinstance(value, dict):
        return {name: ids.get(name) or with_ids(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [with_ids(one, ids) for one in value]
    return value


def values_of(name: str, schema: Mapping[str, Any], ids: Mapping[str, str]) -> list[str]:
    """Values of a parameter, by its schema."""
    kinds = schema.get("anyOf", [schema])
    if any("enum" in kind for kind in kinds):
        return [str(value) for kind in kinds for value in kind.get("enum", ())]
    if any(kind.get("type") == "string" for kind in kinds):
        return [ids.get(name, f"x-{MARK}")]
    return ["true"] if schema.get("type") == "boolean" else [str(schema.get("default") or 1)]


def of_the_console(route: ApiRoute, ids: Mapping[str, str], view_id: str) -> Iterator[dict[str, Any]]:
    """Forms and addresses with ids in every field that takes one; pages are asked for by one field at a time too."""
    of_ids = {
        "id": ids["customer_id"],
        "customer": ids["customer_id"],
        "find": ids["customer_id"],
        "product": ids["product_id"],
        "cart": ids["product_id"],
        "outcome_id": ids["outcome_id"],
        "campaign": ids["campaign_id"],
        "campaign_id": ids["campaign_id"],
        "category": ids["category"],
        "view_id": view_id,
        "name": "mine",
        "agent": f"Agent-{MARK}",
        "store": f"North{MARK}",
        "attribute": f"household=single{MARK}",
    }
    if route.method == "POST":
        yield {"data": {**FIELDS, **of_ids}}
        return
    yield {}
    yield {"params": {**FIELDS, **of_ids}}
    yield from ({"params": {name: value}} for name, value in of_ids.items())
    yield {"headers": {"HX-Request": "true"}}


def ask(shopper: Shopper, route: ApiRoute, question: Question) -> httpx.Response:
    """The shop's own answer, by a session for a page and by a key for the rest."""
    if not route.path.startswith("/console"):
        return shopper.api(route.method, question.path, **question.what)
    what = dict(question.what)
    if route.path == "/console/session":
        what["data"] = {**what["data"], "key": shopper.keys["admin"]}
    return shopper.page(route.method, question.path, **what)


def told(answer: httpx.Response) -> str:
    """All that an answer says, headers and packed files too."""
    body = answer.text
    if answer.content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
            body = "\n".join(file.read(name).decode("utf-8", "replace") for name in sorted(file.namelist()))
    kept = {name: value for name, value in answer.headers.items() if name in ("content-type", "location", "set-cookie")}
    return f"{answer.status_code} {kept} {body}"
