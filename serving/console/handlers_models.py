"""Model versions: what each was measured at, which answers now; with a key of scope admin, promote and roll back."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from msgspec import Meta, Struct
from starlette.responses import FileResponse, Response

from features.home import Home
from serving.console.drift import drift_of
from serving.console.forms import asked_of
from serving.console.registry import Registry
from serving.console.visit import Visit
from serving.console.words import words
from serving.problems import BadRequestError
from training.promotion_log import FILE, PromotionLog
from training.protocols import MODELS
from training.verdicts import newest_verdicts

Model = Literal["recommender", "churn", "propensity", "value"]
Why = Annotated[str, Meta(min_length=1, max_length=500)]
#: Changes shown, the newest first.
MOST_CHANGES = 50
#: Of each model, what is shown beside the metric of the gate.
SHOWN = {
    "recommender": ("recall@10", "precision@10"),
    "churn": ("precision@10%", "lift@10%", "ece"),
    "propensity": ("precision@10%", "lift@10%", "ece"),
    "value": ("correlation", "bias_share"),
}
_registries: dict[Home, Registry] = {}


class _Done(Struct, frozen=True):
    done: Annotated[str, Meta(max_length=300)] | None = None


class _Picture(Struct, frozen=True):
    model: Model
    version: int
    name: Annotated[str, Meta(max_length=100)]


class _Promote(Struct, frozen=True):
    model: Model
    version: Annotated[int, Meta(ge=1)]
    why: Why
    force: bool = False


class _Rollback(Struct, frozen=True):
    model: Model
    why: Why


def registry_of(visit: Visit) -> Registry:
    """The registry of this server's data home."""
    home = visit.runtime.holder.home
    return _registries.setdefault(home, Registry(home, tenant=visit.runtime.settings.tenant))


async def the_page(visit: Visit) -> Response:
    """GET /console/models: what answers now, who changed what, and the versions, at once where they are at hand."""
    registry = registry_of(visit)
    found = await registry.at_hand()
    done = asked_of(visit.request, _Done).done
    log = PromotionLog(visit.runtime.holder.home.root / FILE)
    changes = await asyncio.to_thread(log.rows)
    home = visit.runtime.holder.home
    listed = None if found is None else versions_of(registry, found)
    if listed is not None and None in listed["pictures"].values():
        listed = None  # the page stands at once, and its part waits for the server
    return visit.page(
        "models.html",
        models=MODELS,
        listed=listed,
        changes=changes[::-1][:MOST_CHANGES],
        done=done,
        drift=await asyncio.to_thread(drift_of, home),
        stood=await asyncio.to_thread(newest_verdicts, home),
        problem=visit.runtime.holder.problem,
        database=home.mlflow.resolve() / home.registry_database.name,
        mlflow_url=home.mlflow_url,
    )


async def versions(visit: Visit) -> Response:
    """GET /console/models/versions: the part of the page that the registry answers."""
    registry = registry_of(visit)
    found = await registry.versions()
    newest = {version["model"]: version for version in reversed(found)}
    if registry.home.mlflow_url is not None:
        await asyncio.to_thread(registry.fetch_pictures, list(newest.values()))
    return visit.page("models_part.html", listed=versions_of(registry, found))


def versions_of(registry: Registry, found: list[dict[str, Any]]) -> dict[str, Any]:
    """What the table of versions is made of: by model, with the metrics shown and the plots of the newest."""
    by_model = {model: [one for one in found if one["model"] == model] for model in MODELS}
    pictures = {model: registry.pictures(versions[0]) for model, versions in by_model.items() if versions}
    return {"by_model": by_model, "shown": SHOWN, "peers": best_peers, "pictures": pictures}


def best_peers(version: dict[str, Any]) -> tuple[str, float] | None:
    """The name and the value of the best simple rule on the metric of the gate; None where none was measured."""
    metric, metrics = version["gate"]["metric"], version["metrics"]
    theirs = {
        name.split(".")[1]: value
        for name, value in metrics.items()
        if name.startswith("peer.") and name.split(".", 2)[2] == metric and value is not None
    }
    if not theirs:
        return None
    best = max if version["gate"]["higher_is_better"] else min
    name = best(theirs, key=lambda one: theirs[one])
    return name, theirs[name]


async def picture(visit: Visit) -> Response:
    """GET /console/models/picture: a plot of a back-test."""
    asked = asked_of(visit.request, _Picture)
    registry = registry_of(visit)
    for version in await registry.versions():
        if (version["model"], version["version"]) == (asked.model, asked.version):
            file = registry.picture(version, asked.name)
            if file is not None:
                return FileResponse(file, media_type="image/png")
    raise BadRequestError("There is no such picture.", status=404)


async def promote(visit: Visit) -> Response:
    """POST /console/models/promote: make a version champion, unless the gate refuses."""
    asked = await visit.form(_Promote)
    await registry_of(visit).promote(asked.model, asked.version, who=visit.who, why=asked.why, force=asked.force)
    return _changed(visit, "{model}: version {version} is champion", model=asked.model, version=asked.version)


async def rollback(visit: Visit) -> Response:
    """POST /console/models/rollback: make the champion before this one champion again."""
    asked = await visit.form(_Rollback)
    row = await registry_of(visit).rollback(asked.model, who=visit.who, why=asked.why)
    return _changed(visit, "{model}: version {version} is champion", model=asked.model, version=row["to_version"])


def _changed(visit: Visit, text: str, *, model: str, version: int) -> Response:
    told = words(visit.lang)
    done = told.say(text, model=told.say(model), version=version)
    return visit.go(f"/console/models?{urlencode({'done': done})}")
