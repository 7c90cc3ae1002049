"""The last step: telling by webhook and e-mail how the run came out. Secrets come from the environment alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from features.errors import ConfigError, RegularsError
from features.settings import PREFIX, Settings
from features.tenants import prefix_of
from features.terminal import step
from serving.nightly.mail import Login
from serving.nightly.mail import send as send_mail
from serving.nightly.night import Done, Findings, Night, told
from serving.nightly.notice import notice_of
from serving.nightly.record import RunRecord, Status
from serving.nightly.webhook import Webhook, post

NAME = "notify"
WEBHOOK, SECRET = "REGULARS_NIGHTLY_WEBHOOK", "REGULARS_NIGHTLY_WEBHOOK_SECRET"
USER, PASSWORD = "REGULARS_NIGHTLY_SMTP_USER", "REGULARS_NIGHTLY_SMTP_PASSWORD"


def inputs(night: Night) -> Mapping[str, Any]:
    """How the steps before came out: a notice sent says no more than that."""
    return {"steps": {name: [one.status, one.started_at] for name, one in night.run.steps.items() if name != NAME}}


def notify(night: Night) -> Done:
    """Tell, unless there is nothing to tell or nobody to tell it to. What was not taken is a warning."""
    run, asked = night.run, night.settings.nightly.notify
    if not channels(night.settings):
        return Done(said=("No webhook and no e-mail is set, so nobody is told.",))
    if asked == "never" or run.nothing_new or (asked == "problems" and run.result is Status.OK):
        return Done(said=("There is nothing to tell.",))
    return send(night.settings, run)


def channels(settings: Settings) -> list[str]:
    """Whom notices go to, without what is secret or personal."""
    found = []
    hook = _webhook(settings)
    if hook is not None:
        found.append(f"webhook at {hook.where()}")
    asked = settings.nightly
    if asked.mail_to:
        found.append(f"e-mail to {len(asked.mail_to)} by {asked.smtp_host}:{asked.smtp_port}")
    return found


def send(settings: Settings, run: RunRecord) -> Done:
    """Send the notice on a run to whoever is to be told."""
    notice, found, sent = notice_of(run, shop=settings.tenant), Findings(), []
    hook = _webhook(settings)
    if hook is not None:
        try:
            with step(f"Telling the webhook at {hook.where()}"):
                post(hook, notice)
            sent.append("webhook")
        except (RegularsError, ValueError) as error:
            found.add(Status.WARNED, told(error), f"Correct {WEBHOOK}.")
    if settings.nightly.mail_to:
        try:
            with step(f"Mailing by {settings.nightly.smtp_host}"):
                send_mail(settings.nightly, notice, login=_login(settings))
            sent.append("e-mail")
        except RegularsError as error:
            found.add(Status.WARNED, told(error), "Correct [nightly] in regulars.toml.")
    return found.done(sent=sent)


def secret_of(settings: Settings, variable: str) -> str:
    """The variable's value, "" where it is unset; of several shops, the shop's own goes before what all have."""
    if settings.tenant is not None:
        own = f"{prefix_of(settings.tenant)}{variable.removeprefix(PREFIX)}"
        if own in os.environ:
            return os.environ[own]
    return os.environ.get(variable, "")


def _webhook(settings: Settings) -> Webhook | None:
    url = secret_of(settings, WEBHOOK).strip()
    if not url:
        return None
    asked = settings.nightly
    secret = secret_of(settings, SECRET) or None
    return Webhook(url, secret, asked.webhook_seconds, asked.notify_tries, asked.notify_wait_seconds)


def _login(settings: Settings) -> Login | None:
    user, password = secret_of(settings, USER), secret_of(settings, PASSWORD)
    if bool(user) != bool(password):
        raise ConfigError(f"{USER} and {PASSWORD} go together; one of them is missing.")
    return Login(user, password) if user and password else None
