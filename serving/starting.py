"""What must be right before a server starts: what is wrong is said once and at once, and not by every worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from features.errors import ConfigError, DataError, NotReadyError, RegularsError
from features.formats import NewerFormatError
from features.home import Home
from features.lake import CURRENT, read_lake
from features.settings import Settings
from features.tenants import shop_settings
from training.bundle import check_format, manifest_of

#: Shops that are looked at together.
_AT_ONCE = 16


def check(settings: Settings) -> None:
    """Raise ConfigError or DataError for a setting that the server could not start with, or a home of a later release.

    What reads a file is imported only where the file is named: the process that watches workers stays small. Of a
    server of several shops, what is wrong with one of them is no reason for the others not to be served: `not_ready`.
    """
    if settings.otlp_endpoint is not None:
        from serving import tracing

        tracing.check(settings)
    if not settings.tenants:
        check_shop(settings)


def not_ready(settings: Settings) -> Iterator[str]:
    """Of a server of several shops: what is wrong with each that cannot be served as it is."""

    def problem(name: str) -> str | None:
        try:
            check_shop(shop_settings(settings, name))
        except RegularsError as error:
            return str(error) if str(error).startswith("Shop") else f"Shop '{name}': {error}"
        return None

    # At once: a database that does not answer takes seconds to say so.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from (found for found in pool.map(problem, settings.tenants) if found is not None)


def check_shop(settings: Settings) -> None:
    """Raise ConfigError or DataError for what is wrong with the settings of one shop, or its home."""
    if settings.tenant is not None and not settings.home.is_dir():
        raise NotReadyError(
            f"Shop '{settings.tenant}': its home {settings.home} does not exist. Correct [tenants], or load its orders."
        )
    if settings.experiments_file is not None:
        from serving.experiments import read_experiments

        read_experiments(settings.experiments_file)
    if settings.rules_file is not None:
        from serving.rules import read_rules

        read_rules(settings.rules_file)
    if settings.fallback_file is not None:
        from serving.last_good import static_list

        static_list(settings.data_home, settings.fallback_file)
    if settings.live_redis is not None:
        from serving import bell

        bell.check(settings)
    if settings.database_url is not None:
        from serving.database import open_database

        database = open_database(settings)
        try:
            database.check_version()
        finally:
            database.close()
    else:
        from serving.schema_versions import refuse_newer, version_in_file

        file = settings.data_home.live / "live.db"
        refuse_newer(version_in_file(file), str(file))
    _check_formats(settings.data_home)


def _check_formats(home: Home) -> None:
    """Raise NewerFormatError where the lake or what is served was written by a later release. Missing is no fault."""
    try:
        read_lake(home)
    except NewerFormatError:
        raise
    except (NotReadyError, DataError):  # a server answers without a lake
        pass
    for versions in (home.scores, home.insight):
        try:
            current = versions / "versions" / (versions / CURRENT).read_text(encoding="utf-8").strip()
            check_format(current, manifest_of(current))
        except (OSError, ValueError, KeyError):  # whoever loads it says what is wrong, and answers from the one before
            continue


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
