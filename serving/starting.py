"""What must be right before a server starts: what is wrong is said once and at once, and not by every worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.errors import ConfigError
from features.settings import Settings


def check(settings: Settings) -> None:
    """Raise ConfigError or DataError for a setting that the server could not start with.

    What reads a file is imported only where the file is named: the process that watches workers stays small.
    """
    if settings.experiments_file is not None:
        from serving.experiments import read_experiments

        read_experiments(settings.experiments_file)
    if settings.rules_file is not None:
        from serving.rules import read_rules

        read_rules(settings.rules_file)
    if settings.fallback_file is not None:
        from features.home import Home
        from serving.last_good import static_list

        static_list(Home(settings.home), settings.fallback_file)
    if settings.otlp_endpoint is not None:
        from serving import tracing

        tracing.check(settings)
    if settings.live_redis is not None:
        from serving import bell

        bell.check(settings)
    if settings.database_url is not None:
        from serving.database import open_database

        open_database(settings).close()


def check_bentoml(config: Mapping[str, Any], *, service: str) -> None:
    """Raise ConfigError where BentoML's own configuration asks for more than one worker of the service.

    Ours are forked from one process and share its memory, its limits and its counts; BentoML's would share none of it.
    """
    asked = ((config.get("services") or {}).get(service) or {}).get("workers", 1)
    if asked != 1:
        raise ConfigError(
            f"BentoML's configuration asks for {asked} workers of '{service}', each of which would load everything for "
            "itself. Take services.regulars.workers out of it, and set REGULARS_WORKERS instead."
        )
