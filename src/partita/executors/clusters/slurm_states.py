"""What Slurm says about jobs (`squeue --json`, `sacct`), read over its versions, and what each state means.

Up to 22.05 a state is a word and an exit code a wait status; from 23.02 on states are lists and numbers are objects with `set`.

Rule: no command is run here. Every state that ends a job has one line in `_ENDS`, with its cause in words for people.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from partita.errors import ExecutorError
from partita.executors.clusters.cluster import Finished, Gone, News, Runs, Waits
from partita.executors.verdicts import Death


class Seen(msgspec.Struct, frozen=True):
    """One job of Slurm's queue. `id` is "123", of an array's member "123_4"; `array` is its array's id, or ""."""

    id: str
    name: str
    state: str
    reason: str = ""
    nodes: str = ""
    exit_code: int | None = None
    signal: int | None = None
    array: str = ""
    # Bytes that were asked for on its node.
    memory: int | None = None
    # The file of its output, as Slurm names it (%j, %A_%a).
    output: str = ""

    @property
    def ended(self) -> bool:
        return self.state in _ENDS


def read_queue(text: str) -> list[Seen]:
    """All jobs in the answer of `squeue --json`; the waiting members of an array each for itself."""
    try:
        answer = json.loads(text)
        # It ends well, with a list that is empty, when the controller cannot be reached.
        if errors := answer.get("errors"):
            said = "; ".join(str(error.get("description") or error.get("error")) for error in errors)
            raise ExecutorError(f"Slurm cannot be reached: {said}", hint="`scontrol ping` says more")
        return [seen for job in answer["jobs"] for seen in _seen(job)]
    except (ValueError, KeyError, TypeError) as error:
        raise ExecutorError(
            f"`squeue --json` answered what cannot be read: {text[:200]!r} ({error!r})",
            hint="Slurm 21.08 or newer with its JSON plugin is needed (Debian: slurm-wlm-basic-plugins)",
        ) from None


def read_accounting(text: str) -> dict[str, Seen]:
    """Ended jobs in the answer of `sacct -n -P -o JobID,JobName,State,ExitCode,NodeList`, by id."""
    found: dict[str, Seen] = {}
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 5 and fields[0] and "." not in fields[0]:
            job, name, state, code, nodes = fields
            status, _, number = code.partition(":")
            # "CANCELLED by 1000": the word alone is the state.
            word = state.split(" ")[0].rstrip("+")
            array = job.partition("_")[0] if "_" in job else ""
            found[job] = Seen(job, name, word, "", nodes, _int(status), _int(number) or None, array)
    return found


def news_of(name: str, seen: Seen, memory: int | None, last_lines: str = "") -> News:
    """What a job's state says about the attempt of this name. `memory`: the limit that was asked for."""
    if judge := _ENDS.get(seen.state):
        return judge(name, seen, memory, last_lines)
    if seen.state in _WAITS:
        reason = seen.reason or "None"
        why = _REASONS.get(reason) or f"Slurm says {reason}"
        return Waits(name, why, fatal=reason in _NEVER)
    where = f"{seen.nodes} (Slurm job {seen.id})" if seen.nodes else f"Slurm job {seen.id}"
    return Runs(name, where)


def unknown(name: str, id: str) -> Gone:
    """A job that neither the queue nor the accounting knows any more."""
    note = f"Slurm no longer knows job {id}, and keeps no accounting that tells how it ended"
    return Gone(name, Death(note=note))


def _finished(name: str, seen: Seen, memory: int | None, last_lines: str) -> News:
    return Finished(name)


def _failed(name: str, seen: Seen, memory: int | None, last_lines: str) -> News:
    if _MEMORY_WORDS.search(last_lines):
        return _out_of_memory(name, seen, memory, last_lines)
    on = f" on {seen.nodes}" if seen.nodes else ""
    if seen.signal:
        return Gone(name, Death(signal=seen.signal, last_lines=last_lines, note=f"Slurm job {seen.id}{on}"))
    if not seen.nodes:
        return Gone(name, Death(note=f"Slurm never started it: {seen.reason or seen.state}"), begun="no")
    if seen.exit_code in (126, 127):
        note = f"its Python could not be started{on} (exit code {seen.exit_code}): set `python` of this executor"
        return Gone(name, Death(note=note, last_lines=last_lines), begun="no")
    # Not `exit_code` of the death: that would be user code's own, and user code runs in a process below this one.
    note = f"the Slurm job {seen.id}{on} ended with exit code {seen.exit_code} before there was an outcome"
    return Gone(name, Death(note=note, last_lines=last_lines))


def _out_of_memory(name: str, seen: Seen, memory: int | None, last_lines: str) -> News:
    used = _USED.search(last_lines)
    over = int(used[1]) if used else memory or 1
    return Gone(name, Death(over_memory=over, memory_limit=memory, signal=seen.signal, last_lines=last_lines))


def _noted(words: str) -> Callable[[str, Seen, int | None, str], News]:
    def judge(name: str, seen: Seen, memory: int | None, last_lines: str) -> News:
        note = words.format(id=seen.id, nodes=seen.nodes or "its node", reason=seen.reason)
        return Gone(name, Death(note=note, last_lines=last_lines), begun="perhaps" if seen.nodes else "no")

    return judge


_ENDS: Final[dict[str, Callable[[str, Seen, int | None, str], News]]] = {
    "COMPLETED": _finished,
    "FAILED": _failed,
    "OUT_OF_MEMORY": _out_of_memory,
    "TIMEOUT": _noted("Slurm ended job {id} at its time limit (option `time`)"),
    "DEADLINE": _noted("Slurm ended job {id} at its deadline"),
    "NODE_FAIL": _noted("node lost: {nodes} failed under Slurm job {id}"),
    "BOOT_FAIL": _noted("node lost: {nodes} did not boot for Slurm job {id}"),
    "PREEMPTED": _noted("preempted: Slurm took {nodes} from job {id} for another one"),
    "CANCELLED": _noted("cancelled in Slurm (scancel of job {id})"),
    "REVOKED": _noted("Slurm revoked job {id}: another cluster of the federation took it"),
}
_WAITS: Final = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
# Reasons with which a job waits for ever, whatever becomes of the cluster's load.
_NEVER: Final = frozenset(
    {
        "BadConstraints",
        "AccountNotAllowed",
        "InvalidAccount",
        "InvalidQOS",
        "QOSNotAllowed",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "DependencyNeverSatisfied",
        "JobHoldMaxRequeue",
        "launch_failed_requeued_held",
        "AssocMaxCpuPerJobLimit",
        "AssocMaxMemPerJob",
        "AssocMaxNodePerJobLimit",
        "AssocMaxWallDurationPerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxMemoryPerJob",
        "QOSMaxNodePerJobLimit",
        "QOSMaxWallDurationPerJobLimit",
        "MaxMemPerLimit",
        "ReservationDeleted",
    }
)
_REASONS: Final = {
    "None": "Slurm has not looked at it yet",
    "Resources": "waits for nodes that are free (Resources)",
    "Priority": "other jobs of the queue go first (Priority)",
    "JobHeldUser": "somebody holds it in Slurm (scontrol release lets it go)",
    "JobHeldAdmin": "an administrator holds it in Slurm",
    "BadConstraints": "no node of the cluster has what it asks for (BadConstraints)",
    "ReqNodeNotAvail": "the nodes that it needs are down or reserved (ReqNodeNotAvail)",
    "PartitionDown": "its partition is down (PartitionDown)",
    "PartitionInactive": "its partition is inactive (PartitionInactive)",
    "PartitionNodeLimit": "its partition has no node as large as it asks for (PartitionNodeLimit)",
    "PartitionTimeLimit": "its partition does not allow so long a time limit (PartitionTimeLimit)",
}
# What Slurm's own watcher writes into a job's output before it kills it.
_MEMORY_WORDS: Final = re.compile(r"exceeded memory limit|oom[-_]kill|Out Of Memory", re.IGNORECASE)
_USED: Final = re.compile(r"exceeded memory limit \((\d+) >")
_TASKS: Final = re.compile(r"(\d+)(?:-(\d+))?(?::(\d+))?")


def _seen(job: dict[str, Any]) -> Iterator[Seen]:
    state = _state(job["job_state"])
    code, signal = _exit(job.get("exit_code"))
    one = Seen(
        id=str(_number(job["job_id"])),
        name=str(job.get("name") or ""),
        state=state,
        reason=str(job.get("state_reason") or ""),
        nodes=str(job.get("nodes") or ""),
        exit_code=code,
        signal=signal,
        memory=(_number(job.get("memory_per_node")) or 0) << 20 or None,
        output=str(job.get("standard_output") or ""),
    )
    array, task = _number(job.get("array_job_id")), _number(job.get("array_task_id"))
    if not array:
        yield one
    elif task is not None:
        yield msgspec.structs.replace(one, id=f"{array}_{task}", array=str(array))
    else:
        for member in _tasks(str(job.get("array_task_string") or "")):
            yield msgspec.structs.replace(one, id=f"{array}_{member}", array=str(array))


def _state(said: object) -> str:
    words = [str(word) for word in said] if isinstance(said, list) else [str(said)]
    # A job that is being cleaned up still has processes: it has not ended.
    return "COMPLETING" if "COMPLETING" in words else (words[0] if words else "")


def _number(said: object) -> int | None:
    if isinstance(said, dict):
        return int(said.get("number") or 0) if said.get("set") and not said.get("infinite") else None
    return said if isinstance(said, int) else None


def _exit(said: object) -> tuple[int | None, int | None]:
    if isinstance(said, dict) and "return_code" in said:
        number = (said.get("signal") or {}).get("id", (said.get("signal") or {}).get("signal_id"))
        return _number(said["return_code"]), _number(number) or None
    status = _number(said)
    if status is None:
        return None, None
    # The wait status of the batch script, as `os.wait` gives it.
    return (None, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), None)


def _tasks(text: str) -> Iterator[int]:
    """The members that an array's string names.

    >>> list(_tasks("1-3,7,10-14:2%3"))
    [1, 2, 3, 7, 10, 12, 14]
    """
    for part in text.partition("%")[0].split(","):
        if found := _TASKS.fullmatch(part):
            first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
            yield from range(first, last + 1, step)


def _int(text: str) -> int | None:
    return int(text) if text.isdigit() else None
