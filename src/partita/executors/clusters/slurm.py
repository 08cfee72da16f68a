"""Slurm as a cluster: jobs go by `sbatch`, mapped steps as arrays, `squeue --json` tells of them, `scancel` ends them.

    [tool.partita.executors.hpc]
    kind = "slurm"
    exchange = "file:///shared/partita"      # a folder that scheduler and nodes see
    python = "/shared/venv/bin/python"       # with Partita and the project's packages
    partition = "batch"

A job has the attempt's name in Slurm; the members of an array have theirs in the array's script, which Slurm keeps as well. The
whole queue is asked for in one call, also for what has ended lately; what has left the queue is asked of the accounting.

Rule: the commands of Slurm are called here and nowhere else, each with an argument list and a time limit; what their answers
mean is in slurm_states.py, what is handed over in slurm_batch.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters.cluster import Gone, Job, News, Waits
from partita.executors.clusters.exchange import Exchange
from partita.executors.clusters.slurm_batch import (
    ARRAY_PREFIX,
    SlurmSettings,
    arguments_of,
    array_name,
    names_in,
    problem_of,
    script_of,
    settings_problem,
)
from partita.executors.clusters.slurm_states import Seen, news_of, read_accounting, read_queue, unknown
from partita.executors.clusters.tables import duration_of, read_settings, size_of
from partita.executors.verdicts import Death

_COMMAND_S: Final = 30.0
# What a later try can mend, in the words of Slurm's commands.
_AWAY: Final = re.compile(
    r"contact slurm controller|timed out|refused|Zero Bytes|temporarily|try again|endpoint|Unexpected message|"
    r"authentication|Unable to process|configuration source|backup controller|munge",
    re.IGNORECASE,
)
# Limits of how many jobs somebody may have: with time there is room again.
_FULL: Final = re.compile(r"submit ?(job)?s? ?limit|MaxSubmitJob|job limit|MaxJobCount|queue is full", re.IGNORECASE)
_TAIL_BYTES: Final = 4096
# From the end of a job's grace to force: its own polite end comes first and leaves an outcome.
_MARGIN_S: Final = 5.0
_AGAIN_S: Final = 15.0


@dataclass
class _Live:
    """A job that Slurm has and whose end was not told yet."""

    id: str
    memory: int | None = None
    output: str = ""
    told: News | None = None
    waiting: bool = True
    force_at: float | None = None
    stopped: bool = False


def make(name: str, table: Mapping[str, object]) -> SlurmCluster:
    """The cluster of `[tool.partita.executors.<name>]`. Raises `DefinitionError`."""
    settings = read_settings(name, table, SlurmSettings)
    if problem := settings_problem(settings):
        raise DefinitionError(f"[tool.partita.executors.{name}]: {problem}")
    return SlurmCluster(name, settings)


class SlurmCluster:
    """An installation of Slurm, as its commands on this machine reach it. One thread, but for `wake`."""

    def __init__(self, name: str, settings: SlurmSettings) -> None:
        self.name = name
        self._settings = settings
        self._overhead = size_of(name, "memory_overhead", settings.memory_overhead)
        self._interval = duration_of(name, "poll", settings.poll)
        self._live: dict[str, _Live] = {}
        self._full: dict[str, Job] = {}
        self._untold: list[News] = []
        # Names of Slurm's jobs that a submission may have made without telling: looked for before the next one.
        self._certain = False
        self._members: dict[str, list[str]] = {}
        self._outputs: dict[str, str] = {}
        self._array_limit = 1000
        self._version = ""
        self._looked_at = 0.0
        self._tried_at = 0.0
        self._woken = threading.Event()

    def connect(self) -> None:
        """Ask Slurm's controller for its configuration."""
        said = self._run("scontrol", "show", "config")
        found = dict(re.findall(r"^(\w+)\s*= (.*)$", said, re.MULTILINE))
        self._version = f"Slurm {found.get('SLURM_VERSION', '?')} ({found.get('ClusterName', '?')})"
        limit = found.get("MaxArraySize", "1001")
        # An index must be below the limit.
        self._array_limit = max(1, int(limit) if limit.isdigit() else 1001)
        self._certain = False

    def room(self) -> int:
        """As many as `max_jobs` leaves."""
        return 0 if self._full else max(0, self._settings.max_jobs - len(self._live))

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        """Options must be allowed ones, custom resources known ones."""
        return problem_of(self._settings, policies, options)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand jobs over: alike ones of one step as one array."""
        self._learn({job.name for job in jobs})
        groups: dict[tuple[str, ...], list[Job]] = {}
        for job in jobs:
            if job.name in self._live or job.name in self._full:
                continue
            Exchange.at(job.exchange).put_job(job)
            arguments = arguments_of(self._settings, job, self._overhead)
            groups.setdefault((job.exchange, job.brief.run, job.brief.step, *arguments), []).append(job)
        for (_, _, _, *rest), alike in groups.items():
            for at in range(0, len(alike), self._array_limit):
                self._submit(rest, alike[at : at + self._array_limit])

    def stop(self, name: str, grace_s: float) -> None:
        """A waiting job leaves the queue; a running one gets SIGTERM, and is killed when its grace is over."""
        if job := self._full.pop(name, None):
            self._untold.append(Gone(job.name, Death(note="cancelled before Slurm took it"), begun="no"))
            return
        live = self._live.get(name)
        if live is None or live.stopped:
            return
        if live.waiting:
            self._run("scancel", "--state=PENDING", _target(live.id))
        # Also one that waited a moment ago: of those that do not run there is nothing to signal.
        self._signal("TERM", live)
        live.stopped = True
        live.force_at = time.monotonic() + grace_s + _MARGIN_S
        # Its end is asked for at once.
        self._looked_at = 0.0

    def poll(self, timeout_s: float) -> list[News]:
        """Look at the queue, at most once in `poll` seconds."""
        until = time.monotonic() + timeout_s
        while True:
            news = self._look()
            left = until - time.monotonic()
            if news or left <= 0 or self._woken.is_set():
                self._woken.clear()
                return news
            due = self._looked_at + self._interval - time.monotonic()
            self._woken.wait(max(0.01, min(left, due if self._live else left)))

    def wake(self) -> None:
        """Let a `poll` that waits return. Any thread."""
        self._woken.set()

    def find(self, names: Sequence[str]) -> list[News]:
        """Look for the jobs in the queue, then in the accounting."""
        self._certain = False
        seen = self._learn(set(names))
        found: list[News] = []
        for name in names:
            live = self._live.get(name)
            if live is None:
                found.append(Gone(name, Death(note="Slurm knows no job of this name (any more)")))
                continue
            news = self._news(name, live, seen.get(live.id))
            if isinstance(news, Gone) or (live.id in seen and seen[live.id].ended):
                del self._live[name]
            live.told = news
            found.append(news)
        return found

    def forget(self, names: Sequence[str]) -> None:
        """Remove what Slurm wrote of them; its queue forgets by itself (MinJobAge)."""
        for name in names:
            self._live.pop(name, None)
            if output := self._outputs.pop(name, ""):
                Path(output).unlink(missing_ok=True)

    def describe(self) -> list[str]:
        """Version, and what the partitions have."""
        nodes = self._run("sinfo", "--noheader", "-o", "%R %a %D nodes, cores used/idle/other/all: %C")
        return [self._version or "Slurm, not reached yet", f"{len(self._live)} jobs", *nodes.splitlines()[:20]]

    def close(self) -> None:
        """Nothing is held; jobs go on."""
        self.wake()

    # --- handing over -----------------------------------------------------------------------------------------------

    def _submit(self, arguments: Sequence[str], jobs: list[Job]) -> None:
        names = [job.name for job in jobs]
        array = len(names) > 1
        output = self._output_folder(jobs[0])
        mine = [f"--job-name={array_name(names) if array else names[0]}"]
        mine.append(f"--output={output}/{'%A_%a' if array else '%j'}.log" if output else "--output=/dev/null")
        if array:
            mine.append(f"--array=0-{len(names) - 1}")
        self._certain = False
        try:
            said = self._run("sbatch", *arguments, *mine, input=script_of(self._settings, jobs[0].exchange, names))
        except _Refused as refused:
            self._certain = True
            self._refuse(jobs, str(refused))
            return
        self._certain = True
        id = said.strip().partition(";")[0]
        for at, job in enumerate(jobs):
            one = f"{id}_{at}" if array else id
            path = f"{output}/{one}.log" if output else ""
            self._live[job.name] = _Live(one, job.policies.memory_bytes, path)
            self._outputs[job.name] = path

    def _refuse(self, jobs: list[Job], said: str) -> None:
        full = _FULL.search(said) is not None
        for job in jobs:
            self._untold.append(Waits(job.name, f"sbatch: {said}", fatal=not full))
            if full:
                self._full[job.name] = job
        self._tried_at = time.monotonic()

    def _try_again(self) -> None:
        if self._full and time.monotonic() - self._tried_at >= _AGAIN_S:
            jobs, self._full = list(self._full.values()), {}
            self._tried_at = time.monotonic()
            try:
                self.submit(jobs)
            except ExecutorError:
                self._full.update({job.name: job for job in jobs if job.name not in self._live})
                raise

    def _output_folder(self, job: Job) -> str:
        folder = self._settings.output
        if not folder and job.exchange.startswith("file://"):
            folder = f"{job.exchange.removeprefix('file://')}/slurm"
        if folder:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _learn(self, wanted: set[str]) -> dict[str, Seen]:
        """Take over what Slurm has under these names, unless that is sure; what its queue says, by id."""
        if self._certain:
            return {}
        seen = self._queue()
        for job in seen.values():
            for name in self._names(job):
                if name in wanted and name not in self._live:
                    output = _output_of(job)
                    self._live[name] = _Live(job.id, job.memory, output)
                    self._outputs[name] = output
        self._certain = True
        return seen

    def _names(self, job: Seen) -> Iterable[str]:
        if not job.array:
            return [job.name] if job.name.startswith("pt-") and not job.name.startswith(ARRAY_PREFIX) else []
        if not job.name.startswith(ARRAY_PREFIX):
            return []
        if job.array not in self._members:
            try:
                script = self._run("scontrol", "write", "batch_script", job.id, "-")
            except _Refused:
                # Another user's, or too old for Slurm to have its script.
                script = ""
            self._members[job.array] = names_in(script)
        members, at = self._members[job.array], int(job.id.rpartition("_")[2])
        return members[at : at + 1]

    # --- looking -----------------------------------------------------------------------------------------------------

    def _look(self) -> list[News]:
        news, self._untold = self._untold, []
        if self._live and time.monotonic() - self._looked_at >= self._interval:
            seen = self._queue()
            took = time.monotonic()
            for name, live in list(self._live.items()):
                job = seen.get(live.id)
                said = self._news(name, live, job)
                if job is None or job.ended:
                    del self._live[name]
                if said != live.told:
                    live.told = said
                    news.append(said)
            self._force(took)
            self._looked_at = time.monotonic()
        self._try_again()
        return news

    def _news(self, name: str, live: _Live, job: Seen | None) -> News:
        if job is None:
            job = self._accounted(live.id)
        if job is None or not (job.ended or job.nodes or live.id):
            if live.stopped and live.waiting:
                # A waiting member that is cancelled leaves no trace.
                return Gone(name, Death(note="cancelled in Slurm's queue"), begun="no")
            return unknown(name, live.id)
        lines = _tail(live.output) if job.ended and job.state != "COMPLETED" else ""
        said = news_of(name, job, live.memory, lines)
        live.waiting = isinstance(said, Waits)
        return said

    def _accounted(self, id: str) -> Seen | None:
        try:
            said = self._run("sacct", "-n", "-P", "-X", "-j", id, "-o", "JobID,JobName,State,ExitCode,NodeList")
        except (_Refused, ExecutorError):
            # Many installations keep no accounting; then nobody knows more.
            return None
        found = read_accounting(said).get(id)
        return found if found is not None and found.ended else None

    def _force(self, now: float) -> None:
        for live in self._live.values():
            if live.force_at is not None and now >= live.force_at:
                live.force_at = now + _AGAIN_S
                self._signal("KILL", live)

    def _signal(self, name: str, live: _Live) -> None:
        # The batch process is job.py, which ends its own children; by force all of them are meant.
        whom = "--batch" if name == "TERM" else "--full"
        try:
            self._run("scancel", "--quiet", whom, f"--signal={name}", _target(live.id))
        except _Refused:
            # It has ended in the meantime, and the queue says how.
            return

    def _queue(self) -> dict[str, Seen]:
        return {seen.id: seen for seen in read_queue(self._run("squeue", "--me", "--states=all", "--json"))}

    def _run(self, *command: str, input: str = "") -> str:
        """A command's answer. Raises `ExecutorError` if Slurm cannot be reached, `_Refused` with its words if it says no."""
        try:
            ended = subprocess.run(
                command, input=input, capture_output=True, text=True, timeout=_COMMAND_S, env=self._environment()
            )
        except FileNotFoundError:
            raise ExecutorError(
                f"there is no `{command[0]}` on this machine",
                hint="the scheduler runs where Slurm's commands are: install slurm-client and the cluster's slurm.conf",
            ) from None
        except subprocess.TimeoutExpired:
            raise ExecutorError(f"`{command[0]}` did not answer for {_COMMAND_S:g} s") from None
        said = " ".join(line.strip() for line in ended.stderr.splitlines() if line.strip())
        if ended.returncode == 0:
            return ended.stdout
        if _AWAY.search(said):
            raise ExecutorError(f"Slurm cannot be reached: {said[-500:]}", hint="`scontrol ping` says more")
        raise _Refused(_plainly(said) or f"{command[0]} ended with exit code {ended.returncode}")

    def _environment(self) -> dict[str, str]:
        # Jobs inherit what sbatch has: not the scheduler's secrets.
        names = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "SLURM_CONF", "SLURM_CLUSTERS")
        return {name: os.environ[name] for name in (*names, *self._settings.environment) if name in os.environ}


class _Refused(Exception):
    """Slurm's command said no, in its own words."""


def _target(id: str) -> str:
    """
    >>> _target("12"), _target("12_3")
    ('12', '12_[3]')
    """
    job, _, member = id.partition("_")
    return f"{job}_[{member}]" if member else job


def _output_of(job: Seen) -> str:
    """The file of a job's output; "" if it has none of its own."""
    array, _, member = job.id.partition("_")
    path = job.output.replace("%A", array).replace("%a", member).replace("%j", job.id)
    return path if path.endswith(f"/{job.id}.log") else ""


def _plainly(said: str) -> str:
    return re.sub(r"\b(sbatch|scancel|squeue|scontrol|sinfo|sacct): (error: )?", "", said).strip()[-500:]


def _tail(path: str) -> str:
    if not path:
        return ""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
