"""Kubernetes as a cluster: one pod for each attempt, through lightkube.

    [tool.partita.executors.k8s]
    kind = "kubernetes"
    exchange = "s3://bucket/partita"
    image = "registry.example/team/etl:1.4"       # with Partita and the project's packages
    namespace = "pipelines"

A step of `pt.container` has two: its own, and one for the user's image (kubernetes_containers.py).
A pod has the attempt's name, is never restarted, and is removed when its end is committed. A watch tells quickly what happens, but
nothing depends on it: all pods are listed every `resync`, and one that a list misses is asked for by name before it counts as gone.

Tested against a double of the API server, driven by kubectl as well; never run on a cluster.

Rule: what a status means is in kubernetes_states.py, what is handed over in kubernetes_pod.py. What was told as ended is never told
again, and a pod that ran never waits again, in whatever order old news come in.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters.cluster import Finished, Gone, Job, News, Runs, Waits
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.kubernetes_api import ROLE, Api, Refused, job_of, lost_field, open_api
from partita.executors.clusters.kubernetes_containers import Containers
from partita.executors.clusters.kubernetes_pod import (
    EXECUTOR_LABEL,
    GRACE_MARGIN_S,
    KubernetesSettings,
    label_value,
    pod_of,
    problem_of,
    selector_of,
    settings_problem,
)
from partita.executors.clusters.kubernetes_states import Patience, Situation, deleted, news_of, situation_of
from partita.executors.clusters.kubernetes_watch import LISTED, Watch
from partita.executors.clusters.tables import duration_of, read_settings, size_of
from partita.executors.verdicts import Death

# From the end of a pod's grace until it is taken for one whose node does not answer any more.
_FORCE_S: Final = 60.0
_AGAIN_S: Final = 15.0


@dataclass
class _Live:
    """A pod of ours whose end was not told yet."""

    memory: int | None = None
    since: float = field(default_factory=time.monotonic)
    told: News | None = None
    seen: Situation | None = None
    begun: bool = False
    stopped: bool = False


def make(name: str, table: Mapping[str, object]) -> KubernetesCluster:
    """The cluster of `[tool.partita.executors.<name>]`. Raises `DefinitionError`."""
    settings = read_settings(name, table, KubernetesSettings)
    if problem := settings_problem(settings) or (lost_field(settings.template) if settings.template else ""):
        raise DefinitionError(f"[tool.partita.executors.{name}]: {problem}")
    return KubernetesCluster(name, settings)


class KubernetesCluster:
    """One namespace of a Kubernetes cluster. One thread, but for `wake`."""

    def __init__(self, name: str, settings: KubernetesSettings) -> None:
        self.name = name
        self._settings = settings
        self._overhead = size_of(name, "memory_overhead", settings.memory_overhead)
        self._resync_s = duration_of(name, "resync", settings.resync)
        self._keep_s = duration_of(name, "keep_ended", settings.keep_ended)
        self._patience = Patience(
            duration_of(name, "unschedulable", settings.unschedulable),
            duration_of(name, "image_pull", settings.image_pull),
        )
        self._api: Api | None = None
        self._watch: Watch | None = None
        self._changes: queue.SimpleQueue[tuple[str, dict[str, Any]] | News | None] = queue.SimpleQueue()
        size_of(name, "helper_memory", settings.helper_memory)
        self._containers = Containers(name, settings, self._patience, self._open, self._changes.put)
        self._live: dict[str, _Live] = {}
        # Told as ended, still in the API until they are forgotten; and those to be removed, as soon as it answers.
        self._ended: set[str] = set()
        # Among them those of which a container still runs: they are told later.
        self._awaited: set[str] = set()
        self._removing: set[str] = set()
        # Over the namespace's quota: tried again.
        self._full: dict[str, tuple[Job, float]] = {}
        self._untold: list[News] = []
        self._listed_at = -math.inf
        self._tried_at = 0.0

    def connect(self) -> None:
        """Read the configuration, list the pods, begin to watch."""
        self._disconnect()
        self._api = self._open()
        self._api.list()
        self._watch = Watch(self._open, self._changes.put)
        self._listed_at = -math.inf

    def room(self) -> int:
        """As many as `max_jobs` leaves; none while the namespace's quota is used up."""
        return 0 if self._full else max(0, self._settings.max_jobs - len(self._live) - len(self._awaited))

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        """Options must be allowed ones, images and names on their lists, custom resources known ones."""
        return problem_of(self._settings, policies, options)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Create the pods. One that is there already is ours, from an earlier try."""
        for job in jobs:
            if job.name not in self._live and job.name not in self._ended and job.name not in self._full:
                Exchange.at(job.exchange).put_job(job)
                self._create(job, time.monotonic())

    def stop(self, name: str, grace_s: float) -> None:
        """Delete the pod: SIGTERM at once, SIGKILL when its grace is over."""
        if self._full.pop(name, None):
            self._untold.append(Gone(name, Death(note="cancelled before Kubernetes took it"), begun="no"))
            return
        self._containers.stop(name, grace_s)
        live = self._live.get(name)
        if live is None:
            return
        if not self._connected().delete(name, math.ceil(grace_s) + GRACE_MARGIN_S if grace_s > 0 else 1):
            self._end(name, deleted(name, live.seen, asked=True))
        live.stopped = True

    def poll(self, timeout_s: float) -> list[News]:
        """What the watch brought; a list of all pods when it is time for one."""
        until = time.monotonic() + timeout_s
        self._upkeep()
        while not self._untold:
            left = min(until, self._listed_at + self._resync_s) - time.monotonic()
            try:
                change = self._changes.get(timeout=max(0.001, left))
            except queue.Empty:
                if time.monotonic() >= until:
                    break
                self._upkeep()
                continue
            if change is None:
                break
            self._absorb(change)
            while not self._changes.empty():
                if change := self._changes.get_nowait():
                    self._absorb(change)
        news, self._untold = self._untold, []
        return news

    def wake(self) -> None:
        """Let a `poll` that waits return. Any thread."""
        self._changes.put(None)

    def find(self, names: Sequence[str]) -> list[News]:
        """Look for the pods of an earlier scheduler."""
        pods, _ = self._connected().list()
        found: list[News] = []
        for name in names:
            pod = pods.get(name) or self._connected().get(name)
            if pod is None:
                found.append(Gone(name, Death(note="Kubernetes knows no pod of this name (any more)")))
                continue
            situation = situation_of(pod)
            # How long it has waited is asked of its own beginning: schedulers come and go.
            age = max(0.0, time.time() - situation.created_at) if situation.created_at else 0.0
            live = self._live.setdefault(name, _Live(since=time.monotonic() - age))
            live.begun = bool(situation.node)
            self._judge(name, live, situation)
            told = next((news for news in reversed(self._untold) if news.name == name), live.told)
            self._untold = [news for news in self._untold if news.name != name]
            found.append(told or Runs(name, f"pod {name}"))
        return found

    def forget(self, names: Sequence[str]) -> None:
        """Remove the pods; what the API does not take now is tried again."""
        for name in names:
            self._live.pop(name, None)
            self._ended.discard(name)
            self._awaited.discard(name)
            self._removing.add(name)
            if container := self._containers.forget(name):
                self._removing.add(container)
        self._remove()

    def describe(self) -> list[str]:
        """Address and namespace, and the pods by phase."""
        count = f"{len(self._live)} pods" + (f", {len(self._full)} over the quota" if self._full else "")
        watch = "watching" if self._watch and self._watch.healthy else "watch is broken, listing instead"
        return [f"Kubernetes at {self._connected().address}", count, watch]

    def close(self) -> None:
        """End the watch; pods go on."""
        self._containers.close()
        self._disconnect()

    # --- the API -----------------------------------------------------------------------------------------------------

    def _disconnect(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._api is not None:
            self._api.close()
            self._api = None

    def _open(self) -> Api:
        return open_api(self._settings, selector_of(self.name))

    def _connected(self) -> Api:
        if self._api is None:
            self.connect()
        assert self._api is not None
        return self._api

    def _create(self, job: Job, since: float) -> None:
        try:
            manifest = pod_of(self._settings, self.name, job, self._overhead)
        except ValueError as error:
            self._untold.append(Waits(job.name, str(error), fatal=True))
            return
        try:
            self._connected().create(manifest)
        except Refused as refused:
            if refused.reason != "AlreadyExists":
                self._refused(job, refused, since)
                return
            if not self._is_ours(job.name):
                self._untold.append(Waits(job.name, f"there is a pod {job.name} that is not ours", fatal=True))
                return
        self._live[job.name] = _Live(job.policies.memory_bytes, since)

    def _refused(self, job: Job, refused: Refused, since: float) -> None:
        if refused.code == 403 and "exceeded quota" in str(refused):
            given_up = time.monotonic() - since >= self._patience.unschedulable_s
            self._untold.append(Waits(job.name, f"the namespace's quota is used up: {refused}", fatal=given_up))
            if not given_up:
                self._full[job.name] = (job, since)
            return
        advice = f" ({ROLE})" if refused.code == 403 else ""
        self._untold.append(Waits(job.name, f"Kubernetes refuses its pod: {refused}{advice}", fatal=True))

    def _is_ours(self, name: str) -> bool:
        pod = self._connected().get(name)
        # Gone again in the meantime: then the list says so.
        return pod is None or (
            job_of(pod) == name and pod["metadata"]["labels"].get(EXECUTOR_LABEL) == label_value(self.name)
        )

    # --- what happened -------------------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        now = time.monotonic()
        if now - self._listed_at >= self._resync_s and (self._live or self._watch):
            self._compare(self._connected().list()[0])
            self._listed_at = time.monotonic()
        if self._full and now - self._tried_at >= min(_AGAIN_S, self._resync_s):
            self._tried_at = now
            waiting, self._full = self._full, {}
            for job, since in waiting.values():
                self._create(job, since)
        self._remove()

    def _compare(self, pods: dict[str, dict[str, Any]]) -> None:
        for name, live in list(self._live.items()):
            # A list may be older than the pod: one that it misses is asked for itself.
            pod = pods.get(name) or self._connected().get(name)
            if pod is None:
                self._end(name, deleted(name, live.seen, asked=live.stopped))
            else:
                self._judge(name, live, situation_of(pod))
        self._sweep(pods)

    def _absorb(self, change: tuple[str, dict[str, Any]] | News) -> None:
        if not isinstance(change, tuple):
            self._absorb_container(change)
            return
        kind, pod = change
        if kind == LISTED:
            self._compare(pod)
            return
        name = job_of(pod)
        live = self._live.get(name)
        if live is None:
            self._containers.hint(pod)
            return
        situation = situation_of(pod)
        if kind == "DELETED" and situation.phase not in ("Succeeded", "Failed"):
            self._end(name, deleted(name, situation, asked=live.stopped))
        else:
            self._judge(name, live, situation)

    def _absorb_container(self, news: News) -> None:
        """What is told of the container of a job: a word about it, its loss, or that nothing of it runs any more."""
        name = news.name
        if not isinstance(news, Finished | Gone):
            if name in self._live:
                self._untold.append(news)
        elif name in self._awaited:
            self._awaited.discard(name)
            self._untold.append(news)
        elif self._live.pop(name, None):
            self._connected().delete(name, 1)
            self._ended.add(name)
            self._untold.append(news)

    def _judge(self, name: str, live: _Live, situation: Situation) -> None:
        if situation.container and situation.node:
            self._containers.begin(name, situation.container, situation.uid)
        if live.begun and situation.phase == "Pending" and not situation.node:
            return
        live.seen = situation
        if self._is_abandoned(situation):
            # Its node does not answer: nobody will ever say that it ended.
            self._connected().delete(name, 0)
            self._end(name, deleted(name, situation, asked=live.stopped))
            return
        failed = situation.phase == "Failed"
        lines = self._connected().last_lines(name) if failed and situation.node else ""
        waited = time.monotonic() - live.since
        news = news_of(name, situation, waited, self._patience, live.memory, lines)
        if isinstance(news, Finished | Gone):
            self._end(name, news)
        elif not (live.begun and isinstance(news, Waits) and isinstance(live.told, Runs)) and news != live.told:
            live.begun = live.begun or isinstance(news, Runs)
            live.told = news
            self._untold.append(news)

    def _is_abandoned(self, situation: Situation) -> bool:
        # Deletion has its instant ahead of it: the end of the grace.
        return situation.deleted_at is not None and time.time() > situation.deleted_at + _FORCE_S

    def _end(self, name: str, news: News) -> None:
        self._live.pop(name, None)
        self._ended.add(name)
        if self._containers.has(name):
            self._awaited.add(name)
            self._containers.end(name, news)
        else:
            self._untold.append(news)

    def _sweep(self, pods: dict[str, dict[str, Any]]) -> None:
        """Remove what no scheduler asks for: ended long ago, or never started in twice the time for it."""
        for name, pod in pods.items():
            if name in self._live or name in self._ended:
                continue
            situation = situation_of(pod)
            age = time.time() - situation.created_at if situation.created_at else 0.0
            ended = situation.phase in ("Succeeded", "Failed") and age > self._keep_s
            if ended or (situation.phase == "Pending" and age > 2 * self._patience.unschedulable_s):
                self._removing.add(name)

    def _remove(self) -> None:
        for name in list(self._removing):
            try:
                self._connected().delete(name, 0)
            except ExecutorError:
                # Tried again with the next look.
                return
            self._removing.discard(name)
