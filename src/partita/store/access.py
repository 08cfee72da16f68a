"""Users, tokens, secrets, audit, answered requests: rows, how they are read, and which rows each fact writes.

Rule: functions over a reader (`reader.fetch(name, params)`) that answer with frozen types; the statements are in
`sql/access.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from partita.core.chain import GENESIS, link
from partita.core.facts.access import (
    AccessSwept,
    Audited,
    AuditTrimmed,
    RequestAnswered,
    SecretChanged,
    TokenIssued,
    TokenRevoked,
    UserChanged,
)
from partita.core.permissions import Grant
from partita.store.named import Execute, Fetching

_PAGE = 500
_LAST = 2**62
_pack = msgspec.msgpack.encode
_grants = msgspec.msgpack.Decoder(tuple[tuple[str, str], ...]).decode


class UserRow(msgspec.Struct, frozen=True):
    """A user. `password` is an Argon2id hash, "" for those who sign in elsewhere."""

    name: str
    password: str
    roles: tuple[Grant, ...]
    active: bool
    email: str
    generation: int
    at: float


class TokenRow(msgspec.Struct, frozen=True):
    """A token, session or link that was issued."""

    id: str
    digest: bytes
    owner: str
    name: str
    scopes: tuple[Grant, ...]
    of: str
    generation: int
    issued_at: float
    expires_at: float | None
    revoked_at: float | None

    def holds(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class SecretRow(msgspec.Struct, frozen=True):
    """A secret, sealed."""

    namespace: str
    name: str
    sealed: bytes
    key_id: str
    at: float
    by: str


class AuditRow(msgspec.Struct, frozen=True):
    """One entry of the audit."""

    no: int
    at: float
    principal: str
    action: str
    object: str
    result: str
    namespace: str
    detail: bytes
    address: str
    hash: bytes


class AnswerRow(msgspec.Struct, frozen=True):
    """How a request with an idempotency key was answered."""

    digest: bytes
    status: int
    body: bytes
    at: float


# --- reading ------------------------------------------------------------------------------------------------------


def user(reader: Fetching, name: str) -> UserRow | None:
    """The user of a name."""
    rows = reader.fetch("user", (name,))
    return _user(rows[0]) if rows else None


def users(reader: Fetching, *, after: str = "", limit: int = 100) -> list[UserRow]:
    """Users by name, from the one after `after` on."""
    return [_user(row) for row in reader.fetch("users", (after, limit))]


def token(reader: Fetching, id: str) -> TokenRow | None:
    """The token, session or link of an id."""
    rows = reader.fetch("token_by_id", (id,))
    return _token(rows[0]) if rows else None


def token_by_digest(reader: Fetching, digest: bytes) -> TokenRow | None:
    """The token of what its holder has shown."""
    rows = reader.fetch("token_by_digest", (digest,))
    return _token(rows[0]) if rows else None


def tokens(
    reader: Fetching, *, owner: str | None = None, of: str = "token", after: str = "", limit: int = 100
) -> list[TokenRow]:
    """Tokens (or sessions, links) that were not revoked, in the order in which they were issued."""
    if owner is None:
        return [_token(row) for row in reader.fetch("tokens", (after, of, limit))]
    return [_token(row) for row in reader.fetch("tokens_of_owner", (after, owner, of, limit))]


def sweepable(reader: Fetching, before: float) -> bool:
    """Whether there is something that expired, was revoked or was answered before then."""
    return bool(reader.fetch("sweepable", (before, before, before))[0][0])


def secret(reader: Fetching, namespace: str, name: str) -> SecretRow | None:
    """A sealed secret."""
    rows = reader.fetch("secret", (namespace, name))
    return SecretRow(*rows[0]) if rows else None


def secrets(
    reader: Fetching, namespace: str | None = None, *, after: tuple[str, str] = ("", ""), limit: int = 100
) -> list[SecretRow]:
    """Sealed secrets by namespace and name."""
    if namespace is None:
        return [SecretRow(*row) for row in reader.fetch("secrets", (*after, limit))]
    return [SecretRow(*row) for row in reader.fetch("secrets_of_namespace", (namespace, after[1], limit))]


def every_secret(reader: Fetching, namespace: str | None = None) -> Iterator[SecretRow]:
    """All sealed secrets, page by page."""
    after = ("", "")
    while page := secrets(reader, namespace, after=after, limit=_PAGE):
        yield from page
        after = (page[-1].namespace, page[-1].name)


def sealed_rows(reader: Fetching) -> Iterator[tuple[str, str, bytes, str]]:
    """All sealed secrets, as workers read them: namespace, name, sealed bytes, key."""
    for row in every_secret(reader):
        yield row.namespace, row.name, row.sealed, row.key_id


def audit_entries(
    reader: Fetching, *, principal: str = "", before_no: int | None = None, limit: int = 100
) -> list[AuditRow]:
    """Entries of the audit, newest first."""
    before = _LAST if before_no is None else before_no
    rows = (
        reader.fetch("audit_of_principal", (principal, before, limit))
        if principal
        else reader.fetch("audit_backward", (before, limit))
    )
    return [_audit(row) for row in rows]


def last_hash(reader: Fetching) -> bytes:
    """The end of the audit's chain."""
    return _ends(reader.fetch)["last"][1]


def broken_links(reader: Fetching) -> Iterator[str]:
    """I20: what is wrong with the audit's chain. Every entry is looked at; a wrong one does not hide the next."""
    ends = _ends(reader.fetch)
    after, previous = ends["first"]
    while rows := reader.fetch("audit_forward", (after, _PAGE)):
        for row in map(_audit, rows):
            if row.no != after + 1:
                gap = f"entry {after + 1}" if row.no == after + 2 else f"entries {after + 1} to {row.no - 1}"
                yield f"the audit has lost {gap}"
            if row.hash != hash_of(previous, row):
                yield f"entry {row.no} of the audit, or its place in it, is not as it was written"
            previous, after = row.hash, row.no
    if (after, previous) != ends["last"]:
        yield f"the audit ends with entry {after}, and the last one written was {ends['last'][0]}"


def _ends(fetch: Execute) -> dict[str, tuple[int, bytes]]:
    """The entry before the first that is kept, and the last one, with their hashes."""
    first = last = (0, GENESIS)
    for which, no, hashed in fetch("audit_ends", ()):
        first, last = ((no, hashed), last) if which == "first" else (first, (no, hashed))
    return {"first": first, "last": last}


def hash_of(previous: bytes, row: AuditRow) -> bytes:
    """The hash that an entry must have behind `previous`."""
    return link(
        previous, row.at, row.principal, row.action, row.object, row.result, row.namespace, row.detail, row.address
    )


def answer(reader: Fetching, principal: str, key: str) -> AnswerRow | None:
    """The answer that a request with this idempotency key got."""
    rows = reader.fetch("answer", (principal, key))
    return AnswerRow(*rows[0]) if rows else None


def _user(row: tuple[Any, ...]) -> UserRow:
    name, password, roles, active, email, generation, at = row
    return UserRow(name, password, _grants(roles), bool(active), email, generation, at)


def _token(row: tuple[Any, ...]) -> TokenRow:
    id, digest, owner, name, scopes, *rest = row
    return TokenRow(id, digest, owner, name, _grants(scopes), *rest)


def _audit(row: tuple[Any, ...]) -> AuditRow:
    no, at, principal, action, object, result, namespace, detail, address, hashed = row
    return AuditRow(no, at, principal, action, object, result, namespace, detail or b"", address, hashed)


# --- writing ------------------------------------------------------------------------------------------------------


def _user_changed(execute: Execute, f: UserChanged) -> None:
    execute("put_user", (f.name, f.password, _pack(f.roles), f.active, f.email, f.generation, f.at))


def _token_issued(execute: Execute, f: TokenIssued) -> None:
    execute(
        "insert_token",
        (f.id, f.digest, f.owner, f.name, _pack(f.scopes), f.of, f.generation, f.at, f.expires_at),
    )


def _token_revoked(execute: Execute, f: TokenRevoked) -> None:
    execute("revoke_token", (f.at, f.id))


def _swept(execute: Execute, f: AccessSwept) -> None:
    for statement in ("sweep_expired_tokens", "sweep_revoked_tokens", "sweep_answers"):
        execute(statement, (f.before,))


def _secret_changed(execute: Execute, f: SecretChanged) -> None:
    if f.sealed is None:
        execute("remove_secret", (f.namespace, f.name))
    else:
        execute("put_secret", (f.namespace, f.name, f.sealed, f.key_id, f.at, f.by))


def _audited(execute: Execute, f: Audited) -> None:
    # Linked here and not by whoever recorded it: several schedulers may write, one after the other. The number is ours as
    # well: those of a database skip what was rolled back.
    no, previous = _ends(execute)["last"]
    hashed = link(previous, f.at, f.principal, f.action, f.object, f.result, f.namespace, f.detail, f.address)
    execute(
        "insert_audit",
        (no + 1, f.at, f.principal, f.action, f.object, f.result, f.namespace, f.detail or None, f.address, hashed),
    )
    execute("put_audit_end", (no + 1, hashed))


def _trimmed(execute: Execute, f: AuditTrimmed) -> None:
    execute("trim_audit", (f.no,))
    execute("put_audit_start", (f.no, f.hash))


def _answered(execute: Execute, f: RequestAnswered) -> None:
    execute("put_answer", (f.principal, f.key, f.digest, f.status, f.body, f.at))


WRITES: Final[dict[type, Callable[..., Any]]] = {
    UserChanged: _user_changed,
    TokenIssued: _token_issued,
    TokenRevoked: _token_revoked,
    AccessSwept: _swept,
    SecretChanged: _secret_changed,
    Audited: _audited,
    AuditTrimmed: _trimmed,
    RequestAnswered: _answered,
}
