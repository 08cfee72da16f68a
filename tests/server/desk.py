"""A store with the part that keeps who may, without an engine: what is asked is done and committed at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from partita.core.facts import Fact
from partita.core.permissions import Grant
from partita.engine.access import Access, IssueToken, OpenSession, SetUser
from partita.server import sessions
from partita.server.access import AccessGuard
from partita.server.bearers import Bearer, new_session, new_token
from partita.server.guarding import Incoming
from partita.server.policy import Policy
from partita.settings import Home
from partita.store import access
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

HOST = "127.0.0.1:4400"
NOW = 1_800_000_000.0


class Clock:
    """Stands still until it is set."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def __call__(self) -> float:
        return self.at


class Desk:
    """Asks go straight to the part's handlers; each is a commit of its own."""

    def __init__(
        self, folder: Path, policy: Policy | None = None, *, bound: str = "127.0.0.1", store: SqlStore | None = None
    ) -> None:
        self.clock = Clock()
        self.store = store or open_in_memory(clock=self.clock)
        self.lease = self.store.acquire("engine", "desk", 10.0)
        self.staged: list[Fact] = []
        self._lock = threading.Lock()
        self.part = Access(self, self.store, self.clock)
        self.home = Home(folder / ".partita")
        self.home.root.mkdir(parents=True, exist_ok=True)
        self.guard = AccessGuard(
            policy or Policy(), self.home, bound=bound, reader=lambda: self.store, ask=self.ask, clock=self.clock
        )

    def record(self, *facts: Fact) -> None:
        self.staged.extend(facts)

    def post(self, request: Callable[[], Any]) -> Future[Any]:
        """As `Engine.post`, at once."""
        future: Future[Any] = Future()
        with self._lock:
            try:
                result = request()
                self.commit()
                future.set_result(result)
            except Exception as error:
                self.commit()
                future.set_exception(error)
        return future

    def ask(self, request: msgspec.Struct, returns: Any = None) -> Any:
        try:
            return self.part.handlers()[type(request)](request)
        finally:
            self.commit()

    def commit(self) -> None:
        facts, self.staged = self.staged, []
        if facts:
            self.store.commit([], epoch=self.lease.epoch, facts=facts)
            self.part.recorded(facts)

    # --- who there is ---

    def user(self, name: str, *roles: Grant, password: str = "hash") -> None:
        self.ask(SetUser(name, "admin", password, roles))

    def token(self, *scopes: Grant, owner: str = "", days: float = 1.0, name: str = "t") -> Bearer:
        bearer = new_token(self.clock.at)
        self.ask(IssueToken(bearer.id, bearer.digest, owner, name, scopes, "admin", self.clock.at + days * 86_400))
        return bearer

    def session(self, name: str) -> Bearer:
        bearer = new_session(self.clock.at)
        row = access.user(self.store, name)
        assert row is not None
        self.ask(OpenSession(bearer.id, bearer.digest, name, row.generation, self.clock.at + 3600))
        return bearer


def incoming(
    method: str = "GET",
    *,
    permission: str = "view",
    headers: Mapping[str, str] | None = None,
    token: str = "",
    cookie: str = "",
    host: str = HOST,
    path: str = "/api/v1/runs",
) -> Incoming:
    """The head of a request; with a cookie it is one of our own page's."""
    found = {"host": host, **({"authorization": f"Bearer {token}"} if token else {})}
    if cookie:
        found["cookie"] = f"{sessions.cookie_name(secure=False, host=host)}={cookie}"
        found["sec-fetch-site"] = "same-origin"
    return Incoming(method, path, "", {**found, **(headers or {})}, "127.0.0.1", permission, f"{method} {path}")
