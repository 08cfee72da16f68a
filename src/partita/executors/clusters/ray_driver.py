"""`python -m partita.executors.clusters.ray_driver`: the process that is Ray's driver for one scheduler of ours.

Ray ends its driver's process when the head of its cluster is gone for long, and that must not be the scheduler's. So the
driver is a child of it: orders come in on standard input and news go out on a pipe, as frames of msgpack. It keeps the actors
(ray_worker.py) in shapes, one for each set of demands that steps have, makes more while jobs wait and there may be
room, and lets go of those of other shapes that are idle when a shape finds none.

Rule: it decides which actor has a job, and nothing else; when orders end, it ends, and actors go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import uuid
from collections import deque
from concurrent.futures import Future
from typing import Any, Final

import msgspec

from partita.executors.clusters.line import Message, frame_of
from partita.executors.clusters.ray_worker import Performer

ACTOR: Final = "partita-"
LOOK_S: Final = 0.5
ASK_S: Final = 10.0
# A job that waits for an actor so long makes idle ones of other shapes go.
PATIENCE_S: Final = 1.0
SAID_AFTER_S: Final = 0.05

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class Shape:
    """Actors with the same demands."""

    def __init__(self, demands: dict[str, Any]) -> None:
        self.demands = demands
        self.waiting: deque[tuple[str, bytes, float]] = deque()
        self.idle: deque[Actor] = deque()
        self.starting = 0
        self.actors = 0


class Actor:
    """One actor."""

    def __init__(self, shape: Shape, handle: Any, where: str) -> None:
        self.shape = shape
        self.handle = handle
        self.perform = handle.perform
        self.where = where
        self.idle_since = 0.0


class Driver:
    """All that this process does. `tell` sends one piece of news."""

    def __init__(self, ray: Any, out: int, idle_s: float) -> None:
        self._ray = ray
        self._out = out
        self._telling = threading.Lock()
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._shapes: dict[bytes, Shape] = {}
        self._running: dict[str, Actor] = {}
        self._open: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, **news: Any) -> None:
        """Send news, from any thread. A frame is written whole: the other end reads whenever it waits for us."""
        with self._telling:
            send(self._out, news)

    async def obey(self, reader: asyncio.StreamReader) -> None:
        """Take orders until there are no more."""
        self._spawn(self._look())
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                order = _decoder.decode(await reader.readexactly(size))
                getattr(self, f"_{order.pop('do')}")(**order)

    # --- orders -------------------------------------------------------------------------------------------------------

    def _submit(self, jobs: list[Any]) -> None:
        for name, demands, body in jobs:
            if name in self._open:
                continue
            self._open.add(name)
            shape = self._shapes.setdefault(_encoder.encode(demands), Shape(demands))
            shape.waiting.append((name, body, self._loop.time()))
            self._serve(shape)

    def _stop(self, name: str, grace_s: float) -> None:
        actor = self._running.get(name)
        if actor is not None:
            actor.handle.stop.options(concurrency_group="control").remote(name, grace_s)
            return
        for shape in self._shapes.values():
            for waiting in shape.waiting:
                if waiting[0] == name:
                    shape.waiting.remove(waiting)
                    self._end(name, {"end": "stopped"})
                    return

    def _find(self, no: int, names: list[str]) -> None:
        self._spawn(self._found(no, set(names)))

    async def _found(self, no: int, names: set[str]) -> None:
        """Which of these jobs actors perform now, whoever made the actors."""
        handles = []
        for name in await asyncio.to_thread(self._ray.util.list_named_actors):
            if name.startswith(ACTOR):
                with contextlib.suppress(ValueError):
                    handles.append(self._ray.get_actor(name))
        told = await asyncio.gather(*(self._asked(handle) for handle in handles))
        found = {}
        for handle, (doing, where) in zip(handles, told, strict=True):
            if doing in names:
                found[doing] = where
                if doing not in self._open:
                    self._open.add(doing)
                    actor = self._running[doing] = Actor(Shape({}), handle, where)
                    self._spawn(self._watched(doing, actor))
        for name in names & self._open:
            found.setdefault(name, "")
        self.tell(answer=no, found=found)

    async def _asked(self, handle: Any) -> tuple[str, str]:
        async def ask() -> tuple[str, str]:
            return await handle.doing.options(concurrency_group="control").remote(), await handle.where.options(
                concurrency_group="control"
            ).remote()

        try:
            return await asyncio.wait_for(ask(), ASK_S)
        except (TimeoutError, self._ray.exceptions.RayError):
            return "", ""

    async def _watched(self, name: str, actor: Actor) -> None:
        """Wait for the end of a job whose call is not ours."""
        while True:
            try:
                await actor.handle.wait.options(concurrency_group="watch").remote(name)
            except self._ray.exceptions.ActorUnavailableError:
                await asyncio.sleep(LOOK_S)
            except self._ray.exceptions.RayError as error:
                self._end(name, {"end": "gone", "why": words(error)})
                return
            else:
                self._end(name, {"end": "ended", "outcome": b""})
                return

    # --- jobs and actors ----------------------------------------------------------------------------------------------

    def _serve(self, shape: Shape) -> None:
        """Give jobs to idle actors, and make more while there may be room."""
        while shape.waiting and shape.idle:
            name, body, _ = shape.waiting.popleft()
            actor = self._running[name] = shape.idle.pop()
            # Called now, for a task of its own would begin a turn of the loop later.
            self._spawn(self._perform(actor, name, self._performed(actor, name, body)))
        while shape.starting < len(shape.waiting) and shape.actors < max(1, self._fitting(shape.demands)):
            shape.starting += 1
            shape.actors += 1
            self._spawn(self._start(shape))

    async def _perform(self, actor: Actor, name: str, performed: asyncio.Future[None]) -> None:
        """See a job to its end."""
        # Not at once: of a short job only the end is worth a message.
        saying = self._loop.call_later(SAID_AFTER_S, lambda: self.tell(name=name, where=actor.where))
        try:
            await performed
        except self._ray.exceptions.ActorUnavailableError:
            actor.shape.actors -= 1
            await self._watched(name, actor)
            return
        except self._ray.exceptions.RayError as error:
            actor.shape.actors -= 1
            self._end(name, {"end": "gone", "why": words(error)})
            return
        finally:
            saying.cancel()
        self._close(name)
        actor.idle_since = self._loop.time()
        actor.shape.idle.append(actor)
        self._serve(actor.shape)

    def _performed(self, actor: Actor, name: str, body: bytes) -> asyncio.Future[None]:
        """Have an actor perform a job. Its end is told from Ray's own thread: this one would have to be woken for it."""
        has_ended: asyncio.Future[None] = self._loop.create_future()

        def hear(call: Future[bytes]) -> None:
            error = call.exception()
            if error is None:
                self.tell(name=name, **_decoder.decode(call.result()))
            self._loop.call_soon_threadsafe(_settle, has_ended, error)

        actor.perform.remote(body).future().add_done_callback(hear)
        return has_ended

    def _end(self, name: str, end: dict[str, Any]) -> None:
        self._close(name)
        self.tell(name=name, **end)

    def _close(self, name: str) -> None:
        self._running.pop(name, None)
        self._open.discard(name)

    async def _start(self, shape: Shape) -> None:
        try:
            handle = self._new(shape.demands)
            where = await handle.where.options(concurrency_group="control").remote()
        except (ValueError, TypeError, self._ray.exceptions.RayError) as error:
            # Demands that Ray does not take, an environment that cannot be made.
            shape.actors -= 1
            if shape.waiting:
                name, _, _ = shape.waiting.popleft()
                self._end(name, {"end": "broken", "why": words(error)})
            return
        finally:
            shape.starting -= 1
        actor = Actor(shape, handle, where)
        actor.idle_since = self._loop.time()
        shape.idle.append(actor)
        self._serve(shape)

    def _new(self, demands: dict[str, Any]) -> Any:
        # Longer than ours: it ends by itself only when nobody is here any more.
        idle_s = 2 * self._idle_s + 10
        actor = self._ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"control": 4, "watch": 4})(
            Performer
        ).options(name=f"{ACTOR}{uuid.uuid4().hex[:16]}", lifetime="detached", **demands)
        return actor.remote(idle_s)

    def _fitting(self, demands: dict[str, Any]) -> int:
        """How many actors with these demands all nodes together might have."""
        has = self._total
        wants = {
            "CPU": demands.get("num_cpus", 0),
            "GPU": demands.get("num_gpus", 0),
            "memory": demands.get("memory", 0),
        }
        wants |= demands.get("resources", {})
        return min((int(has.get(name, 0.0) // amount) for name, amount in wants.items() if amount), default=64)

    async def _look(self) -> None:
        """Now and then: what the cluster has, who waits in vain, who is idle."""
        while True:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._total = await asyncio.to_thread(self._ray.cluster_resources)
                self.tell(room=int(self._total.get("CPU", 0)))
            now = self._loop.time()
            starved = False
            for shape in self._shapes.values():
                self._serve(shape)
                if shape.waiting and now - shape.waiting[0][2] > PATIENCE_S:
                    starved = True
                    why = self._why(shape)
                    for name, _, _ in shape.waiting:
                        self.tell(name=name, waits=why)
            for shape in self._shapes.values():
                self._let_go(shape, now - (LOOK_S if starved and not shape.waiting else self._idle_s))
            await asyncio.sleep(LOOK_S)

    def _why(self, shape: Shape) -> str:
        wants = ", ".join(f"{name}={amount}" for name, amount in sorted(shape.demands.items()) if name != "runtime_env")
        if not self._fitting(shape.demands):
            return f"no node of the Ray cluster has {wants}"
        return f"waits for room in the Ray cluster ({wants})"

    def _let_go(self, shape: Shape, before: float) -> None:
        for actor in [a for a in shape.idle if a.idle_since < before]:
            shape.idle.remove(actor)
            shape.actors -= 1
            actor.handle.leave.options(concurrency_group="control").remote()

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    _total: dict[str, float] = {}


def send(out: int, message: Message) -> None:
    """Write one frame, whole."""
    frame = memoryview(frame_of(message))
    while frame:
        frame = frame[os.write(out, frame) :]


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def words(error: BaseException) -> str:
    """An error of Ray in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:500] or type(error).__name__


async def _serve(ray: Any, out: int, idle_s: float) -> None:
    loop = asyncio.get_running_loop()
    # Of large orders one frame comes in many reads.
    reader = asyncio.StreamReader(limit=16 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    await Driver(ray, out, idle_s).obey(reader)
    # At once: what Ray does at the end of a driver takes long, and calls to a cluster that is away do not return.
    os._exit(0)


def main(out: int, settings: dict[str, Any]) -> None:
    """Connect, say so, and take orders."""
    import ray

    options: dict[str, Any] = {"namespace": "partita", "log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(**{**options, **settings["init"], "address": settings["address"]})
    except Exception as error:  # a boundary: whatever Ray raises is told
        send(out, {"failed": words(error)})
        return
    context = ray.get_runtime_context()
    send(out, {"ready": ray.__version__, "address": context.gcs_address})
    asyncio.run(_serve(ray, out, settings["idle_s"]))


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2]))
