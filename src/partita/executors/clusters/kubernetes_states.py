"""What a pod's status says about its attempt, and what each way of ending means.

Rule: pure; times come from outside. Every way in which a pod does not start has a bound in `Patience` and a reason for people.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec

from partita.executors.clusters.cluster import Finished, Gone, News, Runs, Waits
from partita.executors.clusters.kubernetes_pod import CONTAINER_ANNOTATION
from partita.executors.verdicts import Death


class Patience(msgspec.Struct, frozen=True):
    """How long a pod may not start, in seconds: without a node, and on its node without image, secrets or volumes."""

    unschedulable_s: float
    image_s: float


class Situation(msgspec.Struct, frozen=True):
    """What of a pod's status matters. Of its one container: why it waits, or how it ended."""

    phase: str
    reason: str = ""
    message: str = ""
    node: str = ""
    unscheduled: str = ""
    waits: str = ""
    waits_message: str = ""
    ended: str = ""
    ended_message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    # Somebody takes it away: how, if Kubernetes says (eviction, preemption, a lost node).
    disruption: str = ""
    # Its limit in bytes, as we wrote it.
    memory: int | None = None
    deleted_at: float | None = None
    created_at: float | None = None
    # Of the pod of a container step: the address of its exchange, and its own uid.
    container: str = ""
    uid: str = ""


def situation_of(pod: dict[str, Any]) -> Situation:
    """Read a pod as the API gives it."""
    status, metadata = pod.get("status") or {}, pod.get("metadata") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or []}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    state = ((status.get("containerStatuses") or [{}])[0]).get("state") or {}
    waiting, ended = _waiting(status, state), state.get("terminated") or {}
    exit_code = ended.get("exitCode")
    return Situation(
        phase=status.get("phase") or "Pending",
        reason=status.get("reason") or "",
        message=status.get("message") or "",
        node=(pod.get("spec") or {}).get("nodeName") or "",
        unscheduled=_text(scheduled) if scheduled.get("status") == "False" else "",
        waits=waiting.get("reason") or "",
        waits_message=waiting.get("message") or "",
        ended=ended.get("reason") or ("Ended" if ended else ""),
        ended_message=ended.get("message") or "",
        exit_code=exit_code,
        # A shell's way to say it: 128 and the signal.
        signal=ended.get("signal") or (exit_code - 128 if exit_code in _SIGNALLED else None),
        disruption=_text(disrupted) if disrupted.get("status") == "True" else "",
        memory=_limit(pod.get("spec") or {}),
        deleted_at=time_of(metadata.get("deletionTimestamp")),
        created_at=time_of(metadata.get("creationTimestamp")),
        container=(metadata.get("annotations") or {}).get(CONTAINER_ANNOTATION) or "",
        uid=metadata.get("uid") or "",
    )


def news_of(name: str, pod: Situation, waited_s: float, patience: Patience, memory: int | None, lines: str) -> News:
    """What it says about the attempt of this name; `waited_s` is how long it has not started."""
    if pod.phase == "Succeeded":
        return Finished(name)
    if pod.phase == "Failed":
        return _failed(name, pod, memory, lines or pod.ended_message)
    if pod.phase == "Running" and not pod.waits:
        return Runs(name, f"pod {name} on {pod.node or 'its node'}")
    return _waits(name, pod, waited_s, patience)


def deleted(name: str, pod: Situation | None, *, asked: bool) -> Gone:
    """The pod is no more, and did not end before."""
    if asked:
        note = "its pod was deleted when it was stopped"
    elif pod is not None and pod.disruption:
        note = f"taken away by Kubernetes: {pod.disruption}"
    else:
        note = "its pod was deleted by somebody else"
    on = f" (on {pod.node})" if pod is not None and pod.node else ""
    never = pod is not None and pod.phase == "Pending" and not pod.node
    return Gone(name, Death(note=note + on), begun="no" if never else "perhaps")


def time_of(text: object) -> float | None:
    """An instant as the API writes it, in seconds.

    >>> time_of("1970-01-01T00:01:00Z"), time_of(None)
    (60.0, None)
    """
    if isinstance(text, dt.datetime):
        return text.timestamp()
    return dt.datetime.fromisoformat(text).timestamp() if isinstance(text, str) and text else None


def _failed(name: str, pod: Situation, memory: int | None, lines: str) -> Gone:
    on = f" on {pod.node}" if pod.node else ""
    if pod.ended == "OOMKilled":
        memory = memory or pod.memory
        return Gone(name, Death(over_memory=memory or 1, memory_limit=memory, signal=9, last_lines=lines))
    if pod.reason in _NEVER_RAN or (pod.reason and not pod.node):
        return Gone(name, Death(note=f"the node refused it: {pod.reason}: {pod.message}"), begun="no")
    if words := _REASONS.get(pod.reason):
        return Gone(name, Death(note=f"{words}{on}: {pod.message or pod.disruption or pod.reason}", last_lines=lines))
    if pod.disruption:
        return Gone(name, Death(note=f"taken away by Kubernetes{on}: {pod.disruption}", last_lines=lines))
    if pod.ended in _NEVER_BEGAN:
        note = f"its container could not be started{on}: {pod.ended_message or pod.ended}; is `python` of the executor right?"
        return Gone(name, Death(note=note), begun="no")
    if pod.signal is not None:
        return Gone(name, Death(signal=pod.signal, last_lines=lines, note=f"pod {name}{on}"))
    # Not `exit_code` of the death: user code runs in a process below the pod's own.
    note = f"its pod{on} ended with exit code {pod.exit_code} before there was an outcome"
    if pod.exit_code is None:
        note = f"its pod{on} failed: {pod.reason or 'no reason given'} {pod.message}".rstrip()
    return Gone(name, Death(note=note, last_lines=lines))


def _waits(name: str, pod: Situation, waited_s: float, patience: Patience) -> Waits:
    if pod.waits and pod.waits not in _ORDINARY:
        why = f"{_WAITS.get(pod.waits, pod.waits)}: {pod.waits_message or pod.waits}"
        return Waits(name, why, fatal=pod.waits in _HOPELESS or waited_s >= patience.image_s)
    if pod.unscheduled:
        return Waits(name, f"no node has room for it: {pod.unscheduled}", fatal=waited_s >= patience.unschedulable_s)
    if pod.disruption:
        return Waits(name, f"taken away by Kubernetes: {pod.disruption}")
    if pod.node:
        # The kubelet makes volumes before it says anything about the container.
        return Waits(name, f"starts on {pod.node}", fatal=waited_s >= patience.unschedulable_s)
    return Waits(name, "waits for the scheduler of Kubernetes", fatal=waited_s >= patience.unschedulable_s)


def _waiting(status: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """What the container waits for; while init containers are on their way it says PodInitializing, and one of them says more."""
    own: dict[str, Any] = state.get("waiting") or {}
    if state and own.get("reason") not in _ORDINARY:
        return own
    for one in status.get("initContainerStatuses") or []:
        waiting = (one.get("state") or {}).get("waiting")
        if waiting and waiting.get("reason") not in _ORDINARY:
            return waiting  # type: ignore[no-any-return]
    return own


def _limit(spec: dict[str, Any]) -> int | None:
    limits = ((spec.get("containers") or [{}])[0].get("resources") or {}).get("limits") or {}
    text = str(limits.get("memory") or "")
    return int(text) if text.isdigit() else None


def _text(condition: dict[str, Any]) -> str:
    return ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))


_SIGNALLED: Final = frozenset({128 + number for number in (4, 6, 7, 8, 9, 11, 15)})
# The kubelet turned it away before anything of it ran.
_NEVER_RAN: Final = frozenset(
    {"OutOfcpu", "OutOfmemory", "OutOfpods", "UnexpectedAdmissionError", "NodeAffinity", "NodeShutdown", "NodeName"}
)
_NEVER_BEGAN: Final = frozenset({"ContainerCannotRun", "StartError", "CreateContainerError", "RunContainerError"})
_REASONS: Final = {
    "Evicted": "evicted",
    "Preempting": "preempted",
    "Preempted": "preempted",
    "NodeLost": "node lost",
    "Terminated": "the node was shut down",
    "Shutdown": "the node was shut down",
    "DeadlineExceeded": "ended by Kubernetes at its deadline",
}
# On the way to the start, nothing to tell anybody.
_ORDINARY: Final = frozenset({"ContainerCreating", "PodInitializing"})
_HOPELESS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_WAITS: Final = {
    "ErrImagePull": "its image cannot be pulled",
    "ImagePullBackOff": "its image cannot be pulled",
    "ImageInspectError": "its image cannot be read",
    "RegistryUnavailable": "its image cannot be pulled",
    "InvalidImageName": "its image has no valid name",
    "ErrImageNeverPull": "its image is not on the node, and may not be pulled",
    "CreateContainerConfigError": "a secret or config map that it needs is missing",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
}
