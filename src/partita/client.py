"""The API from Python: typed, synchronous, thin over httpx2.

    import partita as pt

    with pt.Client() as client:                    # the service of this folder, by its `.partita`
        run = client.runs.start("nightly", region="eu", wait="30s")
        print(run.state)

What it gives are the API's own objects (`partita.server.objects`); what is wrong is raised as a `PartitaError`.

Rule: nothing is decided here. A method is one request; a list follows its cursors.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from partita import client_nouns as nouns
from partita.errors import DefinitionError, NotAllowed, PartitaError, WorldError
from partita.server.objects import (
    Asset,
    Attempt,
    Check,
    Materialization,
    Page,
    Pipeline,
    Run,
    Step,
)
from partita.settings import Settings

__all__ = ["Asset", "Attempt", "Check", "Client", "Materialization", "NotFound", "Pipeline", "Run", "Step"]

T = TypeVar("T")
_Json = dict[str, Any]
_PREFIX = "/api/v1"
_TRIES = 4
_FIRST_PAUSE_S = 0.2


class NotFound(DefinitionError):
    """There is no such thing, or you may not see it."""


class Client:
    """A connection to a running service.

    Without `url` it is the service of this folder (or the nearest one above it) that `partita up` serves, with the token of
    this machine's user. PARTITA_URL and PARTITA_TOKEN name another.

    >>> with pt.Client() as client:                                        # doctest: +SKIP
    ...     for run in client.runs.list(state="failed"):
    ...         print(run.no, run.pipeline, run.reason)
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, timeout_s: float = 60.0, transport: Any = None
    ) -> None:
        import httpx2

        found_url, found_token = _found(url, token)
        self._http = httpx2.Client(
            base_url=found_url,
            headers={"Authorization": f"Bearer {found_token}"} if found_token else {},
            timeout=timeout_s,
            transport=transport,
        )
        self.runs = nouns.Runs(self)
        self.deployments = nouns.Deployments(self)
        self.pipelines = nouns.Pipelines(self)
        self.assets = nouns.Assets(self)
        self.backfills = nouns.Backfills(self)
        self.schedules = nouns.Schedules(self)
        self.sensors = nouns.Sensors(self)
        self.approvals = nouns.Approvals(self)
        self.limits = nouns.Limits(self)
        self.notifications = nouns.Notifications(self)
        self.secrets = nouns.Secrets(self)
        self.projects = nouns.Projects(self)
        self.resources = nouns.Resources(self)
        self.access = nouns.Access(self)
        self.system = nouns.System(self)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go."""
        self._http.close()

    def get(self, path: str, kind: type[T] = dict, **query: Any) -> T:  # type: ignore[assignment]
        """Ask for something under /api/v1: `client.get("/health")`."""
        return _decoded(self._send("GET", path, query=query), kind)

    def post(self, path: str, body: Any = None, kind: type[T] = dict, *, key: str | None = None) -> T:  # type: ignore[assignment]
        """Send something to /api/v1. It is sent again if the answer is lost, and is done once (unless `key` is "")."""
        return _decoded(
            self._send("POST", path, body=body, key=str(uuid.uuid4()) if key is None else key or None), kind
        )

    def upload(self, path: str, data: bytes, query: Mapping[str, Any], kind: type[T] = dict) -> T:  # type: ignore[assignment]
        """Send bytes to /api/v1; they are sent again if the answer is lost, and taken once."""
        return _decoded(self._send("POST", path, query=query, body=data, key=str(uuid.uuid4())), kind)

    def put(self, path: str, body: Any, kind: type[T] = dict) -> T:  # type: ignore[assignment]
        """Set something under /api/v1."""
        return _decoded(self._send("PUT", path, body=body), kind)

    def delete(self, path: str) -> None:
        """Remove something under /api/v1."""
        self._send("DELETE", path)

    def pages(self, path: str, kind: type[T], **query: Any) -> Iterator[T]:
        """All items of a list, page by page."""
        cursor = ""
        while True:
            page = self.get(path, Page[kind], **query, **({"cursor": cursor} if cursor else {}))  # type: ignore[valid-type]
            yield from page.items
            if page.next is None:
                return
            cursor = page.next

    def events(
        self,
        *,
        run: str | None = None,
        pipeline: str | None = None,
        kind: str | None = None,
        after: int | None = None,
    ) -> Iterator[_Json]:
        """What happens, as it happens; a connection that breaks is taken up where it was. Ends with the service.

        Each is a row of the journal: `no`, `run`, `at`, `events`.
        """
        query = {"run": run, "pipeline": pipeline, "kind": kind}
        while True:
            try:
                for name, id, data in self._messages("/events/live", {**query, "after": after}):
                    after = int(id) if id else after
                    if name == "end":
                        return
                    if name == "happened":
                        yield data
            except WorldError:
                time.sleep(_FIRST_PAUSE_S)

    def _messages(self, path: str, query: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
        """Server-sent events: name, id, data. Raises `WorldError` when the connection breaks."""
        import httpx2

        wanted = {name: value for name, value in query.items() if value is not None}
        try:
            with self._http.stream("GET", f"{_PREFIX}{path}", params=wanted) as response:
                if response.status_code != 200:
                    response.read()
                    raise _error(response.status_code, response.content)
                fields: dict[str, str] = {}
                for line in response.iter_lines():
                    name, _, value = line.partition(":")
                    if line:
                        fields[name] = value.removeprefix(" ")
                    elif "data" in fields:
                        yield fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])
                        fields = {}
                    else:
                        fields = {}
        except httpx2.TransportError as error:
            raise WorldError(f"the service broke off: {error}") from error
        raise WorldError("the service broke off")

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> bytes:
        import httpx2

        wanted = {name: value for name, value in (query or {}).items() if value is not None and value != []}
        raw = isinstance(body, bytes)
        headers = {"Content-Type": "application/gzip" if raw else "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        pause_s = _FIRST_PAUSE_S
        # Without a key, what was done once would be done again.
        is_repeatable = method != "POST" or key is not None
        for left in reversed(range(_TRIES if is_repeatable else 1)):
            try:
                response = self._http.request(
                    method,
                    f"{_PREFIX}{path}",
                    params=wanted,
                    content=body if raw or body is None else msgspec.json.encode(body),
                    headers=headers,
                )
            except httpx2.TransportError as error:
                if not left:
                    raise WorldError(
                        f"the service does not answer: {error}", hint="does it run? start it: partita up"
                    ) from error
            else:
                if response.status_code < 400:
                    return response.content
                if response.status_code != 503 or not left:
                    raise _error(response.status_code, response.content)
            time.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try has raised")


def _decoded(data: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(data, type=kind)


def _error(status: int, data: bytes) -> PartitaError:
    try:
        problem: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    message = str(problem.get("detail") or problem.get("title") or f"the service answered with {status}")
    hint = str(problem.get("hint", "")) or None
    if status == 404:
        return NotFound(message, hint=hint)
    if status in (401, 403):
        return NotAllowed(message, hint=hint)
    if status >= 500:
        return WorldError(message, hint=hint)
    return DefinitionError(message, hint=hint)


def _found(url: str | None, token: str | None) -> tuple[str, str]:
    """Where the service is, and the token to show. Raises `WorldError`."""
    url = url or os.environ.get("PARTITA_URL")
    token = token or os.environ.get("PARTITA_TOKEN") or ""
    if url:
        return url, token
    here = Path.cwd()
    for folder in (here, *here.parents):
        home = Settings.of(folder).home
        try:
            address = json.loads(home.service.read_text(encoding="utf-8")).get("address", "")
        except (OSError, ValueError):
            continue
        if address:
            return address, token or _token_of(home.token)
    raise WorldError(f"no service runs for {here}", hint="start it: partita up   or say Client(url, token)")


def _token_of(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
