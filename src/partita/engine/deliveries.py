"""Is a webhook's delivery what it says? Its signature, its age, its size, its id.

Rule: pure functions over the raw bytes as they came; what is signed is never parsed before it is verified, and a comparison
takes as long for a wrong signature as for a right one.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

ID_HEADERS: Final = (
    "webhook-id",
    "x-github-delivery",
    "x-gitlab-event-uuid",
    "x-request-id",
    "x-event-id",
    "x-delivery-id",
    "idempotency-key",
)
_ID_LENGTH: Final = 200


def refusal(options: Mapping[str, Any], body: bytes, headers: Mapping[str, str], key: bytes | None, now: float) -> str:
    """Why a delivery is refused; "" if it is genuine. `headers` by their names in lower case, `key` the secret's value."""
    if not options.get("secret"):
        return ""
    if not key:
        return f"the secret {options['secret']} has no value here"
    signature = headers.get(str(options["header"]).lower(), "")
    if not signature:
        return f"there is no header {options['header']}"
    timestamp = ""
    if name := options.get("timestamp_header"):
        timestamp = headers.get(str(name).lower(), "")
        sent_at = _instant(timestamp)
        if sent_at is None:
            return f"there is no time in header {name}"
        # Put this way round, also a time that is no number ("nan") is too old.
        if not abs(now - sent_at) <= float(options.get("tolerance_s", 300.0)):
            return f"it was signed {abs(now - sent_at):.0f} s {'ago' if sent_at < now else 'ahead'}"
    message = _signed(str(options.get("signed", "{body}")), body, timestamp)
    wanted = hmac.new(key, message, hashlib.sha256).digest()
    # Several signatures may be given while a key is being replaced. All are compared.
    matches = [hmac.compare_digest(given, wanted) for given in _signatures(signature)]
    return "" if any(matches) else "the signature is wrong"


def delivery_id(options: Mapping[str, Any], body: bytes, headers: Mapping[str, str]) -> str:
    """Under which id the delivery is known: as its header says, else by its content and signature."""
    names = (str(options["delivery_header"]).lower(),) if options.get("delivery_header") else ID_HEADERS
    for name in names:
        if given := headers.get(name, "").strip():
            return given if len(given) <= _ID_LENGTH else f"sha256:{hashlib.sha256(given.encode()).hexdigest()}"
    signature = headers.get(str(options.get("header", "")).lower(), "")
    return f"sha256:{hashlib.sha256(signature.encode() + b'.' + body).hexdigest()}"


def fields_of(delivery: str, body: bytes, headers: Sequence[tuple[str, str]], at: float) -> dict[str, Any]:
    """What a sensor sees of a delivery: its body as JSON or text, and the fields of a JSON object by name."""
    parsed: Any
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = body.decode("utf-8", "replace")
    fields = parsed if isinstance(parsed, dict) else {}
    moment = dt.datetime.fromtimestamp(at, dt.UTC).isoformat()
    return {**fields, "body": parsed, "delivery": delivery, "headers": dict(headers), "received_at": moment}


def is_told(name: str, options: Mapping[str, Any]) -> bool:
    """Whether user code may know a header (in lower case): never what authenticates."""
    if name in ("authorization", "cookie", "proxy-authorization", str(options.get("header", "")).lower()):
        return False
    return name in ("content-type", "user-agent") or name.startswith(("x-", "webhook-"))


def _signed(template: str, body: bytes, timestamp: str) -> bytes:
    before, _, after = template.partition("{body}")
    return before.replace("{timestamp}", timestamp).encode() + body + after.replace("{timestamp}", timestamp).encode()


def _signatures(header: str) -> list[bytes]:
    """The signatures in "sha256=ab12...", "v1,base64 v1,base64", "t=1,v1=ab12..." or the bare ones."""
    found: list[bytes] = []
    for part in header.replace(",", " ").split()[:16]:
        for text in {part, part.partition("=")[2], part.partition("=")[2] + "="} - {"", "="}:
            try:
                raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text, validate=True)
            except (ValueError, binascii.Error):
                continue
            if len(raw) == hashlib.sha256().digest_size:
                found.append(raw)
    return found


def _instant(text: str) -> float | None:
    try:
        number = float(text)
        return number / 1000.0 if number > 1e11 else number
    except ValueError:
        pass
    try:
        return dt.datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return None
