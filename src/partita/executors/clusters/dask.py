"""Jobs on a Dask cluster: an existing scheduler by its address, or one that is started here.

Whatever made the cluster (dask-jobqueue, dask-kubernetes, Coiled, a command line) does not matter: it is an address. A job is
one Dask task whose key is the job's name, so Dask starts it once however often it is handed over. It is kept by Dask
itself ("fire and forget") and not by this client, so it goes on when we go away. What happens is heard as events
(dask_worker.py); what no event tells (a task that cannot be unpickled, a cluster that was restarted) is seen by
looking at the futures, which asks nobody, and by asking the Dask scheduler for the states of what waits for long.

Dask repeats a task whose worker has died. The death is heard, the key is cancelled, and a copy that was quicker finds
the claim taken.

Rule: no result travels through Dask, and nothing is decided by what Dask remembers of a task that has ended.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters import dask_worker
from partita.executors.clusters.cluster import Finished, Gone, Job, News, Runs, Waits
from partita.executors.clusters.tables import duration_of, read_options, read_settings
from partita.executors.verdicts import Death
from partita.worker.wire import Spooled

LOOK_S: Final = 0.5
# A job that has not begun after so long is asked about.
SLOW_S: Final = 2.0
LOCAL: Final = "local"
GATHER_S: Final = 0.001
# States of a key in the Dask scheduler after its end; None = forgotten.
ENDED: Final = (None, "memory", "erred", "forgotten")

_encoder = msgspec.msgpack.Encoder()
_spooled = msgspec.msgpack.Decoder(Spooled)


class Settings(msgspec.Struct, frozen=True):
    """The table `[tool.partita.executors.<name>]` of a Dask cluster."""

    # "tcp://host:8786", "tls://...", or "local": a cluster on this machine that ends with the service.
    address: str = ""
    scheduler_file: str = ""
    # How many jobs Dask is given beyond its threads, so that its workers never wait and it sees when it should grow.
    queue: int = 64
    timeout: str | float = "10s"
    # Of "local" only.
    workers: int | None = None
    threads: int | None = None
    memory_limit: str = "auto"


class Options(msgspec.Struct, frozen=True):
    """What a step may say by `executor_options=`: as Dask's own `submit` has it."""

    resources: dict[str, float] = {}
    # Names or addresses of the workers that may perform it.
    workers: list[str] = []
    allow_other_workers: bool = False
    priority: int | None = None


class _Open:
    """A job that was handed over and whose end has not been told."""

    def __init__(self, name: str, future: Any, at: float) -> None:
        self.name = name
        self.future = future
        self.at = at
        self.where = ""
        self.said = ""
        self.stopping = False
        # Its events go to whoever handed it over.
        self.adopted = future is None


def make(name: str, table: dict[str, object]) -> DaskCluster:
    """The cluster of `[tool.partita.executors.<name>]`; nothing is reached yet.

    Raises `DefinitionError` if the table cannot be right.
    """
    settings = read_settings(name, table, Settings)
    if bool(settings.address) == bool(settings.scheduler_file):
        raise DefinitionError(
            f"[tool.partita.executors.{name}] needs either `address` or `scheduler_file`",
            hint='address = "tcp://scheduler:8786", or "local" for a cluster on this machine',
        )
    return DaskCluster(settings, timeout_s=duration_of(name, "timeout", settings.timeout))


class DaskCluster:
    """A `Cluster` over `distributed`."""

    def __init__(self, settings: Settings, *, timeout_s: float = 10.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        # `distributed` is imported when it is reached for, and has no types of its own.
        self._client: Any = None
        self._local: Any = None
        self._topic = ""
        self._open: dict[str, _Open] = {}
        self._inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._news: list[News] = []
        # As the Dask scheduler told it last: worker address -> (threads, resources).
        self._workers: dict[str, tuple[int, dict[str, float]]] = {}
        self._looked_at = 0.0
        self._asked_at = 0.0

    # --- what the executor asks -----------------------------------------------------------------------------------

    def connect(self) -> None:
        """Reach the Dask scheduler, and watch what is open there."""
        self._let_go()
        self._client = self._reached()
        self._topic = f"partita-{self._client.id}"
        self._client.subscribe_topic(self._topic, self._hear)
        self._client.subscribe_topic("all", self._hear)
        self._learn_workers()
        if self._open:
            self._news += self._watched(list(self._open))

    def room(self) -> int:
        """The threads of all workers and `queue` more, less what it has."""
        return max(0, sum(threads for threads, _ in self._workers.values()) + self._settings.queue - len(self._open))

    def check(self, policies: Policies, options: dict[str, object]) -> str:
        """What is wrong with a step's resources and options, by what the workers said when they came."""
        try:
            needed = self._resources(policies, read_options(options, Options))
        except ValueError as error:
            return str(error)
        for threads, has in self._workers.values():
            if threads and all(has.get(resource, 0.0) >= amount for resource, amount in needed.items()):
                return ""
        if not self._workers or not needed:
            # A cluster that grows on demand may have no worker yet.
            return ""
        wanted = ", ".join(f"{resource}={amount:g}" for resource, amount in sorted(needed.items()))
        return f"no Dask worker has {wanted}: start workers with --resources, or ask for less"

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand jobs over, those with equal demands in one message."""
        client = self._connected()
        alike: dict[bytes, list[Job]] = {}
        for job in jobs:
            if job.name not in self._open:
                alike.setdefault(_encoder.encode(self._demands(job)), []).append(job)
        with self._reaching():
            for some in alike.values():
                self._map(client, some)

    def stop(self, name: str, grace_s: float) -> None:
        """Tell the worker to end it; of one that has not begun, take it back."""
        job = self._open.get(name)
        if job is None:
            return
        client = self._connected()
        job.stopping = True
        with self._reaching():
            if job.where:
                client.run(dask_worker.stop_job, name, grace_s, workers=[job.where], on_error="ignore")
                return
            self._take_back([job])
            # It may have begun this moment: those who have it end it, the others will not begin it any more.
            runs = self._ask(client._run, dask_worker.stop_job, name, grace_s, on_error="ignore")
            if not any(runs.values()):
                self._settle_stopped(job)

    def poll(self, timeout_s: float) -> list[News]:
        """What the events say, and twice a second what is to be seen of the futures."""
        self._connected()
        self._listen(0.0 if self._news else min(timeout_s, LOOK_S))
        if time.monotonic() - self._looked_at >= LOOK_S:
            self._look()
        # Taken only now: what was heard before an error is told after it.
        news, self._news = self._news, []
        return news

    def find(self, names: Sequence[str]) -> list[News]:
        """Ask the Dask scheduler for the keys and the workers for what they perform."""
        self._connected()
        for name in names:
            self._open.setdefault(name, _Open(name, None, time.monotonic()))
        return self._watched(names)

    def forget(self, names: Sequence[str]) -> None:
        """Nothing is left in Dask: it drops a task that has ended and that nobody asked to keep."""

    def wake(self) -> None:
        """Let a `poll` that waits return now. Any thread."""
        self._inbox.put({})

    def describe(self) -> list[str]:
        """The scheduler and its workers."""
        client = self._client
        if client is None:
            return [f"Dask at {self._address()}: not connected"]
        threads = sum(threads for threads, _ in self._workers.values())
        workers = f"{len(self._workers)} workers with {threads} threads"
        address = client.scheduler.address
        lines = [f"Dask {_distributed().__version__} at {address}: {workers}, {len(self._open)} jobs of ours"]
        if dashboard := client.dashboard_link:
            lines.append(f"dashboard at {dashboard}")
        return lines

    def close(self) -> None:
        """Let go of the cluster; its jobs go on. A cluster of our own ends."""
        self._let_go()
        if self._local is not None:
            self._local.close(timeout=5)
            self._local = None

    # --- connection -----------------------------------------------------------------------------------------------

    def _reached(self) -> Any:
        try:
            distributed = _distributed()
        except ImportError:
            raise ExecutorError(
                "the package `distributed` is not installed", hint="pip install 'partita[dask]'"
            ) from None
        wait_s = self._timeout_s
        try:
            # Not the process's default client: this one belongs to one thread.
            where: dict[str, Any] = {"address": self._own_cluster() if self._address() == LOCAL else self._address()}
            if self._settings.scheduler_file:
                where = {"scheduler_file": self._settings.scheduler_file}
            _quiet()
            client = distributed.Client(
                **where, timeout=wait_s, set_as_default=False, name="partita", heartbeat_interval=5000
            )
        except (OSError, TimeoutError, ValueError, ImportError) as error:
            raise ExecutorError(
                f"the Dask scheduler at {self._address()} cannot be reached: {_words(error)}",
                hint="is it running, and is the address right as seen from this machine?",
            ) from None
        # Dask's client gathers messages for 10 ms, for those who submit one by one; our jobs go together already.
        client.scheduler_comm.interval = GATHER_S
        return client

    def _own_cluster(self) -> Any:
        if self._local is None:
            self._local = _distributed().LocalCluster(
                n_workers=self._settings.workers,
                threads_per_worker=self._settings.threads,
                memory_limit=self._settings.memory_limit,
                dashboard_address=None,
                host="127.0.0.1",
                silence_logs=False if _has_logging() else logging.CRITICAL,
            )
        return self._local

    def _address(self) -> str:
        return self._settings.address or self._settings.scheduler_file

    def _connected(self) -> Any:
        """The client; raises `ExecutorError` once the connection is gone, for then its futures mean nothing any more."""
        client = self._client
        if client is None or client.status != "running":
            self._let_go()
            raise ExecutorError(
                f"the Dask scheduler at {self._address()} is away", hint="the work on it is looked for when it is back"
            )
        return client

    @contextlib.contextmanager
    def _reaching(self) -> Any:
        """What is asked of the Dask scheduler within: its absence is an `ExecutorError`."""
        try:
            yield
        except (OSError, TimeoutError) as error:
            self._let_go()
            raise ExecutorError(f"the Dask scheduler at {self._address()} does not answer: {_words(error)}") from None

    def _let_go(self) -> None:
        client, self._client = self._client, None
        for job in self._open.values():
            job.future = None
        if client is not None:
            with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                client.close(timeout=2)

    def _ask(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a coroutine function of the client, for a bounded time."""
        client = self._connected()
        with self._reaching():
            return client.sync(function, *args, callback_timeout=self._timeout_s, **options)

    # --- handing over ---------------------------------------------------------------------------------------------

    def _map(self, client: Any, jobs: list[Job]) -> None:
        resources, priority, workers, others = self._demands(jobs[0])
        futures = client.map(
            dask_worker.perform_job,
            [_encoder.encode(job) for job in jobs],
            topic=self._topic,
            key=[job.name for job in jobs],
            resources=resources or None,
            priority=priority,
            workers=workers or None,
            allow_other_workers=others,
            retries=0,
            pure=False,
        )
        _distributed().fire_and_forget(futures)
        now = time.monotonic()
        for job, future in zip(jobs, futures, strict=True):
            self._open[job.name] = _Open(job.name, future, now)

    def _demands(self, job: Job) -> tuple[dict[str, float], int, list[str], bool]:
        options = read_options(job.options, Options)
        priority = job.policies.priority if options.priority is None else options.priority
        return self._resources(job.policies, options), priority, options.workers, options.allow_other_workers

    def _resources(self, policies: Policies, options: Options) -> dict[str, float]:
        """What the task asks of Dask's resources, in the names that the workers use.

        GPUs and what the user names must be there. Processors and memory are asked for only where workers offer them: else a
        step is one thread of a worker, and its memory is kept by its own limit.
        """
        offered = {name.casefold(): name for _, has in self._workers.values() for name in has}
        asked: dict[str, float] = {}
        if policies.cpu and "cpu" in offered:
            asked[offered["cpu"]] = policies.cpu
        if policies.memory_bytes and "memory" in offered:
            asked[offered["memory"]] = float(policies.memory_bytes)
        if policies.gpu:
            asked[offered.get("gpu", "GPU")] = policies.gpu
        for name, amount in policies.resources:
            asked[offered.get(name.casefold(), name)] = amount
        return asked | options.resources

    # --- what is heard --------------------------------------------------------------------------------------------

    def _hear(self, event: tuple[float, Any]) -> None:
        """In the client's own thread: pass it on."""
        message = event[1]
        if isinstance(message, dict):
            self._inbox.put(message)

    def _listen(self, timeout_s: float) -> None:
        """Take in all that was heard; wait for the first of it."""
        with contextlib.suppress(queue.Empty):
            self._news += self._understood(
                self._inbox.get(timeout=timeout_s) if timeout_s > 0 else self._inbox.get_nowait()
            )
            while True:
                self._news += self._understood(self._inbox.get_nowait())

    def _understood(self, message: dict[str, Any]) -> Iterable[News]:
        if message.get("action") == "remove-worker":
            return self._worker_lost(message["worker"])
        if message.get("action") == "add-worker":
            self._asked_at = 0.0
            return ()
        job = self._open.get(message.get("name", ""))
        if job is None:
            return ()
        if "where" in message:
            job.where = message["where"]
            return (Runs(job.name, job.where),)
        return (self._ended(job, message),) if "end" in message else ()

    def _ended(self, job: _Open, message: dict[str, Any]) -> News:
        match message["end"]:
            case "ended":
                self._close(job)
                outcome = message["outcome"]
                return Finished(job.name, _spooled.decode(outcome) if outcome else None)
            case "claimed":
                return self._gone(job, f"Dask began it a second time, after its worker was lost: {message['why']}")
            case "stopped":
                return self._gone(job, "stopped before it began", begun="no")
        self._close(job)
        return Waits(job.name, f"the Dask worker cannot perform it: {message['why']}", fatal=True)

    def _worker_lost(self, address: str) -> list[News]:
        self._workers.pop(address, None)
        lost = [job for job in self._open.values() if job.where == address]
        if lost and self._client is not None:
            # Dask is about to begin them elsewhere.
            with self._reaching():
                self._take_back(lost)
        return [self._gone(job, f"the Dask worker at {address} is gone") for job in lost]

    def _gone(self, job: _Open, why: str, *, begun: Any = "perhaps") -> Gone:
        self._close(job)
        return Gone(job.name, Death(note=why), begun)

    def _close(self, job: _Open) -> None:
        self._open.pop(job.name, None)
        job.future = None

    # --- what is seen ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """What no event told: ask the futures, and now and then the Dask scheduler."""
        now = self._looked_at = time.monotonic()
        for job in list(self._open.values()):
            if job.future is not None and job.future.status != "pending":
                # Its event may be here already.
                self._listen(0.0)
                self._news += self._understood_late(job)
        if now - self._asked_at >= SLOW_S:
            self._asked_at = now
            self._learn_workers()
            if silent := [
                job for job in self._open.values() if job.adopted or (not job.where and now - job.at >= SLOW_S)
            ]:
                self._news += self._asked_about(silent)

    def _understood_late(self, job: _Open) -> Iterable[News]:
        """The end of a task that no event told."""
        # A connection that is lost cancels all futures, which says nothing.
        self._connected()
        status = job.future.status if job.future is not None else "pending"
        if status == "finished":
            self._close(job)
            return (Finished(job.name),)
        if status == "error":
            error = job.future.exception(timeout=self._timeout_s)
            if type(error).__name__ == "KilledWorker":
                return (self._gone(job, f"the Dask workers that had it are gone: {_words(error)}"),)
            self._close(job)
            return (Waits(job.name, f"Dask cannot perform it: {_words(error)}", fatal=True),)
        return (self._gone(job, "it was cancelled in Dask"),) if status in ("cancelled", "lost") else ()

    def _asked_about(self, jobs: list[_Open]) -> list[News]:
        """Of jobs that wait for long and of those whose events nobody hears: what the Dask scheduler and the workers say."""
        states = self._states([job.name for job in jobs])
        where = self._performed() if any(job.adopted for job in jobs) else {}
        news: list[News] = []
        for job in jobs:
            state = states.get(job.name)
            if job.name in where:
                if not job.where:
                    job.where = where[job.name]
                    news.append(Runs(job.name, job.where))
            elif state is None and job.stopping:
                news.append(self._gone(job, "taken back before it began", begun="no"))
            elif job.adopted and state in ENDED:
                # What became of it is in the exchange, or nowhere.
                self._close(job)
                news.append(Finished(job.name))
            elif state is not None and not job.where and self._why(state) != job.said:
                job.said = self._why(state)
                news.append(Waits(job.name, job.said))
        return news

    def _why(self, state: str) -> str:
        if state == "no-worker":
            return "Dask has no worker with what it asks for" if self._workers else "Dask has no worker yet"
        return f"waits for one of the threads of {len(self._workers)} Dask workers"

    def _watched(self, names: Sequence[str]) -> list[News]:
        """What is known of these jobs now; those that are somewhere are watched from now on."""
        states = self._states(names)
        where = self._performed()
        news: list[News] = []
        for name in names:
            job = self._open[name]
            if states.get(name) is None and name not in where:
                news.append(self._gone(job, "the Dask scheduler does not know it any more"))
                continue
            job.where = where.get(name, "")
            job.future, job.adopted = None, True
            news.append(Runs(name, job.where) if job.where else Waits(name, self._why(states[name] or "")))
        return news

    def _states(self, names: Sequence[str]) -> dict[str, str | None]:
        found: dict[str, str | None] = self._ask(self._connected().scheduler.get_task_status, keys=list(names))
        return found

    def _performed(self) -> dict[str, str]:
        """Which jobs the workers perform now, and where."""
        told = self._ask(self._connected()._run, dask_worker.running_jobs, on_error="ignore")
        return {name: address for address, names in told.items() for name in names}

    def _learn_workers(self) -> None:
        told = self._ask(self._connected().scheduler.identity, n_workers=-1)
        self._workers = {
            address: (worker["nthreads"], dict(worker.get("resources") or {}))
            for address, worker in told["workers"].items()
        }

    def _take_back(self, jobs: list[_Open]) -> None:
        """Let Dask begin them no more. What runs is not touched by that."""
        client = self._connected()
        client.cancel([_distributed().Future(job.name, client) for job in jobs], force=True)
        for job in jobs:
            job.future = None

    def _settle_stopped(self, job: _Open) -> None:
        """No worker performs it or will: gone as soon as the Dask scheduler has forgotten it as well."""
        if self._states([job.name])[job.name] is None:
            self._news.append(self._gone(job, "taken back before it began", begun="no"))
        else:
            job.at = 0.0
            self._asked_at = 0.0


def _distributed() -> Any:
    return importlib.import_module("distributed")


def _quiet() -> None:
    """What Dask says about lost connections is said by the executor, once; unless the user has set Dask's logging.

    Also what it calls critical: the scheduler of a cluster of our own, which is in this process, calls so that its client
    has gone. Nothing of a user's code is logged here.
    """
    if not _has_logging():
        for logger in ("distributed", "distributed.client"):
            logging.getLogger(logger).setLevel(logging.CRITICAL + 1)


def _has_logging() -> bool:
    config = importlib.import_module("dask").config
    return bool(config.get("logging", None) or config.get("distributed.logging", None))


def _words(error: BaseException | None) -> str:
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__
