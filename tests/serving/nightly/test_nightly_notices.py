"""Notices as they arrive: at a real web server, and at a real mail server that speaks TLS and wants a login."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from features.errors import ConfigError, RegularsError
from features.settings import Settings, load_settings
from serving.nightly import telling
from serving.nightly.night import Night
from serving.nightly.notice import Notice, notice_of
from serving.nightly.record import RunRecord, Status, StepRecord
from serving.nightly.webhook import Webhook, post
from tests.web_server import QuietHandler, web_server

DOCS = Path(__file__).parents[3] / "docs" / "nightly.md"
FAILED = RunRecord(
    "2026-03-01T02-15-00",
    "2026-03-01T02:15:00+00:00",
    {
        "pull": StepRecord("pull", Status.OK, "", seconds=12),
        "score": StepRecord("score", Status.FAILED, "", said=("the disk is full",), do=("Free some.",)),
    },
    result=Status.FAILED,
)
NOTICE = notice_of(FAILED)


class Asked(NamedTuple):
    headers: dict[str, str]
    body: bytes


@contextmanager
def receiver(*codes: int, wait: float = 0, to: str = "") -> Iterator[tuple[str, list[Asked]]]:
    """The address of a server that answers with these codes, the last again and again, and what it was sent."""
    asked: list[Asked] = []

    class Server(QuietHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked.append(Asked(dict(self.headers), body))
            time.sleep(wait)
            self.send_response(codes[min(len(asked), len(codes)) - 1])
            if to:
                self.send_header("location", to)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            asked.append(Asked({"a redirect was": "followed"}, b""))
            self.send_response(200)
            self.end_headers()

    with web_server(Server) as address:
        yield f"{address}/hook/secret-path", asked


def hook(url: str, *, secret: str | None = None, seconds: float = 5) -> Webhook:
    return Webhook(url, secret, seconds=seconds, tries=3, wait_seconds=2)


def receiver_of_the_docs() -> Callable[..., bool]:
    found = re.search(r"<!-- receiver: begin -->\s*```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found.group(1), names)
    return names["is_ours"]


def test_a_webhook_gets_json_of_a_stated_schema_with_what_failed_and_what_to_do() -> None:
    with receiver(200) as (url, asked):
        post(hook(url), NOTICE)
    (one,) = asked
    sent = json.loads(one.body)
    assert one.headers["Content-Type"] == "application/json"
    assert (sent["schema"], sent["event"], sent["result"]) == (1, "nightly", "failed")
    assert sent["steps"][1] | {"seconds": 0} == {
        "name": "score",
        "status": "failed",
        "seconds": 0,
        "said": ["the disk is full"],
        "do": ["Free some."],
    }
    assert "The last good scores and models stay served." in sent["text"]
    assert "X-Regulars-Signature" not in one.headers


def test_the_receiver_of_the_docs_takes_what_we_sign_and_nothing_else() -> None:
    is_ours = receiver_of_the_docs()
    with receiver(204) as (url, asked):
        post(hook(url, secret="s3"), NOTICE)
    (one,) = asked
    signed = one.headers["X-Regulars-Timestamp"].encode() + b"." + one.body
    assert one.headers["X-Regulars-Signature"] == "sha256=" + hmac.new(b"s3", signed, hashlib.sha256).hexdigest()
    assert is_ours(one.headers, one.body, b"s3")
    assert not is_ours(one.headers, one.body + b" ", b"s3")
    assert not is_ours(one.headers, one.body, b"other")
    assert not is_ours({**one.headers, "X-Regulars-Timestamp": "1"}, one.body, b"s3")


def test_a_webhook_that_is_busy_is_tried_again_after_waits_that_double() -> None:
    waits: list[float] = []
    with receiver(503, 429, 200) as (url, asked):
        post(hook(url), NOTICE, sleep=waits.append)
    assert waits == [2, 4]
    assert {one.headers["X-Regulars-Run"] for one in asked} == {"2026-03-01T02-15-00"}
    assert len(asked) == 3


@pytest.mark.parametrize(("code", "tries"), [(500, 3), (400, 1), (404, 1)])
def test_tries_are_bounded_and_a_refusal_is_final(code: int, tries: int) -> None:
    with receiver(code) as (url, asked), pytest.raises(RegularsError, match=f"it answered {code}") as error:
        post(hook(url), NOTICE, sleep=lambda _: None)
    assert len(asked) == tries
    assert "secret-path" not in str(error.value)  # chat programs put the secret there


def test_a_redirect_is_not_followed() -> None:
    with receiver(200) as (elsewhere, asked), receiver(302, to=elsewhere) as (url, _):
        with pytest.raises(RegularsError, match="answered 302"):
            post(hook(url), NOTICE)
        assert asked == []


def test_a_webhook_that_does_not_answer_is_given_up_in_time() -> None:
    began = time.perf_counter()
    with receiver(200, wait=1.0) as (url, _), pytest.raises(RegularsError, match="cannot be reached"):
        post(hook(url, seconds=0.1), NOTICE, sleep=lambda _: None)
    assert time.perf_counter() - began < 4
    with pytest.raises(RegularsError, match="cannot be reached"):
        post(hook("http://127.0.0.1:1/"), NOTICE, sleep=lambda _: None)
    with pytest.raises(ConfigError, match="no address"):
        post(hook("file:///etc/passwd"), NOTICE)


class Mailbox:
    """What a mail server took, and whether over TLS."""

    def __init__(self) -> None:
        self.taken: list[tuple[Any, Message]] = []
        self.refuse = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse
        self.taken.append(((session.ssl is not None, session.auth_data), message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form) + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class OnAnyPort(Controller):
    """Port 0 is whichever is free; the controller itself would look for its server at port 0."""

    def taken_port(self) -> int:
        return self.server.sockets[0].getsockname()[1]

    def _trigger_server(self) -> None:
        with socket.create_connection((self.hostname, self.taken_port()), 5) as first:
            first.recv(1024)


@contextmanager
def mail_server(certificate: Path | None) -> Iterator[tuple[int, Mailbox]]:
    """The port of a mail server; with a certificate it wants STARTTLS and the login of `regulars`."""
    mailbox = Mailbox()
    options: dict[str, Any] = {}
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

        def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            right = (data.login, data.password) == (b"regulars", b"pass word")
            return AuthResult(success=right, handled=False, auth_data=data.login)

        options = {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": known,
        }
    server = OnAnyPort(mailbox, hostname="127.0.0.1", port=0, ready_timeout=30, **options)
    server.start()
    try:
        yield server.taken_port(), mailbox
    finally:
        server.stop(no_assert=True)


def settings(tmp_path: Path, port: int, **other: Any) -> Settings:
    asked = {
        "mail_to": ["data@shop.example", "boss@shop.example"],
        "mail_from": "regulars@shop.example",
        "smtp_host": "localhost",
        "smtp_port": port,
        "notify_wait_seconds": 0,
        **other,
    }
    return load_settings(home=tmp_path / "home", nightly=asked)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(telling.USER, "regulars")
    monkeypatch.setenv(telling.PASSWORD, "pass word")


@pytest.mark.usefixtures("login")
def test_mail_goes_over_starttls_with_the_login_of_the_environment(tmp_path: Path, certificate: Path) -> None:
    with mail_server(certificate) as (port, mailbox):
        done = telling.send(settings(tmp_path, port, smtp_ca_file=certificate), FAILED)
    assert (done.status, done.found) == (Status.OK, {"sent": ["e-mail"]})
    (((tls, user), message),) = mailbox.taken
    assert (tls, user) == (True, b"regulars")
    assert message["To"] == "data@shop.example, boss@shop.example"
    assert message["Subject"].endswith("failed")
    assert "What to do: Free some." in message.get_payload()


@pytest.mark.usefixtures("login")
def test_mail_is_not_given_to_a_server_whose_certificate_nobody_vouches_for(tmp_path: Path, certificate: Path) -> None:
    with mail_server(certificate) as (port, mailbox):
        done = telling.send(settings(tmp_path, port), FAILED)
    assert done.status is Status.WARNED
    assert "SSLCertVerificationError" in done.said[0]
    assert mailbox.taken == []


def test_a_login_is_never_sent_to_a_server_without_tls(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telling.USER, "regulars")
    monkeypatch.setenv(telling.PASSWORD, "wrong")
    with mail_server(None) as (port, mailbox):
        done = telling.send(settings(tmp_path, port), FAILED)
    assert "SMTPNotSupportedError" in done.said[0]
    with mail_server(certificate) as (port, mailbox):
        done = telling.send(settings(tmp_path, port, smtp_ca_file=certificate), FAILED)
    assert "it answered 535" in done.said[0]
    assert mailbox.taken == []
    monkeypatch.delenv(telling.PASSWORD)
    done = telling.send(settings(tmp_path, port), FAILED)
    assert "go together" in done.said[0]


def test_a_mail_server_that_is_busy_is_tried_again(tmp_path: Path) -> None:
    with mail_server(None) as (port, mailbox):
        mailbox.refuse = "451 later"
        done = telling.send(settings(tmp_path, port, smtp_security="none", notify_tries=2), FAILED)
        assert "it answered 451" in done.said[0]
        mailbox.refuse = ""
        done = telling.send(settings(tmp_path, port, smtp_security="none"), FAILED)
    assert done.status is Status.OK
    assert len(mailbox.taken) == 1


def told(tmp_path: Path, run: RunRecord, notify: str) -> list[str]:
    """The results told to a webhook."""
    asked = load_settings(home=tmp_path / "home", nightly={"notify": notify})
    night = Night(asked, run, None, lambda: datetime.now(UTC))
    with pytest.MonkeyPatch.context() as patch, receiver(200) as (url, sent):
        patch.setenv(telling.WEBHOOK, url)
        telling.notify(night)
    return [json.loads(one.body)["result"] for one in sent]


def test_who_wants_to_hear_of_problems_alone_hears_of_nothing_else(tmp_path: Path) -> None:
    fine = RunRecord("r", "", {}, result=Status.OK)
    assert told(tmp_path, fine, "always") == ["ok"]
    assert told(tmp_path, fine, "problems") == []
    assert told(tmp_path, FAILED, "problems") == ["failed"]
    assert told(tmp_path, FAILED, "never") == []
    nothing = RunRecord("r", "", {}, result=Status.WARNED, nothing_new=True)
    assert told(tmp_path, nothing, "always") == []


def test_a_setting_cannot_hold_a_secret_and_mail_needs_a_server(tmp_path: Path) -> None:
    for wrong in ({"webhook": "https://x"}, {"smtp_password": "x"}, {"mail_to": ["a@b"]}):
        with pytest.raises(ConfigError, match="nightly"):
            load_settings(home=tmp_path, nightly=wrong)


def test_a_notice_says_no_word_of_steps_with_nothing_to_say_of_another_night() -> None:
    again = StepRecord("features", Status.OK, "", of_run="before", said=("x",))
    assert "features" not in notice_of(RunRecord("r", "", {"features": again}, result=Status.OK)).text
    assert isinstance(NOTICE, Notice)
