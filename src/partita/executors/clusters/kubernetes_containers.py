"""Containers of users' images on Kubernetes: the scheduler's side, in a thread of its own.

The pod of a container step asks in the exchange (container_parts.py). Here its container's pod is made, once; its log is read from
Kubernetes and left in the exchange, and at last how it ended. What ends from outside (an eviction, a lost node) is told to the cluster
as the end of the job. All of it can be taken up by another scheduler: what is known is in the exchange and in Kubernetes.

Rule: nothing is judged twice. A container that ended by itself is the step's matter, and one that was taken away is the cluster's.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from partita.define.container_beside import Asked, Ended
from partita.errors import ExecutorError, PartitaError
from partita.executors.clusters.cluster import Gone, Job, News, Runs, Waits
from partita.executors.clusters.container_parts import Parts, Piece
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.kubernetes_api import ROLE, Api, Refused
from partita.executors.clusters.kubernetes_container_pod import (
    AFTER,
    BEFORE,
    CONTAINER_OF_LABEL,
    USERS,
    container_pod_of,
    name_of_container,
)
from partita.executors.clusters.kubernetes_pod import KubernetesSettings
from partita.executors.clusters.kubernetes_states import Patience, Situation, deleted, news_of, situation_of
from partita.executors.verdicts import Death

# Between two looks at one container: on its way to the start, then while it says something, and while it does not.
_SOON_S, _NEWS_S, _QUIET_S = 0.2, 1.0, 5.0
_AGAIN_S: Final = 2.0
_CLOSING_S: Final = 5.0
_IDLE_S: Final = 60.0
# How long the last of the log of a container is asked for.
_REST_S: Final = 60.0
# Clocks of nodes differ: so many seconds of the log are read twice and told once.
_OVERLAP_S: Final = 5
# How long before the step's own end by force its container is ended so.
_BEFORE_S: Final = 2
_NEVER_BEGAN: Final = frozenset({"StartError", "ContainerCannotRun", "CreateContainerError", "RunContainerError"})
_ENDED: Final = ("Succeeded", "Failed")


@dataclass
class _One:
    """The container of one job."""

    name: str
    exchange: str
    # The uid of the job's own pod.
    owner: str
    parts: Parts
    job: Job | None = None
    asked: Asked | None = None
    # Whose it is to make, and since when that is tried in vain (monotonic).
    is_ours: bool = False
    refused_at: float | None = None
    is_made: bool = False
    has_ended: bool = False
    # Of its log: pieces that were left, and the instant of the last line among them in nanoseconds.
    pieces: int = -1
    until: int = 0
    read_at: float | None = None
    # Since when the log of one that has ended is asked for in vain.
    unread_at: float | None = None
    # It is to end, within so many seconds; and it was told so.
    grace_s: float | None = None
    is_told: bool = False
    # The end of the job's own pod, which is told when nothing of the container runs any more.
    then: News | None = None
    said: str = ""
    seen: Situation | None = None
    due_at: float = 0.0
    pause_s: float = field(default=_SOON_S)


class Containers:
    """Those of one cluster. `news` is where the cluster hears of ends (by the job's name)."""

    def __init__(
        self,
        executor: str,
        settings: KubernetesSettings,
        patience: Patience,
        open: Callable[[], Api],
        news: Callable[[News], None],
    ) -> None:
        self._executor = executor
        self._settings = settings
        self._patience = patience
        self._open = open
        self._news = news
        self._api: Api | None = None
        self._all: dict[str, _One] = {}
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._names: set[str] = set()
        self._thread: threading.Thread | None = None

    # --- in the cluster's thread --------------------------------------------------------------------------------------

    def begin(self, name: str, exchange: str, owner: str) -> None:
        """The pod of a container step runs: from now on it is listened to."""
        if name in self._names:
            return
        self._names.add(name)
        one = _One(name, exchange, owner, Parts(Exchange.at(exchange), name))
        self._post(lambda: self._all.setdefault(name, one))
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="partita-kubernetes-containers", daemon=True)
            self._thread.start()

    def has(self, name: str) -> bool:
        """Whether a job has one, or may ask for one."""
        return name in self._names

    def stop(self, name: str, grace_s: float) -> None:
        """End the container of a job: SIGTERM at once, SIGKILL shortly before the job's own end."""
        if name in self._names:
            self._change(name, lambda one: setattr(one, "grace_s", grace_s))

    def end(self, name: str, news: News) -> None:
        """The job's own pod has ended: this is told as soon as its container has."""
        self._change(name, lambda one: setattr(one, "then", one.then or news))

    def hint(self, pod: dict[str, Any]) -> None:
        """Something happened to a pod, which may be that of a container: it is looked at now."""
        labels = (pod.get("metadata") or {}).get("labels") or {}
        if (name := labels.get(CONTAINER_OF_LABEL)) in self._names:
            self._change(name, lambda one: None)

    def forget(self, name: str) -> str:
        """Nobody asks any more; the name of the pod to be removed, "" if there is none."""
        if name not in self._names:
            return ""
        self._names.discard(name)
        self._post(lambda: self._all.pop(name, None))
        return name_of_container(name)

    def close(self) -> None:
        """End the thread; containers go on."""
        if self._thread is not None:
            self._asked.put(None)
            # One that waits for the network ends by itself.
            self._thread.join(_CLOSING_S)
            self._thread = None
        self._all.clear()
        self._names.clear()

    def _change(self, name: str, change: Callable[[_One], None]) -> None:
        def carry_out() -> None:
            if one := self._all.get(name):
                change(one)
                one.due_at = 0.0

        self._post(carry_out)

    def _post(self, what: Callable[[], object]) -> None:
        self._asked.put(lambda: (what(), None)[1])

    # --- in its own ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._obey():
            for one in list(self._all.values()):
                if one.due_at <= time.monotonic():
                    self._attend(one)
        if self._api is not None:
            self._api.close()
            self._api = None

    def _obey(self) -> bool:
        """Do what was asked, when there is nothing else to do; False at the end."""
        now = time.monotonic()
        wait_s = max(0.0, min((one.due_at for one in self._all.values()), default=math.inf) - now)
        try:
            asked = self._asked.get(timeout=min(wait_s, _IDLE_S)) if wait_s else self._asked.get_nowait()
            while asked is not None:
                asked()
                asked = self._asked.get_nowait()
        except queue.Empty:
            return True
        return False

    def _attend(self, one: _One) -> None:
        try:
            has_news = self._look(one)
        except PartitaError:
            # Kubernetes or the exchange is away; the cluster's own thread says so.
            one.due_at = time.monotonic() + _AGAIN_S
            return
        except Exception as error:
            # What nobody can read, or a mistake of ours: it costs this container, and no other.
            has_news = self._give_up(one, error)
        if has_news:
            one.pause_s = _SOON_S if one.read_at is None else _NEWS_S
        else:
            one.pause_s = min(one.pause_s * 1.5, _QUIET_S if one.is_made else _NEWS_S)
        one.due_at = time.monotonic() + (math.inf if one.has_ended and one.then is None else one.pause_s)

    def _give_up(self, one: _One, error: Exception) -> bool:
        one.has_ended = True
        with contextlib.suppress(PartitaError):
            self._connected().delete(name_of_container(one.name), 1)
            self._ended(one, Ended(note=f"cannot be watched: {type(error).__name__}: {error}"))
        return True

    def _look(self, one: _One) -> bool:
        """Do what is to be done about a container now; whether anything was new."""
        if one.pieces < 0:
            self._take_up(one)
        if one.has_ended:
            return self._tell_end(one)
        if one.asked is None and (asked := one.parts.asked()) is not None:
            one.job, one.asked = Exchange.at(one.exchange).job(one.name), asked
        if one.asked is None or one.job is None:
            # Nothing was asked for, and nobody is there to ask.
            one.has_ended = one.then is not None
            return False
        if not one.is_made and not self._make(one, one.job, one.asked):
            return True
        pod = self._connected().get(name_of_container(one.name))
        if pod is None:
            self._is_gone(one)
            return True
        return self._follow(one, one.asked, pod)

    def _tell_end(self, one: _One) -> bool:
        if one.then is not None:
            self._news(one.then)
            one.then = None
        return False

    def _take_up(self, one: _One) -> None:
        """Find out how far an earlier scheduler came."""
        pieces = 0
        while (piece := one.parts.piece(pieces + 1)) is not None:
            pieces += 1
            one.until = int(piece.until or one.until)
            one.has_ended = piece.ended is not None
        one.is_made = one.parts.is_made()
        # Last: what failed half way is done again from the beginning.
        one.pieces = pieces

    # --- making it ----------------------------------------------------------------------------------------------------

    def _make(self, one: _One, job: Job, asked: Asked) -> bool:
        if one.grace_s is not None or one.then is not None:
            self._ended(one, Ended(note="was not started: its step was stopped before"))
            return False
        try:
            manifest = container_pod_of(self._settings, self._executor, job, asked, one.owner)
        except ValueError as error:
            self._ended(one, Ended(note=f"cannot be run on {self._executor}: {error}"))
            return False
        one.is_ours = one.is_ours or one.parts.may_make()
        if one.is_ours:
            try:
                self._connected().create(manifest)
            except Refused as refused:
                if refused.reason != "AlreadyExists":
                    self._refused(one, refused)
                    return False
            except ExecutorError:
                # Whether it was made is not known: what is there a little later is ours, and is never made again.
                one.is_made = True
                raise
        one.is_made = True
        return True

    def _refused(self, one: _One, refused: Refused) -> None:
        now = time.monotonic()
        one.refused_at = one.refused_at or now
        if "exceeded quota" in str(refused) and now - one.refused_at < self._patience.unschedulable_s:
            self._say(one, f"the namespace's quota is used up: {refused}")
            return
        advice = f" ({ROLE})" if refused.code == 403 else ""
        self._ended(one, Ended(note=f"could not be started: Kubernetes refuses its pod: {refused}{advice}"))

    # --- listening to it ----------------------------------------------------------------------------------------------

    def _follow(self, one: _One, asked: Asked, pod: dict[str, Any]) -> bool:
        self._obey_stop(one)
        one.seen = situation_of(pod)
        state = _state(pod, USERS)
        has_begun = "running" in state or "terminated" in state
        phase = (pod.get("status") or {}).get("phase")
        has_news = self._read_log(one) if has_begun and phase not in _ENDED else False
        if phase in _ENDED:
            if has_begun:
                self._read_rest(one)
            self._judge(one, asked, pod, state.get("terminated"))
            return True
        if has_begun or "running" in _state(pod, BEFORE):
            self._say(one, "")
            return has_news
        situation = one.seen
        waited = max(0.0, time.time() - situation.created_at) if situation.created_at else 0.0
        news = news_of(one.name, situation, waited, self._patience, asked.memory, "")
        if isinstance(news, Waits):
            self._say(one, news.why)
            if news.fatal:
                self._connected().delete(name_of_container(one.name), 1)
                self._ended(one, Ended(note=f"could not be started: {news.why}"))
        return has_news

    def _obey_stop(self, one: _One) -> None:
        if one.is_told:
            return
        if one.grace_s is None and (one.then is not None or one.parts.is_stopped()):
            one.grace_s = one.job.policies.grace_s if one.job is not None else 0.0
        if one.grace_s is not None:
            self._connected().delete(name_of_container(one.name), max(1, int(one.grace_s) - _BEFORE_S))
            one.is_told = True

    def _say(self, one: _One, why: str) -> None:
        if why != one.said:
            one.said = why
            self._news(Runs(one.name, f"pod {one.name}" + (f", whose container waits: {why}" if why else "")))

    def _read_log(self, one: _One) -> bool:
        now = time.monotonic()
        since = None if one.read_at is None else math.ceil(now - one.read_at) + _OVERLAP_S
        lines = self._connected().log(name_of_container(one.name), USERS, since)
        if lines is None:
            return False
        data, until = _behind(lines, one.until)
        if data:
            self._leave(one, Piece(data, str(until)))
        one.until, one.read_at = until, now
        return bool(data)

    def _read_rest(self, one: _One) -> None:
        """What it wrote until its end. A node that does not give it any more holds up nothing for long."""
        try:
            self._read_log(one)
        except ExecutorError as error:
            one.unread_at = one.unread_at or time.monotonic()
            if time.monotonic() - one.unread_at < _REST_S:
                raise
            line = f"partita: the rest of the log could not be read: {error.message}\n"
            self._leave(one, Piece(line.encode(), str(one.until)))

    # --- its end ------------------------------------------------------------------------------------------------------

    def _judge(self, one: _One, asked: Asked, pod: dict[str, Any], ended: dict[str, Any] | None) -> None:
        """The pod has ended."""
        situation = one.seen or situation_of(pod)
        pod_name = name_of_container(one.name)
        is_taken_away = situation.phase == "Failed" and bool(situation.reason or situation.disruption)
        if is_taken_away or (ended is None and one.grace_s is not None):
            lost = news_of(pod_name, situation, 0.0, self._patience, asked.memory, "")
            self._is_lost(one, lost.death if isinstance(lost, Gone) else Death(note=f"pod {pod_name} has ended"))
        elif ended is None:
            lines = self._connected().last_lines(pod_name, BEFORE)
            self._ended(one, Ended(note=f"could not be started: what runs before it has failed: {lines}"))
        elif ended.get("reason") in _NEVER_BEGAN:
            self._ended(one, Ended(note=f"could not be started: {ended.get('message') or ended['reason']}"))
        elif ended.get("reason") == "OOMKilled":
            self._ended(one, Ended(code=int(ended.get("exitCode") or 137), out_of_memory=True))
        elif ended.get("exitCode") or not asked.outputs:
            self._ended(one, Ended(code=int(ended.get("exitCode") or 0)))
        elif (left := one.parts.left()) is not None:
            self._ended(one, Ended(code=0, outputs=left))
        else:
            lines = self._connected().last_lines(pod_name, AFTER)
            self._ended(one, Ended(note=f"has ended, and its outputs could not be taken out: {lines}"))

    def _is_gone(self, one: _One) -> None:
        if one.is_told or one.grace_s is not None or one.then is not None:
            self._ended(one, Ended(note="was stopped"))
        else:
            self._is_lost(one, deleted(name_of_container(one.name), one.seen, asked=False).death)

    def _is_lost(self, one: _One, death: Death) -> None:
        """It was taken away: the job has ended by it, whatever its own pod does."""
        if one.grace_s is not None or one.then is not None:
            self._ended(one, Ended(note="was stopped"))
            return
        one.has_ended = True
        self._news(Gone(one.name, death))

    def _ended(self, one: _One, ended: Ended) -> None:
        self._leave(one, Piece(until=str(one.until), ended=ended))
        one.has_ended = True
        one.due_at = 0.0

    def _leave(self, one: _One, piece: Piece) -> None:
        one.parts.put_piece(one.pieces + 1, piece)
        one.pieces += 1

    def _connected(self) -> Api:
        if self._api is None:
            self._api = self._open()
        return self._api


def _state(pod: dict[str, Any], container: str) -> dict[str, Any]:
    status = pod.get("status") or {}
    for one in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if one.get("name") == container:
            # lightkube writes what is not so as None.
            return {key: value or {} for key, value in (one.get("state") or {}).items() if value is not None}
    return {}


def _behind(lines: Iterable[str], until: int) -> tuple[bytes, int]:
    """What was written after an instant, and the instant of the last of it.

    >>> _behind(["1970-01-01T00:00:01Z one", "1970-01-01T00:00:01.5Z two", "and more"], 1_000_000_000)
    (b'two\\nand more\\n', 1500000000)
    """
    found: list[str] = []
    is_new = True
    for line in lines:
        stamp, _, text = line.partition(" ")
        at = _nanoseconds(stamp)
        if at is None:
            # The rest of a line with something in it that a reader of lines takes for an end.
            text = line
        else:
            is_new = at > until
            until = max(until, at)
        if is_new:
            found.append(text)
    return "".join(f"{line}\n" for line in found).encode("utf-8", "replace"), until


def _nanoseconds(stamp: str) -> int | None:
    """An instant as a log has it, to the nanosecond.

    >>> _nanoseconds("1970-01-01T01:00:02.000000007+01:00"), _nanoseconds("hello")
    (2000000007, None)
    """
    if len(stamp) < 20 or stamp[10] != "T":
        return None
    rest = stamp[19:]
    digits = len(rest) - len(rest[1:].lstrip("0123456789")) - 1 if rest.startswith(".") else -1
    fraction, zone = (rest[1 : 1 + digits], rest[1 + digits :]) if digits >= 0 else ("", rest)
    try:
        seconds = int(dt.datetime.fromisoformat(stamp[:19] + zone).timestamp())
    except ValueError:
        return None
    return seconds * 10**9 + int(fraction.ljust(9, "0")[:9] or 0)
