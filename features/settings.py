"""Settings: defaults, overridden by `regulars.toml` in the working folder, overridden by REGULARS_* variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from features.errors import ConfigError
from features.home import Home
from features.nightly_settings import NightlySettings

PREFIX = "REGULARS_"
#: Names of shops stand in keys, in cookies, in names of environment variables and in labels of metrics.
TENANT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
#: Models that may be set apart from the others.
SET_APART = ("churn", "propensity", "value", "uplift", "response")


class ModelSettings(BaseModel):
    """What a shop may set of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exclude: tuple[str, ...] = Field(
        (), description='Features not to learn from, by name or pattern: ["attribute_*", "price_level_180d"].'
    )


class BestCustomers(BaseModel):
    """What a best customer reaches in the last 364 days; unset: what the first fifth of those who bought reach."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spend: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Least spend, in the shop's currency."
    )
    categories: int | None = Field(default=None, ge=0, description="Fewest categories bought.")
    visits: int | None = Field(default=None, ge=0, le=364, description="Fewest days with an order.")

    @property
    def thresholds(self) -> dict[str, float]:
        """Those that are set, by name."""
        return self.model_dump(exclude_none=True)


class PrivacySettings(BaseModel):
    """For how many days personal data are kept, for good where unset; and whether customers are named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_orders_days: int | None = Field(default=None, ge=1, description="Order lines.")
    keep_events_days: int | None = Field(default=None, ge=1, description="What customers did on the site.")
    keep_outcomes_days: int | None = Field(
        default=None, ge=1, description="Contacts, responses, outcomes, contact plans and agents' notes; opt-outs stay."
    )
    pseudonyms: bool = Field(default=False, description="Hold customers by keyed hashes of their ids.")


class RetentionSettings(BaseModel):
    """Which versions and runs `regulars models prune` leaves in the registry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep_versions: int = Field(5, ge=1, description="Newest versions of each model that stay.")
    older_than_days: float = Field(90, ge=0, description="Days for which every version and run stays.")
    nightly: bool = Field(default=False, description="Let `regulars nightly` prune, after it has scored.")


class Settings(BaseSettings):
    """Everything a shop may set; each has a default that works on two cores and 24 GiB."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Field(Path(".regulars"), description="Where all data, features, models and scores are kept.")
    threads: int = Field(min(os.cpu_count() or 2, 8), ge=1, description="Threads for DuckDB, LightGBM and ALS.")
    memory_limit: str = Field(
        "4GB",
        pattern=r"^[0-9]+([.][0-9]+)? ?([KMGT]i?)?B$",
        description="Memory DuckDB may use before it spills to disk, for instance 4GB.",
    )
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="What computes features, labels and scores: duckdb, or spark for many machines."
    )
    spark_master: str | None = Field(
        None,
        description="Where Spark runs, for instance spark://host:7077; unset: in this process, on `threads` cores.",
    )
    spark_als: bool = Field(
        False, description="With engine spark: the factors of ranked lists by Spark's MLlib, not in this process."
    )
    spark_conf: dict[str, str] = Field(
        {}, description='Settings of Spark\'s own: [spark_conf] with "spark.executor.memory" = "8g".'
    )
    horizon_days: int | None = Field(
        None,
        ge=1,
        le=730,
        description="Days a prediction looks ahead; unset: chosen from the shop's own gaps.",
    )
    lifetime_days: int = Field(365, ge=1, le=3650, description="Days that the lifetime value of a customer counts.")
    yearly_discount: float = Field(
        0.1, ge=0, le=1, description="By how much a year's delay makes spend worth less, in the lifetime value."
    )
    models: dict[str, ModelSettings] = Field(
        {}, description='Of one model: [models.churn] with exclude = ["attribute_*"], what it must not learn from.'
    )
    best_customers: BestCustomers = Field(
        BestCustomers(), description="Who the best customers are: [best_customers] with spend, categories, visits."
    )
    privacy: PrivacySettings = Field(
        PrivacySettings(),
        description="For how long personal data are kept: [privacy] with keep_orders_days, keep_events_days and "
        "keep_outcomes_days, each unset, and pseudonyms = true; see docs/privacy.md.",
    )
    retention: RetentionSettings = Field(
        default_factory=lambda: RetentionSettings.model_validate({}),
        description="How many old models stay: [retention] with keep_versions, older_than_days, nightly = true; see "
        "mlflow/README.md.",
    )
    source_url: SecretStr | None = Field(
        None, description="Database that `ingest --source sql` reads, for instance postgresql://reader@host/shop."
    )
    features_file: Path | None = Field(
        None, description="Python file whose FEATURES are computed beside the built-in ones; see docs/features.md."
    )
    online_store: SecretStr | None = Field(
        None, description="Redis for features read one customer at a time, redis://…; unset: SQLite in the data home."
    )
    online_max_age_hours: float = Field(
        48, gt=0, description="Online features older than this are given as unknown, with their age."
    )
    currency: str = Field("", description="Shown beside amounts, for instance USD. No conversion is done.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    host: str = Field("127.0.0.1", description="Address the server binds to.")
    port: int = Field(3000, ge=1, le=65535, description="Port the server listens on.")
    workers: int = Field(1, ge=1, le=64, description="Server processes that share the port.")
    database_url: str | None = Field(
        None, description="Live events, outcomes and keys; unset: SQLite in the data home. Or postgresql+psycopg://…"
    )
    live_redis: SecretStr | None = Field(
        None, description="Redis by which servers on several machines tell each other of live events, redis://…"
    )
    mlflow_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@]+(/[^?#]*)?$",
        description="MLflow server that keeps runs and models, http://…; unset: SQLite in the data home. Passwords go "
        "into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    )
    answer_ms: float = Field(
        50, gt=0, description="Milliseconds a recommendation may take before a plainer one is given."
    )
    session_minutes: float = Field(60, ge=0, description="For how long a view or a cart counts.")
    rebuy_hours: float = Field(24, ge=0, description="For how long a product just bought is not recommended.")
    contact_rest_days: float = Field(
        14, ge=0, description="For how long a customer just contacted is left off the list of customers at risk."
    )
    rules_file: Path | None = Field(
        None, description="TOML file of the shop's rules (pin, boost, bury, cap …); see docs/rules.md."
    )
    experiments_file: Path | None = Field(None, description="TOML file of experiments; see docs/experiments.md.")
    fallback_file: Path | None = Field(
        None, description="Text file of product ids, one a line, given when there is nothing else to give."
    )
    pin: str | None = Field(None, description="The one scoring to answer from, whatever becomes current.")
    cors_origins: tuple[str, ...] = Field(
        (), description='Origins whose pages may call the API, for instance ["https://shop.example"].'
    )
    log_format: Literal["text", "json"] = Field("text", description="The server's log: for people, or JSON lines.")
    log_requests: bool = Field(False, description="Log every request, by route and request id; else defects alone.")
    otlp_endpoint: str | None = Field(
        None, description="Where traces go, for instance http://localhost:4318 (OpenTelemetry over HTTP); unset: none."
    )
    tenants: dict[str, Path] = Field(
        {},
        description='Several shops in one server: [tenants] with north = "/srv/north", each its data home; see '
        "docs/tenants.md.",
    )
    tenant: str | None = Field(
        None, description="Which of them a command is for; --tenant of every command says it too."
    )
    nightly: NightlySettings = Field(
        default_factory=lambda: NightlySettings.model_validate({}),
        description="The table [nightly]: sources, when to train again, whom to tell; see docs/nightly.md.",
    )
    who: str = Field(
        default_factory=lambda: os.environ.get("USER", "unknown"), description="Named in the promotion log."
    )

    @property
    def data_home(self) -> Home:
        """The data home, which knows where its registry is."""
        return Home(self.home, mlflow_url=None if self.mlflow_url is None else self.mlflow_url.rstrip("/"))

    @field_validator("models")
    @classmethod
    def _are_models(cls, models: dict[str, ModelSettings]) -> dict[str, ModelSettings]:
        if unknown := sorted(set(models) - set(SET_APART)):
            raise ValueError(f"no model is called {', '.join(unknown)}; those are {', '.join(SET_APART)}")
        return models

    @field_validator("tenants")
    @classmethod
    def _are_names(cls, tenants: dict[str, Path]) -> dict[str, Path]:
        if wrong := [name for name in tenants if not TENANT_NAME.fullmatch(name)]:
            raise ValueError(
                f"'{wrong[0]}' cannot name a shop: names are lower-case letters, digits and hyphens within, 40 at most"
            )
        return tenants

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file over defaults; what code passes in wins over all."""
        path = config_file()
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)


def config_file() -> Path:
    """The settings file: `regulars.toml`, or the one REGULARS_CONFIG names. Raises ConfigError when that is missing."""
    named = os.environ.get("REGULARS_CONFIG")
    if named and not Path(named).is_file():
        raise ConfigError(f"REGULARS_CONFIG names {named}, which does not exist. Correct it, or unset it.")
    return Path(named or "regulars.toml")


def load_settings(**overrides: object) -> Settings:
    """What the settings file and the environment say. Raises ConfigError naming the first setting that is wrong."""
    return read_settings(Settings, config_file(), PREFIX, overrides)


def read_settings(kind: type[Settings], file: Path, prefix: str, given: Mapping[str, Any]) -> Settings:
    """The settings of `kind`, which reads `file` and variables that begin with `prefix`; `given` wins over both.

    Raises ConfigError naming the first setting that is wrong.
    """
    try:
        return kind(_env_prefix=prefix, **given)  # type: ignore[call-arg]  # its types know the settings alone
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        allowed = ", ".join(Settings.model_fields)
        variable = f"{prefix}{str(first['loc'][0]).upper()}"
        raise ConfigError(
            f"Setting '{name}': {first['msg']} (got {first.get('input')!r}). "
            f"Correct it in {file} or {variable}; settings are: {allowed}."
        ) from None
    except ValueError as error:  # a TOML file that does not parse
        raise ConfigError(f"{file} cannot be read: {error}. Correct it: lines are  name = value.") from None


def server_settings(**overrides: object) -> Settings:
    """What a server goes by: the settings of its one shop; where `tenants` names several and none is chosen, its own.

    Raises ConfigError.
    """
    # What a shop's settings are made of stands beside, and needs the settings of this module.
    from features.tenants import check_server, shop_settings

    found = load_settings(**overrides)
    if found.tenant is not None:
        return shop_settings(found, found.tenant)
    if found.tenants:
        check_server(found)
    return found


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings of this process's shop, read once. Raises ConfigError where there are several and none is chosen."""
    found = server_settings()
    if found.tenants:
        raise ConfigError(
            f"There are several shops ({', '.join(found.tenants)}). Say which one:  --tenant NAME   or REGULARS_TENANT."
        )
    return found
