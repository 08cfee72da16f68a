"""Facts about who may do what: users, tokens, secrets, the audit, answered requests."""

from __future__ import annotations

from typing import Literal

from partita.core.facts.fact import FactBase


class UserChanged(FactBase, frozen=True, array_like=True, tag="user_changed"):
    """A user was made or changed. `password` is an Argon2id hash ("" = none: signs in elsewhere); `roles` are
    (namespace or "*", role). Whoever loses a right or changes a password loses all sessions.
    """

    name: str
    password: str
    roles: tuple[tuple[str, str], ...]
    active: bool = True
    email: str = ""
    generation: int = 0


class TokenIssued(FactBase, frozen=True, array_like=True, tag="token_issued"):
    """A token, a browser's session, or a link with which to sign in once. Only the SHA-256 of its random bits is kept.

    `owner` is a user's name, or "" for the user of the machine. It holds no more than its owner's roles allow; a session
    ends when its owner's `generation` has moved on.
    """

    id: str
    digest: bytes
    owner: str
    name: str
    scopes: tuple[tuple[str, str], ...]
    expires_at: float | None = None
    of: Literal["token", "session", "link"] = "token"
    generation: int = 0
    by: str = ""


class TokenRevoked(FactBase, frozen=True, array_like=True, tag="token_revoked"):
    """A token or session holds no more."""

    id: str
    by: str


class AccessSwept(FactBase, frozen=True, array_like=True, tag="access_swept"):
    """What has expired or was revoked before `before`, and answers kept since before then, were removed."""

    before: float


class SecretChanged(FactBase, frozen=True, array_like=True, tag="secret_changed"):
    """A secret was set (sealed by AEAD under key `key_id`) or, with None, removed."""

    namespace: str
    name: str
    sealed: bytes | None
    key_id: str
    by: str


class Audited(FactBase, frozen=True, array_like=True, tag="audited"):
    """A request that changes something was carried out or denied. `hash` covers this entry and `previous`."""

    principal: str
    action: str
    object: str
    result: str
    namespace: str
    previous: bytes
    hash: bytes
    detail: bytes = b""
    address: str = ""


class AuditTrimmed(FactBase, frozen=True, array_like=True, tag="audit_trimmed"):
    """Retention removed the audit up to entry `no`, whose `hash` is what the chain goes on from."""

    no: int
    hash: bytes


class RequestAnswered(FactBase, frozen=True, array_like=True, tag="request_answered"):
    """A request with an idempotency key was answered: the same again gets the same answer for a day."""

    principal: str
    key: str
    digest: bytes
    status: int
    body: bytes


AccessFact = (
    UserChanged | TokenIssued | TokenRevoked | AccessSwept | SecretChanged | Audited | AuditTrimmed | RequestAnswered
)
