"""Users, tokens, secrets and the audit, in the engine: who asks for a change, and the one chain that remembers it.

Passwords come as Argon2id hashes, tokens as SHA-256, secrets sealed: whoever asks has made them so, and the engine never
sees what it could give away.

Rule: one entry of the audit for each request, in the commit of what it does; a request that fails has its entry too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import msgspec

from partita.core.chain import link
from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.facts.access import (
    AccessSwept,
    Audited,
    RequestAnswered,
    SecretChanged,
    TokenIssued,
    TokenRevoked,
    UserChanged,
)
from partita.core.manifest import Manifest
from partita.core.permissions import Grant, problem_of
from partita.core.plan import Instance
from partita.engine.active import ActiveRun
from partita.engine.clock import Clock
from partita.engine.control import Handler, tag_of
from partita.errors import DefinitionError, PartitaError, WorldError
from partita.store import access
from partita.store.named import Fetching
from partita.worker.wire import Progress

# How long an answer is kept for the same request, and what has expired for whoever looks.
_KEPT_S = 86_400.0
# How soon a secret that was changed by another scheduler is known here.
_LOOK_EVERY_S = 5.0
_SWEEP_EVERY_S = 3_600.0


class Entry(msgspec.Struct, frozen=True):
    """Who asked for what: an entry of the audit before it has a place in the chain."""

    principal: str
    action: str
    object: str = ""
    namespace: str = ""
    address: str = ""
    detail: bytes = b""


class SetUser(msgspec.Struct, frozen=True, tag="set_user"):
    """Make a user, or change one; None leaves what is there. `password` is an Argon2id hash."""

    name: str
    by: str
    password: str | None = None
    roles: tuple[Grant, ...] | None = None
    active: bool | None = None
    email: str | None = None
    must_be_new: bool = False


class IssueToken(msgspec.Struct, frozen=True, tag="issue_token"):
    """Keep a token (by the SHA-256 of its bits), or a link with which to sign in once."""

    id: str
    digest: bytes
    owner: str
    name: str
    scopes: tuple[Grant, ...]
    by: str
    expires_at: float | None = None
    of: str = "token"


class RevokeToken(msgspec.Struct, frozen=True, tag="revoke_token"):
    """Let a token or session hold no more."""

    id: str
    by: str


class OpenSession(msgspec.Struct, frozen=True, tag="open_session"):
    """A user has shown who they are: begin a session, unless they have changed since `generation` was read."""

    id: str
    digest: bytes
    owner: str
    generation: int
    expires_at: float
    address: str = ""


class ExchangeLink(msgspec.Struct, frozen=True, tag="exchange_link"):
    """Begin a session with a link that nobody has used yet; it is used up."""

    link: bytes
    id: str
    digest: bytes
    expires_at: float
    address: str = ""


class SignInElsewhere(msgspec.Struct, frozen=True, tag="sign_in_elsewhere"):
    """A provider has said who somebody is and which roles they have: keep that, and begin a session."""

    name: str
    email: str
    roles: tuple[Grant, ...]
    id: str
    digest: bytes
    expires_at: float
    address: str = ""


class ChangeSecrets(msgspec.Struct, frozen=True, tag="change_secrets"):
    """Set secrets, sealed under key `key_id`, or (None) remove them; all or none."""

    secrets: tuple[tuple[str, str, bytes | None], ...]
    key_id: str
    by: str


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Put an entry into the audit."""

    entry: Entry
    result: str


class KeepAnswer(msgspec.Struct, frozen=True, tag="keep_answer"):
    """Remember how a request with an idempotency key was answered."""

    principal: str
    key: str
    digest: bytes
    status: int
    body: bytes


class Carried(msgspec.Struct, frozen=True, tag="carried"):
    """Another request with its entry for the audit: both are in one commit."""

    request: str
    body: bytes
    entry: Entry


class Done(msgspec.Struct, frozen=True):
    """The change is durable. `changed`: there was something to change."""

    changed: bool = True


def carried(request: msgspec.Struct, entry: Entry) -> Carried:
    """A request with its entry for the audit. The answer is that of the request itself.

    >>> carried(RevokeToken("t1", "ann"), Entry("ann", "tokens.revoke", "t1")).request
    'revoke_token'
    """
    return Carried(tag_of(type(request)), msgspec.msgpack.encode(request), entry)


class Recorder(Protocol):
    """What this part uses of the engine."""

    def record(self, *facts: Fact) -> None: ...


class Access:
    """The part of the service that keeps who may do what. `others` are the requests of all parts, for `Carried`."""

    name = "access"

    def __init__(
        self,
        recorder: Recorder,
        store: Fetching,
        clock: Clock,
        others: Callable[[], Mapping[type, Handler]] = dict,
        elsewhere: Callable[[], object] | None = None,
    ) -> None:
        # The secrets as they are now, where another scheduler changes them; and as they were at the last look.
        self._elsewhere = elsewhere
        self._secrets: object = None
        self._recorder = recorder
        self._store = store
        self._clock = clock
        self._others = others
        self._by_tag: dict[str, tuple[type, Handler]] = {}
        self._last_hash: bytes | None = None
        self._sweep_at = 0.0
        # Staged in this turn, not to be read from the store yet.
        self._staged: dict[tuple[type, Any], Any] = {}
        # Told when secrets have changed, after the commit.
        self.secrets_changed: list[Callable[[], None]] = []

    # --- a part of the service --------------------------------------------------------------------------------------

    def handlers(self) -> dict[type, Handler]:
        """What it can be asked."""
        return {
            SetUser: self._set_user,
            IssueToken: self._issue,
            RevokeToken: self._revoke,
            OpenSession: self._open_session,
            ExchangeLink: self._exchange,
            SignInElsewhere: self._sign_in_elsewhere,
            ChangeSecrets: self._change_secrets,
            Note: self._note,
            KeepAnswer: self._keep,
            Carried: self._carried,
        }

    def loaded(self, manifest: Manifest) -> None:
        """Nothing: access is not declared by projects."""

    def start(self, now: float) -> None:
        """Whoever reads sealed secrets from a file is to find those of the store."""
        self._sweep_at = now
        self._secrets = self._elsewhere() if self._elsewhere is not None else None
        for listener in self.secrets_changed:
            listener()

    def due_at(self) -> float:
        """When expired tokens are looked for next."""
        return self._sweep_at

    def turn(self, now: float) -> None:
        """Remove what expired long ago; or, where another scheduler does that, see what it has changed."""
        if self._elsewhere is not None:
            self._sweep_at = now + _LOOK_EVERY_S
            secrets, self._secrets = self._secrets, self._elsewhere()
            if secrets != self._secrets:
                for listener in self.secrets_changed:
                    listener()
            return
        self._sweep_at = now + _SWEEP_EVERY_S
        if access.sweepable(self._store, now - _KEPT_S):
            self._recorder.record(AccessSwept(now, now - _KEPT_S))

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Nothing: runs are not audited, requests are."""

    def progressed(self, run: ActiveRun, instance: Instance, progress: Progress) -> None:
        """A step uses a secret."""
        if progress.secret:
            self.note(
                Entry(
                    f"run:{run.id}",
                    "secret.use",
                    f"secret:{progress.secret}",
                    run.run.namespace,
                    detail=msgspec.json.encode({"step": instance.node.key, "attempt": instance.attempt}),
                ),
                "done",
            )

    def recorded(self, facts: Sequence[Fact]) -> None:
        """What was staged is in the store now."""
        self._staged.clear()
        if any(isinstance(fact, SecretChanged) for fact in facts):
            for listener in self.secrets_changed:
                listener()

    def note(self, entry: Entry, result: str) -> None:
        """Stage an entry of the audit, at the end of the chain."""
        if self._last_hash is None:
            self._last_hash = access.last_hash(self._store)
        at, previous = self._clock.now(), self._last_hash
        self._last_hash = link(
            previous,
            at,
            entry.principal,
            entry.action,
            entry.object,
            result,
            entry.namespace,
            entry.detail,
            entry.address,
        )
        self._recorder.record(
            Audited(
                at,
                entry.principal,
                entry.action,
                entry.object,
                result,
                entry.namespace,
                previous,
                self._last_hash,
                entry.detail,
                entry.address,
            )
        )

    # --- requests ---------------------------------------------------------------------------------------------------

    def _carried(self, request: Carried) -> Any:
        """Do what it carries, and note how that went, in one commit."""
        known = self._known(request.request)
        if known is None:
            raise WorldError(f"this engine cannot {request.request}", hint="is `partita up` running here?")
        kind, handler = known
        try:
            answer = handler(msgspec.msgpack.decode(request.body, type=kind))
        except PartitaError as error:
            self.note(request.entry, f"refused: {error.message[:300]}")
            raise
        except Exception as error:
            self.note(request.entry, f"failed: {type(error).__name__}")
            raise
        self.note(request.entry, "accepted" if isinstance(answer, Future) else "done")
        return answer

    def _known(self, tag: str) -> tuple[type, Handler] | None:
        if tag not in self._by_tag:
            both = {**self.handlers(), **self._others()}
            self._by_tag = {tag_of(kind): (kind, handler) for kind, handler in both.items() if kind is not Carried}
        return self._by_tag.get(tag)

    def _note(self, request: Note) -> Done:
        self.note(request.entry, request.result)
        return Done()

    def _keep(self, r: KeepAnswer) -> Done:
        self._recorder.record(RequestAnswered(self._clock.now(), r.principal, r.key, r.digest, r.status, r.body))
        return Done()

    def _set_user(self, r: SetUser) -> Done:
        known = self._user(r.name)
        if known is not None and r.must_be_new:
            raise DefinitionError(f"there is a user {r.name!r} already", hint="change it: users set")
        if known is None and (r.password is None and not r.email):
            raise DefinitionError(f"user {r.name!r} needs a password, or an e-mail address to sign in elsewhere")
        _check_name(r.name)
        _check_grants(r.roles or ())
        after = _changed(known, r, self._clock.now())
        if known is not None and _facts_of(known) == _facts_of(after):
            return Done(changed=False)
        self._put_user(after)
        return Done()

    def _put_user(self, row: access.UserRow) -> None:
        self._staged[access.UserRow, row.name] = row
        self._recorder.record(
            UserChanged(row.at, row.name, row.password, row.roles, row.active, row.email, row.generation)
        )

    def _issue(self, r: IssueToken) -> Done:
        _check_grants(r.scopes)
        if r.of not in ("token", "link"):
            raise DefinitionError("a session begins by signing in")
        if r.of == "token" and not r.scopes:
            raise DefinitionError("a token needs a scope", hint="for example: viewer, or sales:operator")
        if r.owner:
            self._active_user(r.owner)
        self._issued(r.id, r.digest, r.owner, r.name, r.scopes, r.expires_at, r.of, 0, r.by)
        return Done()

    def _revoke(self, r: RevokeToken) -> Done:
        found = access.token(self._store, r.id)
        if found is None or found.revoked_at is not None or (TokenRevoked, r.id) in self._staged:
            return Done(changed=False)
        self._revoked(r.id, r.by)
        return Done()

    def _open_session(self, r: OpenSession) -> Done:
        user = self._active_user(r.owner)
        if user.generation != r.generation:
            raise DefinitionError("this user was changed a moment ago", hint="sign in again")
        self._issued(r.id, r.digest, user.name, "session", (), r.expires_at, "session", user.generation, user.name)
        self.note(Entry(user.name, "session.open", r.id, address=r.address), "done")
        return Done()

    def _exchange(self, r: ExchangeLink) -> Done:
        found = access.token_by_digest(self._store, r.link)
        now = self._clock.now()
        if found is None or found.of != "link" or not found.holds(now) or (TokenRevoked, found.id) in self._staged:
            raise DefinitionError(
                "this link was used, has expired, or is none", hint="make a new one: partita tokens link"
            )
        generation = self._active_user(found.owner).generation if found.owner else 0
        self._revoked(found.id, "link")
        self._issued(
            r.id, r.digest, found.owner, "session", found.scopes, r.expires_at, "session", generation, found.owner
        )
        self.note(Entry(found.owner or "local", "session.open", r.id, address=r.address), "done")
        return Done()

    def _sign_in_elsewhere(self, r: SignInElsewhere) -> Done:
        _check_name(r.name)
        _check_grants(r.roles)
        known = self._user(r.name)
        if known is not None and (not known.active or known.password):
            # Nobody becomes a local user by calling themselves so elsewhere.
            raise DefinitionError(f"user {r.name!r} does not sign in this way")
        if known is None or (known.roles, known.email) != (r.roles, r.email):
            changed = SetUser(r.name, "provider", None, r.roles, True, r.email)
            known = _changed(known, changed, self._clock.now())
            self._put_user(known)
        self._issued(r.id, r.digest, r.name, "session", (), r.expires_at, "session", known.generation, "provider")
        self.note(Entry(r.name, "session.open", r.id, address=r.address), "done")
        return Done()

    def _change_secrets(self, r: ChangeSecrets) -> Done:
        now, changed = self._clock.now(), False
        for namespace, name, sealed in r.secrets:
            if sealed is None and access.secret(self._store, namespace, name) is None:
                continue
            changed = True
            self._recorder.record(SecretChanged(now, namespace, name, sealed, r.key_id, r.by))
        return Done(changed)

    # --- what is known ----------------------------------------------------------------------------------------------

    def _user(self, name: str) -> access.UserRow | None:
        staged: access.UserRow | None = self._staged.get((access.UserRow, name))
        return staged or access.user(self._store, name)

    def _active_user(self, name: str) -> access.UserRow:
        user = self._user(name)
        if user is None or not user.active:
            raise DefinitionError(f"there is no user {name!r}", hint="partita users lists them")
        return user

    def _issued(
        self,
        id: str,
        digest: bytes,
        owner: str,
        name: str,
        scopes: tuple[Grant, ...],
        expires_at: float | None,
        of: Any,
        generation: int,
        by: str,
    ) -> None:
        fact = TokenIssued(self._clock.now(), id, digest, owner, name, scopes, expires_at, of, generation, by)
        self._recorder.record(fact)

    def _revoked(self, id: str, by: str) -> None:
        self._staged[TokenRevoked, id] = True
        self._recorder.record(TokenRevoked(self._clock.now(), id, by))


def _changed(known: access.UserRow | None, r: SetUser, now: float) -> access.UserRow:
    """The user after a change. Whatever they may or show to sign in is another now: their sessions end."""
    if known is None:
        return access.UserRow(r.name, r.password or "", r.roles or (), r.active is not False, r.email or "", 1, now)
    after = access.UserRow(
        known.name,
        known.password if r.password is None else r.password,
        known.roles if r.roles is None else r.roles,
        known.active if r.active is None else r.active,
        known.email if r.email is None else r.email,
        known.generation,
        now,
    )
    if (after.password, after.roles, after.active) != (known.password, known.roles, known.active):
        after = msgspec.structs.replace(after, generation=known.generation + 1)
    return after


def _facts_of(row: access.UserRow) -> tuple[object, ...]:
    return (row.password, row.roles, row.active, row.email)


def _check_name(name: str) -> None:
    if not name or len(name) > 200 or not name.isprintable() or any(c.isspace() or c in ":/\\" for c in name):
        raise DefinitionError(f"{name!r} is no name of a user", hint="letters, digits, and . _ - @ +")
    if name in ("local", "anonymous"):
        raise DefinitionError(f"{name!r} is a name of ours", hint="take another one")


def _check_grants(grants: tuple[Grant, ...]) -> None:
    for grant in grants:
        if problem := problem_of(grant):
            raise DefinitionError(problem)
