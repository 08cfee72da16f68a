"""Jobs on a Ray cluster: an existing one by its address, or one that is started here.

Everything of Ray is in a child of this process (ray_driver.py), for Ray ends the process of a driver that has lost its
cluster. This side turns what steps ask for into Ray's own demands, sends orders and hears news. When the child has gone,
the cluster is away; the next one finds the jobs by name.

Rule: no package of Ray is imported here.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Any, Final, NoReturn

import msgspec

from partita.core.policies import Policies
from partita.errors import ExecutorError
from partita.executors.clusters.cluster import Finished, Gone, Job, News, Runs, Waits
from partita.executors.clusters.line import Line, Message, Waker
from partita.executors.clusters.tables import duration_of, read_options, read_settings
from partita.executors.verdicts import Death
from partita.worker.wire import Spooled

_ANSWER_S: Final = 15.0
_encoder = msgspec.msgpack.Encoder()
_spooled = msgspec.msgpack.Decoder(Spooled)


class Settings(msgspec.Struct, frozen=True):
    """The table `[tool.partita.executors.<name>]` of a Ray cluster."""

    # As `ray.init` has it: "auto", "host:6379", "ray://host:10001", or "local": a cluster that ends with the service.
    address: str = "auto"
    # What else `ray.init` is given: runtime_env, namespace ...
    init: dict[str, Any] = {}
    # How many jobs Ray is given beyond its processors, so that it sees when it should grow.
    queue: int = 64
    # How long an idle actor keeps its resources, warm for the next step.
    idle: str | float = "10s"
    timeout: str | float = "60s"


class Options(msgspec.Struct, frozen=True):
    """What a step may say by `executor_options=`: as Ray's own `options` has it."""

    resources: dict[str, float] = {}
    runtime_env: dict[str, Any] = {}
    accelerator_type: str = ""


def make(name: str, table: dict[str, object]) -> RayCluster:
    """The cluster of `[tool.partita.executors.<name>]`; nothing is reached yet.

    Raises `DefinitionError` if the table cannot be right.
    """
    settings = read_settings(name, table, Settings)
    return RayCluster(
        settings,
        idle_s=duration_of(name, "idle", settings.idle),
        timeout_s=duration_of(name, "timeout", settings.timeout),
    )


class RayCluster:
    """A `Cluster` over `ray`."""

    def __init__(self, settings: Settings, *, idle_s: float = 10.0, timeout_s: float = 60.0) -> None:
        self._settings = settings
        self._idle_s = idle_s
        self._timeout_s = timeout_s
        self._driver: subprocess.Popen[bytes] | None = None
        self._version = ""
        self._address = settings.address
        self._processors = 0
        self._open: set[str] = set()
        # What was said of a job that waits, for it is said again and again.
        self._said: dict[str, str] = {}
        self._line: Line | None = None
        # From the first `connect` on.
        self._waker: Waker | None = None
        self._news: list[News] = []
        self._asked = 0

    # --- what the executor asks ---------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Start Ray's driver, and look for what is open there."""
        if importlib.util.find_spec("ray") is None:
            raise ExecutorError("the package `ray` is not installed", hint="pip install 'partita[ray]'")
        self._let_go()
        self._start()
        if self._open:
            self._news += self.find(sorted(self._open))

    def room(self) -> int:
        """The cluster's processors and `queue` more, less what it has."""
        return max(0, self._processors + self._settings.queue - len(self._open))

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        """What is wrong with a step's options; whether a node has the resources, Ray says when it looks for one."""
        try:
            read_options(options, Options)
        except ValueError as error:
            return str(error)
        return ""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand jobs over."""
        new = [job for job in jobs if job.name not in self._open]
        self._order("submit", jobs=[(job.name, _demands(job), _encoder.encode(job)) for job in new])
        self._open.update(job.name for job in new)

    def stop(self, name: str, grace_s: float) -> None:
        """Tell the actor to end it, or take it out of the queue."""
        if name in self._open:
            self._order("stop", name=name, grace_s=grace_s)

    def poll(self, timeout_s: float) -> list[News]:
        """What the driver says."""
        self._listen(0.0 if self._news else timeout_s)
        news, self._news = self._news, []
        return news

    def find(self, names: Sequence[str]) -> list[News]:
        """Ask every actor of ours what it performs."""
        self._open.update(names)
        self._asked += 1
        self._order("find", no=self._asked, names=list(names))
        until = time.monotonic() + _ANSWER_S
        answer: Message | None = None
        while answer is None and (left := until - time.monotonic()) > 0:
            for message in self._heard(left):
                if message.get("answer") == self._asked:
                    answer = message
                else:
                    self._understand(message)
        if answer is not None:
            return [self._known(name, answer["found"]) for name in names]
        raise ExecutorError(f"the Ray cluster at {self._address} does not say what it performs")

    def forget(self, names: Sequence[str]) -> None:
        """Nothing is left in Ray of a job that has ended."""

    def wake(self) -> None:
        """Let a `poll` that waits return now. Any thread."""
        if self._waker is not None:
            self._waker.wake()

    def describe(self) -> list[str]:
        """The cluster."""
        if self._driver is None:
            return [f"Ray at {self._address}: not connected"]
        return [
            f"Ray {self._version} at {self._address}: {self._processors} processors, {len(self._open)} jobs of ours"
        ]

    def close(self) -> None:
        """Let go of the cluster; its jobs go on."""
        self._let_go()
        if self._waker is not None:
            self._waker.close()

    # --- the driver ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        # What Ray's own code prints there would stand in the middle of ours.
        with tempfile.TemporaryFile() as said:
            driver, line = self._spawned(said)
            # What it says first is whether it is there.
            first = line.news(self._timeout_s)
            if first and "ready" in first[0]:
                self._version, self._address = first[0]["ready"], first[0]["address"] or self._settings.address
                for message in first[1:]:
                    self._understand(message)
                return
            if first:
                why = first[0].get("failed", "")
            elif line.is_over:
                why = f"its driver ended with {driver.wait()}{_last_line(said)}"
            else:
                why = f"no answer within {self._timeout_s:g} s"
        self._let_go()
        raise ExecutorError(
            f"the Ray cluster at {self._settings.address} cannot be reached: {why}",
            hint="is it running, and does this machine belong to it (or is the address ray://...)?",
        )

    def _spawned(self, said: IO[bytes]) -> tuple[subprocess.Popen[bytes], Line]:
        self._waker = self._waker or Waker()
        ours, theirs = os.pipe()
        settings = {"address": self._settings.address, "init": self._settings.init, "idle_s": self._idle_s}
        try:
            driver = self._driver = subprocess.Popen(
                [sys.executable, "-m", "partita.executors.clusters.ray_driver", str(theirs), _json(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=(theirs,),
            )
        finally:
            os.close(theirs)
        assert driver.stdin is not None
        line = self._line = Line(os.dup(driver.stdin.fileno()), ours, self._waker)
        driver.stdin.close()
        return driver, line

    def _order(self, what: str, **details: Any) -> None:
        if self._line is None:
            self._lost()
        try:
            self._line.send({"do": what, **details})
        except OSError:
            self._lost()

    def _heard(self, timeout_s: float) -> list[Message]:
        if self._line is None:
            self._lost()
        news = self._line.receive(timeout_s)
        if self._line.is_over and not news:
            self._lost()
        return news

    def _lost(self) -> NoReturn:
        self._let_go()
        raise ExecutorError(
            f"the Ray cluster at {self._address} is away", hint="what it performs is looked for when it is back"
        )

    def _let_go(self) -> None:
        driver, self._driver = self._driver, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if driver is None:
            return
        try:
            driver.wait(5.0)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()

    # --- news ---------------------------------------------------------------------------------------------------------

    def _listen(self, timeout_s: float) -> None:
        for message in self._heard(timeout_s):
            self._understand(message)

    def _understand(self, message: Message) -> None:
        self._processors = message.get("room", self._processors)
        name = message.get("name", "")
        if name not in self._open:
            return
        if "where" in message:
            self._news.append(Runs(name, message["where"]))
        elif "waits" in message and self._said.get(name) != message["waits"]:
            self._said[name] = message["waits"]
            self._news.append(Waits(name, message["waits"]))
        elif "end" in message:
            self._close(name)
            self._news.append(_ended(name, message))

    def _known(self, name: str, found: dict[str, str]) -> News:
        if name not in found:
            self._close(name)
            return Gone(name, Death(note="no actor in the Ray cluster performs it"))
        return Runs(name, found[name]) if found[name] else Waits(name, "waits for room in the Ray cluster")

    def _close(self, name: str) -> None:
        self._open.discard(name)
        self._said.pop(name, None)


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:300]}" if lines else ""


def _ended(name: str, message: Message) -> News:
    match message["end"]:
        case "ended":
            outcome = message["outcome"]
            return Finished(name, _spooled.decode(outcome) if outcome else None)
        case "stopped":
            return Gone(name, Death(note="stopped before it began"), "no")
        case "broken":
            return Waits(name, f"the Ray cluster cannot perform it: {message['why']}", fatal=True)
    return Gone(name, Death(note=message["why"]))


def _demands(job: Job) -> dict[str, Any]:
    """What a step asks for, as Ray's options of an actor. Without a word it is one processor."""
    policies, options = job.policies, read_options(job.options, Options)
    demands: dict[str, Any] = {"num_cpus": policies.cpu or 1}
    if policies.gpu:
        demands["num_gpus"] = policies.gpu
    if policies.memory_bytes:
        demands["memory"] = policies.memory_bytes
    if resources := dict(policies.resources) | options.resources:
        demands["resources"] = resources
    if options.runtime_env:
        demands["runtime_env"] = options.runtime_env
    if options.accelerator_type:
        demands["accelerator_type"] = options.accelerator_type
    return demands


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
