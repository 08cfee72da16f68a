"""The nouns of `partita.Client`: `client.runs`, `client.assets` ...

Rule: a method is one request to the route that says the same; nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from partita.core.states import TERMINAL_RUN
from partita.errors import WorldError
from partita.server.objects import (
    Asset,
    Check,
    Explanation,
    Materialization,
    Page,
    Pipeline,
    Run,
    Step,
)

if TYPE_CHECKING:
    from partita.client import Client

_Json = dict[str, Any]
# Nouns have a method of this name.
Listed = list
_WAIT_S = 30.0
_LOOK_S = 0.1


class Noun:
    """Some of the routes."""

    def __init__(self, client: Client) -> None:
        self._client = client


class Deployments(Noun):
    """Bundles of projects that were brought to the server: `client.deployments`."""

    def list(self) -> Listed[_Json]:
        """What is deployed, by project."""
        return [*self._client.pages("/deployments", dict)]

    def of(self, project: str, *, limit: int = 50) -> Listed[_Json]:
        """The deployments of a project, newest first."""
        return [*islice(self._client.pages(f"/deployments/{quote(project, safe='')}", dict), limit)]

    def get(self, project: str, no: int) -> _Json:
        """One deployment."""
        return self._client.get(f"/deployments/{quote(project, safe='')}/{no}")

    def files(self, project: str, no: int) -> Listed[_Json]:
        """The files of a deployment: path, size, SHA-256."""
        return self._client.get(f"/deployments/{quote(project, safe='')}/{no}/files", Listed[_Json])

    def bring(
        self,
        project: str,
        digest: str,
        bundle: bytes,
        *,
        namespace: str = "default",
        over: str | None = None,
        reason: str = "",
        anyway: bool = False,
    ) -> _Json:
        """Bring a bundle; it is tried, and served if it is well. `wait` hears how it ends."""
        query = {"digest": digest, "namespace": namespace, "over": over, "reason": reason, "anyway": anyway}
        return self._client.upload(f"/deployments/{quote(project, safe='')}", bundle, query)

    def rollback(self, project: str, no: int | None = None, *, reason: str = "") -> _Json:
        """Serve an earlier deployment again (default: the one before)."""
        body: _Json = {"reason": reason} if no is None else {"no": no, "reason": reason}
        return self._client.post(f"/deployments/{quote(project, safe='')}/rollback", body)

    def wait(self, project: str, no: int, *, timeout_s: float = 120.0) -> _Json:
        """A deployment when it is served or refused. Raises `WorldError` if that takes longer."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.get(project, no)
            if found["state"] == "refused" or found["served"]:
                return found
            if time.monotonic() > deadline:
                raise WorldError(f"deployment {no} of {project} is still {found['state']}", hint="partita deployments")
            time.sleep(_LOOK_S)


class Runs(Noun):
    """Runs: `client.runs`."""

    def list(
        self,
        *,
        pipeline: str | None = None,
        state: str | None = None,
        partition: str | None = None,
        project: str | None = None,
        namespace: str | None = None,
        by: str | None = None,
        tag: str | None = None,
        origin: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 50,
    ) -> Listed[Run]:
        """The newest runs, at most `limit`; `origin` is how that begins ("sched:nightly:"), times are ISO 8601."""
        query = {"pipeline": pipeline, "state": state, "partition": partition, "project": project, "by": by, "tag": tag}
        query |= {"namespace": namespace, "origin": origin, "since": since, "until": until}
        found = self._client.pages("/runs", Run, **query, limit=min(limit, 500))
        return list(islice(found, limit))

    def queue(self, *, pipeline: str | None = None) -> Listed[_Json]:
        """Runs that wait for their start, with what each waits for and its place in line."""
        return list(self._client.pages("/queue", dict, pipeline=pipeline, limit=500))

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
        target: _Json = {"pipeline": pipeline} if pipeline else {"assets": assets}
        body: _Json = {"params": {**(params or {}), **more}, "partition": partition, "select": select}
        body |= {"priority": priority, "tags": tags, **target}
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

    def mark(self, run: str | int, step: str, state: str, reason: str = "", *, index: str = "") -> _Json:
        """End a step by hand that does not run, as "succeeded", "failed" or "skipped"; why it is so afterwards."""
        body = {"state": state, "reason": reason, "index": index}
        return self._client.post(f"/runs/{_name(run)}/steps/{_name(step)}/mark", body)

    def events(self, run: str | int) -> Listed[_Json]:
        """The history of a run, oldest first: what was committed together, with its events."""
        return list(self._client.pages(f"/runs/{_name(run)}/events", dict, limit=500))

    def instances(self, run: str | int) -> _Json:
        """All steps of a run with their instances, as columns: small enough for many thousands."""
        return self._client.get(f"/runs/{_name(run)}/instances")

    def timeline(self, run: str | int) -> _Json:
        """When each step waited, for what, and when it worked; the longest way through is marked."""
        return self._client.get(f"/runs/{_name(run)}/timeline")

    def steps(self, run: str | int) -> Listed[Step]:
        """Steps that have done something, with their attempts."""
        return list(self._client.pages(f"/runs/{_name(run)}/steps", Step, limit=500))

    def values(self, run: str | int, step: str, index: str = "") -> _Json:
        """What a step was given and what it gave, as far as it can be shown."""
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}/values", index=index)

    def code(self, run: str | int, step: str) -> _Json:
        """The code of a step as it was in this run."""
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}/code")

    def usage(self, run: str | int, step: str, attempt: int = 1, index: str = "") -> _Json:
        """Memory and CPU of an attempt over time, in columns."""
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}/attempts/{attempt}/usage", index=index)

    def step(self, run: str | int, step: str, index: str = "") -> Step:
        """A step of a run, or an instance of a mapped one."""
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}", Step, index=index or None)

    def graph(self, run: str | int) -> _Json:
        """The graph of a run, with how many instances of each step are in which state."""
        return self._client.get(f"/runs/{_name(run)}/graph")

    def materializations(self, run: str | int) -> Listed[Materialization]:
        """What a run has made, oldest first."""
        return list(self._client.pages(f"/runs/{_name(run)}/materializations", Materialization, limit=500))

    def checks(self, run: str | int) -> Listed[Check]:
        """How the checks of a run went, newest first."""
        return self._client.get(f"/runs/{_name(run)}/checks", Page[Check]).items

    def bulk(self, action: str, runs: Sequence[str | int], reason: str = "") -> Listed[_Json]:
        """ "cancel", "pause", "resume" or "retry" many runs; what became of each."""
        body = {"action": action, "runs": [str(run) for run in runs], "reason": reason}
        items: Listed[_Json] = self._client.post("/runs/bulk", body)["items"]
        return items

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


class Pipelines(Noun):
    """Pipelines: `client.pipelines`."""

    def list(self, *, project: str | None = None, tag: str | None = None) -> Listed[Pipeline]:
        """All pipelines, by name."""
        return list(self._client.pages("/pipelines", Pipeline, project=project, tag=tag))

    def get(self, name: str) -> Pipeline:
        """A pipeline by name, or project/name."""
        return self._client.get(f"/pipelines/{_name(name)}", Pipeline)

    def graph(self, name: str) -> _Json:
        """The steps of a pipeline, and what each needs."""
        return self._client.get(f"/pipelines/{_name(name)}/graph")

    def grid(self, name: str) -> _Json:
        """Its last runs by its steps, in columns: how each step of each ended."""
        return self._client.get(f"/pipelines/{_name(name)}/grid")

    def durations(self, name: str) -> _Json:
        """How long its last runs took, in columns, with what was usual before each."""
        return self._client.get(f"/pipelines/{_name(name)}/durations")

    def calendar(self, name: str) -> _Json:
        """How many of its runs ended how, by day."""
        return self._client.get(f"/pipelines/{_name(name)}/calendar")

    def usual(self, name: str) -> Listed[_Json]:
        """How long its steps usually take."""
        items: Listed[_Json] = self._client.get(f"/pipelines/{_name(name)}/usual")["items"]
        return items

    def sizes(self, name: str) -> Listed[_Json]:
        """What its steps ask for of memory and cores, beside what their last attempts used."""
        items: Listed[_Json] = self._client.get(f"/pipelines/{_name(name)}/sizes")["items"]
        return items


class Assets(Noun):
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

    def partitions(self, name: str) -> Listed[_Json]:
        """Partitions that were made, with their newest materialization."""
        return list(self._client.pages(f"/assets/{_name(name)}/partitions", dict, limit=500))

    def checks(self, name: str, *, limit: int = 100) -> Listed[Check]:
        """How checks of an asset went, newest first."""
        return self._client.get(f"/assets/{_name(name)}/checks", Page[Check], limit=limit).items

    def health(self, name: str | None = None) -> Any:
        """How an asset is over all its partitions: a dict; without a name, a list of all."""
        if name is not None:
            return self._client.get(f"/assets/{_name(name)}/health")
        return list(self._client.pages("/asset-health", dict))

    def freshness(self) -> Listed[_Json]:
        """How fresh the assets are that say how fresh they are to be."""
        return list(self._client.pages("/freshness", dict))

    def add_partitions(self, name: str, keys: Sequence[str], *, namespace: str = "default") -> int:
        """Say that there are new keys of a dynamic partition definition; how many were new."""
        count: int = self._client.post(f"/partitions/{_name(namespace)}/{_name(name)}/add", {"keys": keys})["count"]
        return count

    def remove_partitions(self, name: str, keys: Sequence[str], *, namespace: str = "default") -> int:
        """Take keys away from a dynamic partition definition; how many were there."""
        count: int = self._client.post(f"/partitions/{_name(namespace)}/{_name(name)}/remove", {"keys": keys})["count"]
        return count

    def why(self, name: str, partition: str = "") -> _Json:
        """Why an asset (partition) is as it is: made, fresh, stale, and what its automation says."""
        return self._client.get(f"/assets/{_name(name)}/why", partition=partition or None)

    def catalog(self, words: str = "", **filters: Any) -> Listed[_Json]:
        """Assets with health, checks and last materialization; filters as in `GET /catalog` (state, group, owner ...)."""
        return list(self._client.pages("/catalog", dict, q=words, limit=500, **filters))

    def lineage(self, name: str | None = None, *, up: int = 2, down: int = 2) -> _Json:
        """What is made of what: `nodes`, and `edges` by their places; around one asset, or all."""
        return self._client.get("/lineage", asset=name, up=up, down=down)

    def columns(self, name: str) -> Listed[_Json]:
        """Its columns, with what they are made from and what is made from them."""
        columns: Listed[_Json] = self._client.get(f"/assets/{_name(name)}/columns")["columns"]
        return columns

    def code(self, name: str) -> _Json:
        """The file in which it is defined now, and its lines there."""
        return self._client.get(f"/assets/{_name(name)}/code")

    def uses(self, name: str) -> _Json:
        """Who uses it: assets made from it, tests, pipelines, sensors."""
        return self._client.get(f"/assets/{_name(name)}/uses")

    def partition_states(self, name: str) -> _Json:
        """How each partition is, one letter for each."""
        return self._client.get(f"/assets/{_name(name)}/partition-states")

    def series(self, name: str, *, partition: str | None = None, limit: int = 200) -> _Json:
        """The numbers in its metadata over its newest materializations, as columns."""
        return self._client.get(f"/assets/{_name(name)}/series", partition=partition, limit=limit)

    def staleness(self, name: str, partition: str = "") -> _Json:
        """Why it (or a partition of it) is as it is, followed to the first causes: a tree."""
        return self._client.get(f"/assets/{_name(name)}/staleness", partition=partition or None)

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


class Backfills(Noun):
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

    def list(self, *, state: str | None = None, limit: int = 50) -> Listed[_Json]:
        """The newest backfills, at most `limit`."""
        return list(islice(self._client.pages("/backfills", dict, state=state, limit=min(limit, 500)), limit))

    def progress(self, id: str | int) -> _Json:
        """How far it is: a letter for each of its parts, and how long it will still take."""
        return self._client.get(f"/backfills/{_name(id)}/progress")

    def parts(self, id: str | int, *, state: str | None = None) -> Listed[_Json]:
        """Its parts that have begun or ended."""
        return list(self._client.pages(f"/backfills/{_name(id)}/parts", dict, state=state, limit=500))

    def why(self, id: str | int, stage: int | None = None, part: int | None = None) -> _Json:
        """Why it is as far as it is, or why a part of it is as it is."""
        of_part = f"/parts/{stage}/{part}" if stage is not None and part is not None else ""
        return self._client.get(f"/backfills/{_name(id)}{of_part}/why")

    def retry(self, id: str | int) -> _Json:
        """Run again what failed, was skipped or was cancelled of it."""
        return self._client.post(f"/backfills/{_name(id)}/retry", {})

    def pause(self, id: str | int, reason: str = "") -> _Json:
        """Start nothing new of a backfill."""
        return self._client.post(f"/backfills/{_name(id)}/pause", {"reason": reason})

    def resume(self, id: str | int) -> _Json:
        """Let a paused backfill go on."""
        return self._client.post(f"/backfills/{_name(id)}/resume", {})

    def cancel(self, id: str | int, reason: str = "") -> _Json:
        """End a backfill, with the runs that it has open."""
        return self._client.post(f"/backfills/{_name(id)}/cancel", {"reason": reason})


class Schedules(Noun):
    """Schedules: `client.schedules`."""

    def list(self) -> Listed[_Json]:
        """All schedules."""
        return list(self._client.pages("/schedules", dict))

    def get(self, name: str, *, namespace: str = "default") -> _Json:
        """A schedule."""
        return self._client.get(_of("schedules", namespace, name))

    def ticks(self, name: str, *, namespace: str = "default", limit: int = 50) -> Listed[_Json]:
        """Its newest ticks with their decisions."""
        found = self._client.pages(f"{_of('schedules', namespace, name)}/ticks", dict, limit=min(limit, 500))
        return list(islice(found, limit))

    def next(self, name: str, *, namespace: str = "default", count: int = 20) -> Listed[str]:
        """Its next instants."""
        items: Listed[str] = self._client.get(f"{_of('schedules', namespace, name)}/next", count=count)["items"]
        return items

    def test(self, name: str, at: str | None = None, *, namespace: str = "default") -> _Json:
        """What its tick at an instant (its next one) would do; nothing is started."""
        return self._client.get(f"{_of('schedules', namespace, name)}/test", at=at)

    def why(self, name: str, *, namespace: str = "default") -> _Json:
        """Why it did what it did: its last decision, why its last tick was skipped, what comes next."""
        return self._client.get(f"{_of('schedules', namespace, name)}/why")

    def pause(self, name: str, *, namespace: str = "default", reason: str = "") -> _Json:
        """Start no more runs of a schedule."""
        return self._client.post(f"/schedules/{_name(namespace)}/{_name(name)}/pause", {"reason": reason})

    def resume(self, name: str, *, namespace: str = "default") -> _Json:
        """Let a schedule go on, from its next tick."""
        return self._client.post(f"/schedules/{_name(namespace)}/{_name(name)}/resume", {})

    def trigger(self, name: str, *, namespace: str = "default") -> Run:
        """Start a run now as the schedule would."""
        return self._client.post(f"/schedules/{_name(namespace)}/{_name(name)}/trigger", {}, Run)


class Sensors(Noun):
    """Sensors: `client.sensors`."""

    def list(self) -> Listed[_Json]:
        """All sensors."""
        return list(self._client.pages("/sensors", dict))

    def get(self, name: str, *, namespace: str = "default") -> _Json:
        """A sensor."""
        return self._client.get(_of("sensors", namespace, name))

    def evaluations(self, name: str, *, namespace: str = "default", limit: int = 50) -> Listed[_Json]:
        """Its newest looks that asked for something, failed, or said why not."""
        found = self._client.pages(f"{_of('sensors', namespace, name)}/evaluations", dict, limit=min(limit, 500))
        return list(islice(found, limit))

    def why(self, name: str, *, namespace: str = "default") -> _Json:
        """Why it asks for nothing, or for what it asked."""
        return self._client.get(f"{_of('sensors', namespace, name)}/why")

    def test(self, name: str, *, namespace: str = "default", cursor: Any = None, event: Any = None) -> _Json:
        """Let it look without consequences."""
        return self._client.post(f"{_of('sensors', namespace, name)}/test", {"cursor": cursor, "event": event})

    def look(self, name: str, *, namespace: str = "default") -> _Json:
        """Let it look at once."""
        return self._client.post(f"{_of('sensors', namespace, name)}/look", {})

    def pause(self, name: str, *, namespace: str = "default", reason: str = "") -> _Json:
        """Let it look no more."""
        return self._client.post(f"{_of('sensors', namespace, name)}/pause", {"reason": reason})

    def resume(self, name: str, *, namespace: str = "default") -> _Json:
        """Let it look again."""
        return self._client.post(f"{_of('sensors', namespace, name)}/resume", {})

    def reset(self, name: str, *, namespace: str = "default", cursor: Any = None) -> _Json:
        """Set what it remembers."""
        return self._client.post(f"{_of('sensors', namespace, name)}/reset", {"cursor": cursor})


class Approvals(Noun):
    """Steps that wait for people or for other systems: `client.approvals`."""

    def list(self) -> Listed[_Json]:
        """What waits for people, longest first, with the question, who may answer, and what there is to decide on."""
        return list(self._client.pages("/approvals", dict))

    def get(self, run: str | int, step: str, index: str = "") -> _Json:
        """An approval, whether it waits or was answered."""
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}/approval", index=index or None)

    def gates(self, of: str = "approval") -> Listed[_Json]:
        """Every step that waits without a slot: "approval", "external" or "condition"."""
        return list(self._client.pages("/gates", dict, of=of))

    def gate(self, run: str | int, step: str, index: str = "") -> _Json:
        """What a step waits for."""
        return self._client.get(f"/runs/{_name(run)}/steps/{_name(step)}/gate", index=index or None)

    def answer(
        self,
        run: str | int,
        step: str,
        choice: str = "approve",
        *,
        comment: str = "",
        answer: Any = None,
        index: str = "",
    ) -> _Json:
        """Answer it: "approve", "reject", or one of its choices."""
        body = {"choice": choice, "comment": comment, "answer": answer, "index": index}
        return self._client.post(f"/runs/{_name(run)}/steps/{_name(step)}/answer", body)


class Limits(Noun):
    """Pools and other limits: `client.limits`."""

    def list(self, of: str | None = None) -> Listed[_Json]:
        """Every limit, with what is in use and how many wait."""
        items: Listed[_Json] = self._client.get("/limits", of=of)["items"]
        return items

    def set(
        self, name: str, slots: int | None, *, of: str = "pool", namespace: str = "default", reason: str = ""
    ) -> _Json:
        """Set a limit while running; None = back to what is declared."""
        path = f"/limits/{_name(namespace)}/{_name(of)}/{_name(name)}"
        found: _Json = self._client.put(path, {"slots": slots, "reason": reason})["items"][0]
        return found

    def capacity(self) -> Listed[_Json]:
        """What the scheduler's machine has for steps (cores, memory, GPUs ...), and how much of it is taken."""
        items: Listed[_Json] = self._client.get("/capacity")["items"]
        return items


class Notifications(Noun):
    """Messages and alarms: `client.notifications`."""

    def list(self, *, limit: int = 50) -> Listed[_Json]:
        """The newest messages of the outbox."""
        return list(islice(self._client.pages("/notifications", dict, limit=min(limit, 500)), limit))

    def rules(self) -> _Json:
        """By which rules is told, and to which channels."""
        return self._client.get("/notification-rules")

    def alerts(self) -> Listed[_Json]:
        """What is alarming now."""
        return list(self._client.pages("/alerts", dict))

    def retry(self, key: str) -> _Json:
        """Send a message (again) now."""
        return self._client.post(f"/notifications/{_name(key)}/retry")

    def test(self, project: str, channel: str) -> _Json:
        """Send a test message to a channel."""
        return self._client.post(f"/projects/{_name(project)}/channels/{_name(channel)}/test")


class Secrets(Noun):
    """Secrets, by name only: `client.secrets`."""

    def list(self) -> Listed[_Json]:
        """Names of secrets; there is no way to read one."""
        return list(self._client.pages("/secrets", dict))

    def set(self, name: str, value: str, *, namespace: str = "default") -> None:
        """Keep a secret, sealed."""
        self._client.put(_of("secrets", namespace, name), {"value": value})

    def remove(self, name: str, *, namespace: str = "default") -> None:
        """Remove a secret."""
        self._client.delete(_of("secrets", namespace, name))


class Projects(Noun):
    """Projects and the versions of their code: `client.projects`."""

    def list(self) -> Listed[_Json]:
        """All projects, with what is wrong with them."""
        items: Listed[_Json] = self._client.get("/projects")["items"]
        return items

    def versions(self, project: str) -> Listed[_Json]:
        """Versions of its code, newest first."""
        return list(self._client.pages(f"/projects/{_name(project)}/versions", dict))

    def diff(self, project: str, code: str, against: str = "") -> _Json:
        """What differs in a version against another one (the one before): files, pipelines and their steps."""
        return self._client.get(f"/projects/{_name(project)}/versions/{_name(code)}/diff", against=against)

    def reload(self, project: str) -> None:
        """Load it again, changed or not."""
        self._client.post(f"/projects/{_name(project)}/reload")


class Resources(Noun):
    """Connections that projects declare: `client.resources`."""

    def list(self) -> Listed[_Json]:
        """All resources."""
        items: Listed[_Json] = self._client.get("/resources")["items"]
        return items

    def test(self, resource: str) -> _Json:
        """Try whether one works, in a worker."""
        return self._client.post(f"/resources/{_name(resource)}/test")


class Access(Noun):
    """Who may: `client.access`."""

    def me(self) -> _Json:
        """Who you are, and what you may do."""
        return self._client.get("/session")

    def users(self) -> Listed[_Json]:
        """All users."""
        return list(self._client.pages("/users", dict))

    def set_user(self, name: str, **change: Any) -> _Json:
        """Make or change a user: `password`, `roles`, `active`, `email`."""
        return self._client.put(f"/users/{_name(name)}", change)

    def tokens(self) -> Listed[_Json]:
        """Tokens, without what they show."""
        return list(self._client.pages("/tokens", dict))

    def make_token(self, name: str, scopes: Sequence[str], *, days: int = 90) -> _Json:
        """Make a token; its `text` is said once."""
        # Its answer is never kept, so it takes no key: sent again it would be another token.
        return self._client.post("/tokens", {"name": name, "scopes": scopes, "days": days}, key="")

    def revoke_token(self, token: str) -> None:
        """Let a token hold no more."""
        self._client.delete(f"/tokens/{_name(token)}")

    def audit(self, *, principal: str | None = None, limit: int = 50) -> Listed[_Json]:
        """Who changed what, and who was denied, newest first."""
        return list(islice(self._client.pages("/audit", dict, principal=principal, limit=min(limit, 500)), limit))

    def audit_chain(self) -> _Json:
        """Whether the audit is as it was written: its `findings` (none = it is), and its `head`."""
        return self._client.get("/audit-chain")


class System(Noun):
    """The service itself: `client.system`."""

    def about(self) -> _Json:
        """Versions of the program, Python and the tz data; who leads; how busy the engine is."""
        return self._client.get("/about")

    def now(self) -> _Json:
        """Who leads, what schedulers have for steps, workers, executors, and the version of each project that is served."""
        return self._client.get("/system")

    def today(self, *, since: str | None = None, owner: str | None = None) -> _Json:
        """The morning report: causes with what each holds up, what is late, stale, waiting, running and next."""
        return self._client.get("/today", since=since, owner=owner)

    def workers(self) -> Listed[_Json]:
        """What workers have in hand, over all runs."""
        return list(self._client.pages("/workers", dict))

    def health(self) -> _Json:
        """How it is."""
        return self._client.get("/health")

    def doctor(self) -> Listed[_Json]:
        """Whether all is well: lines with a `level`."""
        items: Listed[_Json] = self._client.get("/doctor")["items"]
        return items

    def storage(self) -> _Json:
        """What takes how much space, and what is removed when."""
        return self._client.get("/storage")

    def backup(self, name: str | None = None) -> _Json:
        """Copy the store to a file beside it."""
        return self._client.post("/storage/backup", {"name": name})

    def vacuum(self) -> int:
        """Give free space back; the bytes."""
        given: int = self._client.post("/storage/vacuum")["bytes"]
        return given

    def tidy(self) -> dict[str, int]:
        """Look at once for what retention may remove; the counts."""
        counts: dict[str, int] = self._client.post("/storage/tidy")["counts"]
        return counts

    def simulate(self, days: int = 30, *, pipeline: str | None = None, begin: str | None = None) -> _Json:
        """What the schedules will do in the days to come."""
        return self._client.get("/simulate", days=days, pipeline=pipeline, begin=begin)

    def search(self, text: str) -> Listed[_Json]:
        """Pipelines, assets and runs by names, descriptions, columns, owners and tags."""
        items: Listed[_Json] = self._client.get("/search", q=text)["items"]
        return items


def _of(noun: str, namespace: str, name: str) -> str:
    return f"/{noun}/{_name(namespace)}/{_name(name)}"


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
