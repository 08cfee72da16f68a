"""The evaluator: a process of the user's project that carries out small functions for the engine, many at a time.

Plain functions run in threads, `async def` ones in a loop of their own thread, so that neither holds up the other or the
socket. A function that does not end in its time is answered for and left behind; the engine replaces an evaluator in
which that happened too often.

Started like a worker: forked by the host, or as `python -m partita.worker.evaluating` with the numbers of its
descriptors. It ends when the engine closes the socket.

Rule: nothing waits for the engine here, and no question waits for another one's function as long as there is a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from partita.core.events import Failure
from partita.worker import questions
from partita.worker.answering import Functions, answer, driven, told
from partita.worker.capture import Capture
from partita.worker.masking import Masker
from partita.worker.questions import Answer, Answered, Ask
from partita.worker.setup import Setup, find_secrets
from partita.worker.spoken import Spoken, listen

if TYPE_CHECKING:
    from partita.define.project import Project

THREADS = 24
STUCK = 8
"""So many functions that do not end: then the engine starts another evaluator."""
_COROUTINES = 1000
# A coroutine that was told to end has so long to do it.
_GRACE_S = 1.0
_BIGGEST = 64 << 20


def evaluate(sock_fd: int, project: Project, setup: Setup) -> None:
    """Be an evaluator until the engine closes the socket."""
    listen()
    functions = Functions(project.calls, project.pipelines)
    mask = find_secrets(setup, Capture(setup.nonce))
    asyncio.run(Evaluating(functions, mask).serve(socket.socket(fileno=sock_fd)))
    # Threads that hang in user code are nobody to wait for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Evaluating:
    """The life of an evaluator."""

    def __init__(self, functions: Functions, masker: Masker) -> None:
        self._functions = functions
        self._masker = masker
        self._threads = asyncio.Semaphore(THREADS)
        self._coroutines = asyncio.Semaphore(_COROUTINES)
        # Those that are stuck keep their thread, and so many more are left.
        self._pool = ThreadPoolExecutor(THREADS + 2 * STUCK, thread_name_prefix="evaluate")
        self._stuck = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, sock: socket.socket) -> None:
        """Answer until the other side closes."""
        sock.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=sock, limit=1 << 20)
        self._say(Answered(0))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                if size > _BIGGEST:
                    return
                body = await reader.readexactly(size)
                task = asyncio.create_task(self._take(body))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _say(self, answered: Answered) -> None:
        if not self._writer.is_closing():
            self._writer.write(questions.frame(answered))

    async def _take(self, body: bytes) -> None:
        ask = questions.ask_decoder.decode(body)
        is_async = self._functions.is_async(ask.request)
        async with self._coroutines if is_async else self._threads:
            spoken, began = Spoken(), time.monotonic()
            future = self._begin(ask, spoken, is_async)
            done, _ = await asyncio.wait({asyncio.wrap_future(future)}, timeout=ask.timeout_s)
            if not done:
                # Known as stuck before it is answered for.
                await self._leave_behind(future, is_async)
            answered = self._answered(ask, future if done else None)
        self._say(
            msgspec.structs.replace(
                answered,
                output=self._masker.text(spoken.text()),
                took_s=time.monotonic() - began,
                stuck=self._stuck,
            )
        )

    def _begin(self, ask: Ask, spoken: Spoken, is_async: bool) -> Future[Answer]:
        if is_async:
            return asyncio.run_coroutine_threadsafe(self._heard(ask, spoken), self._user_loop())
        context = contextvars.copy_context()
        return self._pool.submit(context.run, lambda: driven(self._heard(ask, spoken)))

    async def _heard(self, ask: Ask, spoken: Spoken) -> Answer:
        spoken.here()
        try:
            return await answer(ask.request, self._functions)
        except (SystemExit, KeyboardInterrupt) as error:
            # A function that exits ends itself, not the evaluator.
            raise RuntimeError(f"it ended with {type(error).__name__}: {error}") from error

    async def _leave_behind(self, future: Future[Answer], is_async: bool) -> None:
        if is_async:
            future.cancel()
            ended = threading.Event()
            assert self._loop is not None
            self._loop.call_soon_threadsafe(ended.set)
            # A loop that does not take this up is held by somebody's blocking call.
            if await asyncio.to_thread(ended.wait, _GRACE_S):
                return
        self._stuck += 1
        loop = asyncio.get_running_loop()
        if is_async:
            # Further coroutines get another loop.
            self._loop = None
        else:
            future.add_done_callback(lambda _: _call_in(loop, self._unstick))

    def _unstick(self) -> None:
        self._stuck -= 1

    def _answered(self, ask: Ask, future: Future[Answer] | None) -> Answered:
        if future is None:
            return Answered(
                ask.no, failure=Failure(f"it took longer than {ask.timeout_s:g} s", ("TimeoutError",), cause="timeout")
            )
        error = future.exception()
        if error is None:
            return Answered(ask.no, self._masked(future.result()))
        failure = told(error)
        return Answered(
            ask.no,
            failure=msgspec.structs.replace(
                failure,
                message=self._masker.text(failure.message),
                traceback=self._masker.text(failure.traceback),
            ),
        )

    def _masked(self, answer: Answer) -> Answer:
        """The answer without secrets in what people read of it."""
        if isinstance(answer, questions.SensorLook):
            return msgspec.structs.replace(answer, skipped=self._masker.text(answer.skipped))
        if isinstance(answer, questions.ConditionMet):
            return msgspec.structs.replace(answer, reason=self._masker.text(answer.reason))
        if isinstance(answer, questions.ResourceTested):
            return msgspec.structs.replace(answer, message=self._masker.text(answer.message))
        return answer

    def _user_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the user's coroutines, in a thread of its own."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="evaluate-async", daemon=True).start()
        return self._loop


def _call_in(loop: asyncio.AbstractEventLoop, function: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
        loop.call_soon_threadsafe(function)  # type: ignore[arg-type]


def main(arguments: list[str] | None = None) -> int:
    """`python -m partita.worker.evaluating --sock N --setup N`: an evaluator in an interpreter of its own."""
    import argparse

    parser = argparse.ArgumentParser(prog="partita.worker.evaluating", description="Started by Partita itself.")
    parser.add_argument("--sock", type=int, required=True, help="descriptor of the socket to the engine")
    parser.add_argument("--setup", type=int, required=True, help="descriptor from which the setup is read")
    options = parser.parse_args(arguments)
    with os.fdopen(options.setup, "rb") as file:
        setup = msgspec.msgpack.decode(file.read(), type=Setup)
    from partita.define.project import load

    evaluate(options.sock, load(Path(setup.project)), setup)
    return 0


if __name__ == "__main__":
    sys.exit(main())
