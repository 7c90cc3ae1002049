"""Several shops in one configuration: each is a tenant with a data home and settings of its own, and shares no data.

The table [tenants] of the server's settings names each shop's home. What a shop sets stands in `regulars.toml` of its
home, where paths are relative to that home, and in variables REGULARS_TENANT_<NAME>_*, which win. A shop takes nothing
of another's, and of the server's settings only what is the machine's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from features.errors import ConfigError
from features.nightly_settings import NightlySettings
from features.settings import PREFIX, Settings, config_file, read_settings

FILE = "regulars.toml"
#: Of the one process that serves all shops; no shop may set them.
OF_SERVER = frozenset({"home", "tenants", "tenant", "host", "port", "workers", "log_format", "log_requests"}) | {
    "otlp_endpoint"
}
#: Of the machine: a shop that does not set them has those of the server.
OF_MACHINE = frozenset(
    {"threads", "memory_limit", "engine", "spark_master", "spark_als", "spark_conf", "answer_ms", "who"}
)
_PATHS = ("features_file", "rules_file", "experiments_file", "fallback_file")


def prefix_of(name: str) -> str:
    """What names of a shop's environment variables begin with."""
    return f"{PREFIX}TENANT_{name.upper().replace('-', '_')}_"


def check_server(server: Settings) -> None:
    """Raise ConfigError where the settings of a server of several shops hold a shop's, or homes are not apart."""
    misplaced = sorted(server.model_fields_set - OF_SERVER - OF_MACHINE)
    if misplaced:
        raise ConfigError(
            f"Setting '{misplaced[0]}' is a shop's own, and {config_file()} or the environment sets it for a server of "
            f"several shops ({', '.join(server.tenants)}). Move it into {FILE} of the home of each shop it is for."
        )
    homes = {name: path.resolve() for name, path in server.tenants.items()}
    for (one, first), (other, second) in combinations(homes.items(), 2):
        if first == second or first in second.parents or second in first.parents:
            raise ConfigError(
                f"The homes of the shops '{one}' ({first}) and '{other}' ({second}) lie in one another. "
                f"Give each a folder of its own in [tenants] of {config_file()}."
            )


def shop_settings(server: Settings, name: str) -> Settings:
    """The settings of one shop. Raises ConfigError for a name that no shop has, and for wrong settings of the shop."""
    if not server.tenants:
        raise ConfigError(
            f"There is no shop '{name}': no shops are named. Name them in the table [tenants] of {config_file()}, or "
            "unset REGULARS_TENANT."
        )
    if name not in server.tenants:
        raise ConfigError(f"There is no shop '{name}'. The shops are: {', '.join(server.tenants)}.")
    check_server(server)
    shop = _read(server, name)
    for other in server.tenants:
        if other != name:
            try:
                _check_apart(name, shop, other, _read(server, other))
            except _UnreadError:  # what is wrong with another shop is no concern of this one
                continue
    return shop


class _UnreadError(ConfigError):
    """The settings of a shop cannot be read."""


def _read(server: Settings, name: str) -> Settings:
    home, prefix = server.tenants[name].resolve(), prefix_of(name)
    file = home / FILE
    try:
        text = file.read_bytes() if file.is_file() else b""
        variables = tuple(sorted(one for one in os.environ.items() if one[0].upper().startswith(prefix)))
        found = _parsed(file, prefix, text, variables)
    except (ConfigError, OSError) as error:
        raise _UnreadError(f"Shop '{name}': {error}") from None
    misplaced = sorted(found.model_fields_set & OF_SERVER)
    if misplaced:
        raise _UnreadError(
            f"Shop '{name}': setting '{misplaced[0]}' in {file} is the server's. Move it to {config_file()}."
        )
    own: dict[str, Any] = {field: getattr(found, field) for field in Settings.model_fields}
    own |= {field: getattr(server, field) for field in OF_SERVER | (OF_MACHINE - found.model_fields_set)}
    own |= {field: home / own[field] for field in _PATHS if own[field] is not None}
    own |= {"home": home, "tenant": name, "tenants": {}, "nightly": _within(home, found.nightly)}
    return Settings.model_construct(_fields_set=set(found.model_fields_set), **own)


@lru_cache(maxsize=1024)
def _parsed(file: Path, prefix: str, _text: bytes, _variables: tuple[tuple[str, str], ...]) -> Settings:
    """What the file and the variables say, worked out once: each shop is compared with all others."""
    return read_settings(_reading(file), file, prefix, {})


def _reading(file: Path) -> type[Settings]:
    class OfShop(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    return OfShop


def _within(home: Path, nightly: NightlySettings) -> NightlySettings:
    sources = tuple(
        source if source.mapping is None else source.model_copy(update={"mapping": home / source.mapping})
        for source in nightly.sources
    )
    authority = None if nightly.smtp_ca_file is None else home / nightly.smtp_ca_file
    return nightly.model_copy(update={"sources": sources, "smtp_ca_file": authority})


def _check_apart(name: str, shop: Settings, other: str, theirs: Settings) -> None:
    """Raise ConfigError where two shops would write to one place."""
    places = _places(theirs)
    for setting, place in _places(shop).items():
        if places.get(setting) == place:
            raise ConfigError(
                f"Setting '{setting}' of the shops '{name}' and '{other}' is one address, where each would read what "
                "the other wrote. Give each a database of its own."
            )


def _places(shop: Settings) -> Mapping[str, tuple[object, ...]]:
    return dict(_named_places(shop))


def _named_places(shop: Settings) -> Iterator[tuple[str, tuple[object, ...]]]:
    from features.sources.live_events import database_place

    yield "database_url", database_place(shop)
    if shop.mlflow_url is not None:
        parts = urlsplit(shop.mlflow_url)
        yield "mlflow_url", (parts.hostname, parts.port, parts.path.strip("/"))
    if shop.online_store is not None:
        parts = urlsplit(shop.online_store.get_secret_value())
        yield "online_store", (parts.hostname, parts.port or 6379, parts.path.strip("/") or "0")
