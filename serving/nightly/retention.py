"""The step that prunes the registry, where [retention] says that the night does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.nightly.night import Done, Findings, Night
from serving.nightly.record import Status

NAME = "prune"


def inputs(night: Night) -> Mapping[str, Any]:
    """What is asked for and, where anything is, the day: versions grow old."""
    asked = night.settings.retention
    return {"retention": asked.model_dump(), "day": f"{night.clock():%Y-%m-%d}"} if asked.nightly else {}


def prune(night: Night) -> Done:
    """Old versions, reports and searches removed from the registry."""
    asked = night.settings.retention
    if not asked.nightly or not night.home.has_registry:
        return Done(said=("[retention] does not ask the night to prune.",) if not asked.nightly else ())
    from training.prune import prune as prune_registry
    from training.run import listing
    from training.tracking import open_registry

    registry, found = open_registry(night.home), Findings()
    done = prune_registry(registry, keep=asked.keep_versions, older_than_days=asked.older_than_days, now=night.clock())
    listing(registry)
    found.add(Status.OK, f"Removed {len(done.versions):,} versions and {len(done.runs):,} runs.")
    return found.done(versions=[[one.model, one.version] for one in done.versions], runs=len(done.runs))
