"""Sending a message where a channel says: Slack, e-mail, webhook, apprise. In the project's evaluator, where secrets are.

Each message carries its key (a header, a message id), so that a receiver can tell a repetition.

Rule: one function per kind of channel; it returns what the other side answered, or raises what went wrong.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from partita.core.alerts import Message
from partita.core.manifest import ChannelSpec
from partita.core.plain import unpack

_TIMEOUT_S = 20.0
_LONGEST = 200
_MARKS = {"error": "■", "warn": "▲", "ok": "✓", "info": "•"}


class NotSent(Exception):
    """The other side did not take a message; `retry_after_s` is what it said about trying again."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def send(channel: ChannelSpec, message: Message) -> str:
    """Send a message. Raises `NotSent`, `PartitaError` for a secret that is not there, `OSError`."""
    options = {name: _value(value) for name, value in unpack(channel.options).items()}
    return _SENDERS[channel.of](options, message)


def text_of(message: Message) -> str:
    """A message as plain text."""
    parts = [f"{_MARKS.get(message.severity, '•')} {message.title}", *message.lines]
    if message.url:
        parts.append(message.url)
    return "\n".join(parts)


def _slack(options: Mapping[str, Any], message: Message) -> str:
    # Slack reads <, > and & as its own; everything else is text.
    text = text_of(message).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _post(str(options["url"]), msgspec.json.encode({"text": text}), {})


def _webhook(options: Mapping[str, Any], message: Message) -> str:
    body = msgspec.json.encode(message)
    headers = {"X-Partita-Delivery": message.key, **options.get("headers", {})}
    if options.get("secret"):
        digest = hmac.new(str(options["secret"]).encode(), body, hashlib.sha256).hexdigest()
        headers["X-Partita-Signature"] = f"sha256={digest}"
    return _post(str(options["url"]), body, headers)


def _email(options: Mapping[str, Any], message: Message) -> str:
    import smtplib
    import ssl

    host, port = str(options["host"]), int(options["port"])
    mail = EmailMessage()
    mail["Subject"] = _one_line(message.title)
    mail["From"] = options.get("sender") or options.get("user") or f"partita@{host}"
    mail["To"] = ", ".join(options["to"])
    mail["Message-ID"] = f"<{hashlib.sha256(message.key.encode()).hexdigest()[:32]}@partita>"
    mail.set_content(text_of(message))
    tls = ssl.create_default_context() if options.get("tls") else None
    connect = smtplib.SMTP_SSL if tls is not None and port == 465 else smtplib.SMTP
    with connect(host, port, timeout=_TIMEOUT_S) as smtp:
        if tls is not None and port != 465:
            smtp.starttls(context=tls)
        if options.get("user"):
            smtp.login(str(options["user"]), str(options.get("password", "")))
        refused = smtp.send_message(mail)
    return f"refused for {', '.join(refused)}" if refused else "accepted"


def _apprise(options: Mapping[str, Any], message: Message) -> str:
    try:
        import apprise
    except ImportError:
        raise NotSent("apprise is not installed in the project's environment: pip install 'partita[notify]'") from None
    service = apprise.Apprise()
    if not service.add(str(options["url"])):
        raise NotSent("apprise does not know this address")
    if not service.notify(title=_one_line(message.title), body="\n".join([*message.lines, message.url]).strip() or " "):
        raise NotSent("apprise could not deliver it")
    return "accepted"


class _NoRedirects(HTTPRedirectHandler):
    """A redirect could lead a message, and its signature, to somebody else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> str:
    if not url.startswith(("https://", "http://")):
        raise NotSent("the channel's address is no http(s) address")
    request = Request(url, body, {"Content-Type": "application/json", **headers}, method="POST")
    try:
        with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_S) as answer:
            return f"{answer.status} {answer.read(_LONGEST).decode('utf-8', 'replace')}".strip()
    except HTTPError as error:
        with error:
            told = error.read(_LONGEST).decode("utf-8", "replace").strip()
        after = error.headers.get("Retry-After", "")
        raise NotSent(f"{error.code} {told}".strip(), retry_after_s=float(after) if after.isdigit() else None) from None


def _value(value: Any) -> Any:
    """An option, or the secret that it names."""
    if isinstance(value, dict) and set(value) == {"secret"}:
        from partita.define.secret import resolve

        return resolve(value["secret"])
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]


_SENDERS: dict[str, Callable[[Mapping[str, Any], Message], str]] = {
    "slack": _slack,
    "email": _email,
    "webhook": _webhook,
    "apprise": _apprise,
}
