"""A notice by e-mail."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from features.errors import RegularsError
from features.nightly_settings import NightlySettings
from serving.nightly.notice import Notice

SECONDS = 30


@dataclass(frozen=True)
class Login:
    """How to log in to the mail server."""

    user: str
    password: str


def message(asked: NightlySettings, notice: Notice) -> EmailMessage:
    """The notice as a message."""
    made = EmailMessage()
    made["Subject"] = notice.subject
    made["From"] = asked.mail_from
    made["To"] = ", ".join(asked.mail_to)
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid("regulars", domain=asked.mail_from.rpartition("@")[2] or None)
    made["Auto-Submitted"] = "auto-generated"  # so that no holiday answer comes back
    made["X-Regulars-Run"] = str(notice.payload["run"])
    made.set_content(notice.text)
    return made


def send(
    asked: NightlySettings, notice: Notice, *, login: Login | None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Send it to everybody named. Raises RegularsError when the server did not take it."""
    made, said = message(asked, notice), ""
    for number in range(asked.notify_tries):
        if number:
            sleep(asked.notify_wait_seconds * 2 ** (number - 1))
        try:
            with _connected(asked) as server:
                if login is not None:
                    server.login(login.user, login.password)
                server.send_message(made)
                return
        except smtplib.SMTPResponseException as error:
            said = f"it answered {error.smtp_code}"
            if 500 <= error.smtp_code < 600:  # for good, by the rules of SMTP
                break
        except smtplib.SMTPRecipientsRefused:
            said = "it refuses those in mail_to"
            break
        except (smtplib.SMTPException, OSError) as error:
            # The text of some quotes the address or what was sent.
            said = f"it cannot be used ({type(error).__name__})"
            if isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError):
                break
    raise RegularsError(
        f"The mail server {asked.smtp_host}:{asked.smtp_port} did not take the notice: {said}. "
        "See smtp_host, smtp_port, smtp_security and REGULARS_NIGHTLY_SMTP_USER."
    )


def _connected(asked: NightlySettings) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=None if asked.smtp_ca_file is None else str(asked.smtp_ca_file))
    if asked.smtp_security == "tls":
        return smtplib.SMTP_SSL(asked.smtp_host, asked.smtp_port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(asked.smtp_host, asked.smtp_port, timeout=SECONDS)
    if asked.smtp_security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server
