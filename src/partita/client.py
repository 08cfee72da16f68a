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
from urllib.parse import quote

import msgspec

from partita.core.states import TERMINAL_RUN
from partita.errors import DefinitionError, NotAllowed, PartitaError, WorldError
from partita.server.objects import (
    Asset,
    Attempt,
    Check,
    Explanation,
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
# Nouns have a method of this name.
Listed = list
_PREFIX = "/api/v1"
_TRIES = 4
_FIRST_PAUSE_S = 0.2
_WAIT_S = 30.0


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
        self.runs = Runs(self)
        self.pipelines = Pipelines(self)
        self.assets = Assets(self)
        self.backfills = Backfills(self)
        self.schedules = Schedules(self)

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
        """Send something to /api/v1. It is sent again if the answer is lost, and is done once."""
        return _decoded(self._send("POST", path, body={} if body is None else body, key=key or str(uuid.uuid4())), kind)

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
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(_TRIES)):
            try:
                response = self._http.request(
                    method,
                    f"{_PREFIX}{path}",
                    params=wanted,
                    content=msgspec.json.encode(body) if body is not None else None,
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


class _Noun:
    def __init__(self, client: Client) -> None:
        self._client = client


class Runs(_Noun):
    """Runs: `client.runs`."""

    def list(
        self, *, pipeline: str | None = None, state: str | None = None, partition: str | None = None, limit: int = 50
    ) -> Listed[Run]:
        """The newest runs, at most `limit`."""
        from itertools import islice

        found = self._client.pages(
            "/runs", Run, pipeline=pipeline, state=state, partition=partition, limit=min(limit, 500)
        )
        return list(islice(found, limit))

    def get(self, run: str | int, *, wait: str | None = None) -> Run:
        """A run by id or number; with `wait` ("30s"), as it is when it has ended or the time is over."""
        return self._client.get(f"/runs/{_name(run)}", Run, wait=wait)

    def start(
        self,
        pipeline: str | None = None,
        /,
        *,
        assets: str | None = None,
        params: Mapping[str, Any] | None = None,
        partition: str = "",
        select: str = "",
        priority: int = 0,
        tags: tuple[str, ...] = (),
        key: str | None = None,
        wait: str | None = None,
        **more: Any,
    ) -> Run:
        """Start a run; further keywords are its parameters. The same `key` makes it once, however often it is asked for.

        >>> client.runs.start("nightly", region="eu", key="2026-11-22")    # doctest: +SKIP
        """
        body: _Json = {"params": {**(params or {}), **more}, "partition": partition, "select": select}
        body |= {"priority": priority, "tags": tags, **({"pipeline": pipeline} if pipeline else {"assets": assets})}
        run = self._client.post("/runs", body, Run, key=key)
        return run if wait is None else self.get(run.id, wait=wait)

    def wait(self, run: str | int, *, timeout_s: float | None = None) -> Run:
        """The run when it has ended. Raises `WorldError` when it has not in time."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = _WAIT_S if until is None else max(0.0, min(_WAIT_S, until - time.monotonic()))
            found = self.get(run, wait=f"{max(1, round(left_s * 1000))}ms")
            if found.state in TERMINAL_RUN:
                return found
            if until is not None and time.monotonic() >= until:
                raise WorldError(f"run {found.no} is {found.state} after {timeout_s:g} s")

    def cancel(self, run: str | int, reason: str = "") -> Run:
        """End a run."""
        return self._client.post(f"/runs/{_name(run)}/cancel", {"reason": reason}, Run)

    def pause(self, run: str | int, reason: str = "") -> Run:
        """Start nothing new in a run."""
        return self._client.post(f"/runs/{_name(run)}/pause", {"reason": reason}, Run)

    def resume(self, run: str | int) -> Run:
        """Let a paused run go on."""
        return self._client.post(f"/runs/{_name(run)}/resume", {}, Run)

    def retry(self, run: str | int, *, steps: tuple[str, ...] = (), version: str = "latest") -> Run:
        """Run a finished run again: what failed, or from steps on. The answer is the new run."""
        return self._client.post(f"/runs/{_name(run)}/retry", {"from": steps, "version": version}, Run)

    def steps(self, run: str | int) -> Listed[Step]:
        """Steps that have done something, with their attempts."""
        return list(self._client.pages(f"/runs/{_name(run)}/steps", Step, limit=500))

    def why(self, run: str | int, step: str | None = None, index: str = "") -> Any:
        """Why a run is as it is (a dict), or a step of it (an `Explanation`)."""
        if step is None:
            return self._client.get(f"/runs/{_name(run)}/why")
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}/why", Explanation, index=index or None)

    def log(self, run: str | int, step: str, *, index: str = "", attempt: int | None = None) -> Iterator[str]:
        """The lines that an attempt of a step has written until now."""
        offset, more = 0, True
        while more:
            part: _Json = self._client.get(
                f"/runs/{_name(run)}/steps/{_name(step)}/log", index=index or None, attempt=attempt, offset=offset
            )
            yield from (line["text"] for line in part["lines"])
            offset, more = part["next"], part["more"]


class Pipelines(_Noun):
    """Pipelines: `client.pipelines`."""

    def list(self, *, project: str | None = None, tag: str | None = None) -> Listed[Pipeline]:
        """All pipelines, by name."""
        return list(self._client.pages("/pipelines", Pipeline, project=project, tag=tag))

    def get(self, name: str) -> Pipeline:
        """A pipeline by name, or project/name."""
        return self._client.get(f"/pipelines/{_name(name)}", Pipeline)


class Assets(_Noun):
    """Assets: `client.assets`."""

    def list(self, *, name: str | None = None, group: str | None = None, tag: str | None = None) -> Listed[Asset]:
        """All assets, by name."""
        return list(self._client.pages("/assets", Asset, name=name, group=group, tag=tag))

    def get(self, name: str) -> Asset:
        """An asset."""
        return self._client.get(f"/assets/{_name(name)}", Asset)

    def materializations(self, name: str, *, partition: str | None = None, limit: int = 50) -> Listed[Materialization]:
        """The newest materializations of an asset (partition)."""
        found = self._client.get(
            f"/assets/{_name(name)}/materializations", Page[Materialization], partition=partition, limit=limit
        )
        return found.items

    def why(self, name: str, partition: str = "") -> _Json:
        """Why an asset (partition) is as it is: made, fresh, stale, and what its automation says."""
        return self._client.get(f"/assets/{_name(name)}/why", partition=partition or None)

    def report(
        self,
        asset: str,
        *,
        partition: str = "",
        data_version: str = "",
        metadata: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> bool:
        """Say that another tool made an asset (partition); False if it was said before under the same key.

        >>> client.assets.report("flights", partition="2026-11-21", metadata={"rows": 12345})    # doctest: +SKIP
        """
        body: _Json = {"asset": asset, "partition": partition, "data_version": data_version, "key": key}
        body["metadata"] = [{"name": n, "value": v, "kind": _kind(v)} for n, v in (metadata or {}).items()]
        return not self._client.post("/materializations", body)["repeated"]

    def report_check(self, asset: str, check: str, passed: bool, *, partition: str = "", message: str = "") -> None:
        """Say how a test of an asset ended elsewhere."""
        body = {"asset": asset, "check": check, "passed": passed, "partition": partition, "message": message}
        self._client.post("/checks", body)


class Backfills(_Noun):
    """Backfills: `client.backfills`."""

    def plan(self, target: str, partitions: str = "*", **more: Any) -> _Json:
        """What a backfill would do; further keywords as in `POST /backfills`."""
        return self._client.post("/backfills/plan", {"target": target, "partitions": partitions, **more})

    def start(self, target: str, partitions: str = "*", *, key: str | None = None, **more: Any) -> _Json:
        """Plan a backfill and start it."""
        return self._client.post("/backfills", {"target": target, "partitions": partitions, **more}, key=key)

    def get(self, id: str | int) -> _Json:
        """A backfill, with the count of its parts by state."""
        return self._client.get(f"/backfills/{_name(id)}")

    def pause(self, id: str | int, reason: str = "") -> _Json:
        """Start nothing new of a backfill."""
        return self._client.post(f"/backfills/{_name(id)}/pause", {"reason": reason})

    def resume(self, id: str | int) -> _Json:
        """Let a paused backfill go on."""
        return self._client.post(f"/backfills/{_name(id)}/resume", {})

    def cancel(self, id: str | int, reason: str = "") -> _Json:
        """End a backfill, with the runs that it has open."""
        return self._client.post(f"/backfills/{_name(id)}/cancel", {"reason": reason})


class Schedules(_Noun):
    """Schedules: `client.schedules`."""

    def list(self) -> Listed[_Json]:
        """All schedules."""
        return list(self._client.pages("/schedules", dict))

    def pause(self, name: str, *, namespace: str = "default", reason: str = "") -> _Json:
        """Start no more runs of a schedule."""
        return self._client.post(f"/schedules/{_name(namespace)}/{_name(name)}/pause", {"reason": reason})

    def resume(self, name: str, *, namespace: str = "default") -> _Json:
        """Let a schedule go on, from its next tick."""
        return self._client.post(f"/schedules/{_name(namespace)}/{_name(name)}/resume", {})

    def trigger(self, name: str, *, namespace: str = "default") -> Run:
        """Start a run now as the schedule would."""
        return self._client.post(f"/schedules/{_name(namespace)}/{_name(name)}/trigger", {}, Run)


def _name(name: str | int) -> str:
    """A name as one segment of a path: names are data."""
    return quote(str(name), safe="")


def _kind(value: Any) -> str:
    return (
        "number"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else "text"
        if isinstance(value, str)
        else "json"
    )


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
