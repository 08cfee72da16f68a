"""Secrets are replaced by `***` before anything is written or sent.

A secret is found as it is and in the forms in which programs print it: URL- and form-encoded, JSON-escaped, as a Python
repr, HTML-escaped, hexadecimal, base64 (any alignment, both alphabets), and line by line where it has several lines.

Rule: what could be the beginning of a secret is held back until it is known; a secret that is cut in two by a chunk
leaks neither half. Secrets under `SHORTEST` bytes are not masked: they would mask half of every line.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from partita.core import plain
from partita.core.events import AssetReport, CheckReport, Detail, Failure, Meta
from partita.core.values import Value
from partita.worker.wire import MemberEnded, Outcome

SHORTEST = 4
MASK = b"***"
# Shorter pieces of an encoding occur by chance.
_SHORTEST_PIECE = 6


class Masker:
    """Masks secrets in bytes, text, and the structs that leave a worker. More may become known as time goes by."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        self._secrets: set[bytes] = set()
        self._forms: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        self._firsts: re.Pattern[bytes] | None = None
        self._longest = 0
        self.add(*secrets)

    def add(self, *secrets: bytes) -> None:
        """Mask these, too, from now on."""
        if self._secrets.issuperset(secrets):
            return
        self._secrets.update(secrets)
        forms = {form for secret in self._secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        if not forms:
            return
        # The longest first: where two begin at one place, the longer one is the whole secret.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._longest = len(self._forms[0])
        self._firsts = re.compile(b"[" + b"".join(re.escape(f[:1]) for f in sorted(forms)) + b"]")
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))

    @property
    def active(self) -> bool:
        """Whether there is anything to mask."""
        return self._pattern is not None

    def masked(self, data: bytes) -> bytes:
        """The data without secrets."""
        return self._pattern.sub(MASK, data) if self._pattern is not None else data

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._pattern is None or not text:
            return text
        return self.masked(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def take(self, buffer: bytes, *, last: bool) -> tuple[bytes, bytes]:
        """The masked beginning of a stream's buffer, and the rest that must wait for more (nothing with `last`)."""
        if self._pattern is None:
            return buffer, b""
        held = len(buffer) if last else self._unfinished(buffer, 0)
        parts, start = [], 0
        for match in self._pattern.finditer(buffer):
            if match.start() >= held:
                break
            parts += [buffer[start : match.start()], MASK]
            start = match.end()
            if start > held:
                held = self._unfinished(buffer, start)
        parts.append(buffer[start:held])
        return b"".join(parts), buffer[held:]

    def _unfinished(self, buffer: bytes, start: int) -> int:
        """Where something begins that may become a secret, from `start` on; the length of the buffer if nothing does."""
        assert self._firsts is not None
        start = max(start, len(buffer) - self._longest + 1)
        for match in self._firsts.finditer(buffer, start):
            tail = buffer[match.start() :]
            if any(len(form) > len(tail) and form.startswith(tail) for form in self._forms):
                return match.start()
        return len(buffer)

    # --- structs that leave the worker ---

    def outcome(self, outcome: Outcome) -> Outcome:
        """The outcome without secrets in what people read of it (the value itself stays what it is)."""
        if self._pattern is None or (
            outcome.detail is None and not (outcome.value and (outcome.value.preview or outcome.value.table))
        ):
            return outcome
        return msgspec.structs.replace(
            outcome, value=self._value(outcome.value), detail=outcome.detail and self._detail(outcome.detail)
        )

    def member(self, ended: MemberEnded) -> MemberEnded:
        """The same for the end of a bundle's member."""
        if self._pattern is None:
            return ended
        return msgspec.structs.replace(
            ended,
            value=self._value(ended.value),
            assets=self._assets(ended.assets),
            checks=self._checks(ended.checks),
            detail=ended.detail and self._detail(ended.detail),
        )

    def _value(self, value: Value | None) -> Value | None:
        if value is None or not (value.preview or value.table):
            return value
        table = self._packed(value.table) if value.table is not None else None
        return msgspec.structs.replace(value, preview=self.text(value.preview), table=table)

    def _detail(self, detail: Detail) -> Detail:
        return msgspec.structs.replace(
            detail,
            failure=detail.failure and self._failure(detail.failure),
            metadata=self._metadata(detail.metadata),
            assets=self._assets(detail.assets),
            checks=self._checks(detail.checks),
        )

    def _failure(self, failure: Failure) -> Failure:
        return msgspec.structs.replace(
            failure, message=self.text(failure.message), traceback=self.text(failure.traceback)
        )

    def _metadata(self, metadata: tuple[Meta, ...]) -> tuple[Meta, ...]:
        return tuple(Meta(m.name, m.kind, self._packed(m.data)) for m in metadata)

    def _packed(self, data: bytes) -> bytes:
        if self.masked(data) == data:
            return data
        return plain.pack(self._plain(plain.unpack(data)))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.masked(value)
        if isinstance(value, dict):
            return {self._plain(key): self._plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._plain(item) for item in value)
        return value

    def _assets(self, assets: tuple[AssetReport, ...]) -> tuple[AssetReport, ...]:
        return tuple(msgspec.structs.replace(a, metadata=self._metadata(a.metadata)) for a in assets)

    def _checks(self, checks: tuple[CheckReport, ...]) -> tuple[CheckReport, ...]:
        return tuple(
            msgspec.structs.replace(c, message=self.text(c.message), metadata=self._metadata(c.metadata))
            for c in checks
        )


def _forms(secret: bytes) -> set[bytes]:
    forms = {secret, repr(secret)[2:-1].encode(), secret.hex().encode(), secret.hex().upper().encode()}
    forms |= _base64_forms(secret)
    forms |= {line for line in secret.splitlines() if len(line) >= 8 and not line.startswith(b"-----")}
    escaped = quote(secret, safe="")
    forms |= {escaped.encode(), quote(secret).encode(), quote_plus(secret).encode(), _lower_escapes(escaped).encode()}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return {form for form in forms if form}
    forms |= {repr(text)[1:-1].encode(), html.escape(text).encode(), html.escape(text, quote=False).encode()}
    forms |= {json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()}
    return {form for form in forms if form}


def _base64_forms(secret: bytes) -> set[bytes]:
    """The part of the encoding that does not depend on what stands around the secret, for each alignment."""
    forms = {base64.b64encode(secret).rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")}
    for before in range(3):
        # Characters that carry bits of the neighbours are cut off at both ends.
        first = (before * 8 + 5) // 6
        last = (before + len(secret)) * 8 // 6
        padded = b"\0" * before + secret + b"\0\0"
        forms |= {base64.b64encode(padded)[first:last], base64.urlsafe_b64encode(padded)[first:last]}
    return {form for form in forms if len(form) >= _SHORTEST_PIECE}


def _lower_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), text)
