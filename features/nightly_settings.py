"""What a shop may set of its nightly run: the table [nightly] of regulars.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FROZEN = ConfigDict(extra="forbid", frozen=True)
#: Sources that a mapping says how to read.
MAPPED = ("files", "sql")


class NightlySource(BaseModel):
    """One source that is pulled each night."""

    model_config = _FROZEN

    source: Literal["files", "sql", "complete-journey", "cdnow"] = Field("files", description="As of regulars ingest.")
    mapping: Path | None = Field(None, description="TOML file that maps its columns; files and sql need one.")

    @model_validator(mode="after")
    def _is_mapped(self) -> NightlySource:
        if (self.source in MAPPED) != (self.mapping is not None):
            raise ValueError(f"source '{self.source}' " + ("needs a mapping" if self.mapping is None else "takes none"))
        return self


class NightlySettings(BaseModel):
    """The nightly run. Addresses and passwords that must stay secret are environment variables: docs/nightly.md."""

    model_config = _FROZEN

    sources: tuple[NightlySource, ...] = Field(
        (), description='Pulled in this order: [{ source = "files", mapping = "shop.toml" }].'
    )
    live_events: bool = Field(True, description="Take in what the server wrote down while it answered.")
    models: tuple[Literal["recommender", "churn", "propensity", "value"], ...] = Field(
        ("recommender", "churn", "propensity", "value"), description="Models that are kept trained."
    )
    retrain_days: float = Field(28, gt=0, description="A model is trained again when its newest version is this old.")
    retrain_when_drifted: bool = Field(True, description="And when `regulars drift` alerts.")
    drift_rest_days: float = Field(7, ge=0, description="But not for drift within so many days of the last training.")
    promote: bool = Field(True, description="Let the gate promote; false: hold each new version for a person.")
    most_set_aside: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of a table's rows set aside tonight from which nothing is scored or trained.",
    )
    least_orders: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Orders of the last 7 days over those of a usual week, below which nothing is scored or trained.",
    )
    most_days_old: float = Field(3, ge=0, description="Days since the newest order from which it warns; 0: never.")
    resume_hours: float = Field(
        12,
        gt=0,
        description="A run cut short is resumed within so many hours of its beginning; later, a new one begins.",
    )
    most_tries: int = Field(3, ge=1, le=20, description="A step at which a run died so often is given up as failed.")
    keep_runs: int = Field(60, ge=2, le=5000, description="Reports kept in the data home.")
    notify: Literal["always", "problems", "never"] = Field(
        "always", description="When to send: after each run that did something, or when something is wrong."
    )
    webhook_seconds: float = Field(10, gt=0, le=300, description="For how long one try waits for the webhook.")
    notify_tries: int = Field(4, ge=1, le=10, description="Tries to send, each after twice the wait of the one before.")
    notify_wait_seconds: float = Field(2, ge=0, le=300, description="The first wait between tries.")
    mail_to: tuple[str, ...] = Field((), description='Who gets e-mail: ["data@shop.example"]; empty: nobody.')
    mail_from: str = Field("", description="Sender of the e-mail.")
    smtp_host: str = Field("", description="Mail server.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection is secured; none is for a server on this machine alone."
    )
    smtp_ca_file: Path | None = Field(None, description="Certificates to trust, where the server's is the shop's own.")

    @model_validator(mode="after")
    def _can_mail(self) -> NightlySettings:
        if self.mail_to and not (self.smtp_host and self.mail_from):
            raise ValueError("mail_to needs smtp_host and mail_from")
        return self
