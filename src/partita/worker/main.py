"""The worker process: takes tickets, runs them one after the other, answers with outcomes.

Starting. A host forks and calls `serve` in the child, with the worker's end of its socket, the read end of its claim
pipe, and both 1 and 2 on the log pipe; or it starts `python -m partita.worker.main` with the numbers of these
descriptors and one from which the `Setup` is read. The worker must lead a process group of its own.

Ending. `Exit` lets it finish what has begun. A closed socket means that the engine is gone: the step that runs is
finished, and its outcome goes to the spool, together with what was sent last and may not have been read.

Stopping a step. The host sends SIGTERM, which raises `Cancelled` in user code. To hit the right step the engine first
takes back from the claim pipe all that has not begun: then the worker is at the last ticket that it has claimed, or
already behind it. SIGTERM without a step ends the worker.

Rule: nothing but the main thread takes or runs tickets; a ticket is begun only by reading its number from the pipe.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from partita.define.calls import Call
from partita.errors import Cancelled
from partita.settings import Home
from partita.worker import wire
from partita.worker.capture import Capture, take_streams
from partita.worker.claims import Claims
from partita.worker.recent import Recent, frame_of
from partita.worker.run_step import Plan
from partita.worker.setup import Setup, runner_of
from partita.worker.wire import Outcome, Ticket

_READ = 1 << 18
_FLUSH_AT = 64
_FLUSH_AFTER_S = 0.002


class EngineGone(Exception):
    """Nobody is at the other end of the socket."""


class _Stop(BaseException):
    """SIGTERM while no step was running."""


def serve(sock_fd: int, claim_fd: int, calls: Mapping[str, Call], setup: Setup) -> None:
    """Be a worker until told to exit, or until the engine is gone. Returns when all outcomes are sent or spooled."""
    sock = socket.socket(fileno=sock_fd)
    if setup.host:
        # Needed beside engines of others only.
        from partita.worker.bond import end_with

        end_with(setup.host)
    if setup.asynchronous:
        from partita.worker.main_async import serve_async

        serve_async(sock, claim_fd, calls, setup)
        return
    capture = Capture(setup.nonce)
    if setup.nonce:
        take_streams(capture)
        # The Python stack of a crash in native code goes to the log of the step that crashed.
        faulthandler.enable(2)
    Worker(sock, claim_fd, calls, setup, capture).serve()


class Worker:
    """The loop of a worker that runs one ticket at a time."""

    def __init__(
        self, sock: socket.socket, claim_fd: int, calls: Mapping[str, Call], setup: Setup, capture: Capture
    ) -> None:
        sock.setblocking(True)
        self.sock = sock
        self.claims = Claims(claim_fd)
        self.capture = capture
        self.runner = runner_of(setup, calls, self.send, capture)
        self.runner.home_fd = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        self.recent = Recent(Home(Path(setup.home)).spool)
        self.plans: dict[int, Plan] = {}
        self._decoder: msgspec.msgpack.Decoder[Any] = wire.Decoder(wire.ToWorker)
        self._buffer = bytearray()
        self._done: list[Outcome] = []
        self._done_tickets: list[Ticket] = []
        self._flushed_at = 0.0
        self._sending = threading.Lock()
        self._waiting = False
        self._exiting = False
        self._flushing = False
        self._pid = os.getpid()

    def serve(self) -> None:
        """The worker's life."""
        # A handler, not SIG_IGN: programs that user code starts must not inherit it.
        signal.signal(signal.SIGINT, _ignore)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGURG, self._on_sigurg)
        # System calls of user code that the signal interrupts are taken up again.
        signal.siginterrupt(signal.SIGURG, False)
        try:
            self.send(wire.Hello(os.getpid()))
            while not self._exiting:
                self._work()
                self._flush()
                self.capture.end()
                if not self._exiting:
                    self._receive()
        except EngineGone:
            self.recent.spool(self.claims.never_begun(), self.plans)
        except _Stop:
            self._last_flush()

    def send(self, message: wire.FromWorker) -> None:
        """Send a message now, from any thread. What user code reports is dropped when nobody is there to hear it."""
        self.recent.heard(message)
        data = wire.frame(message)
        try:
            with self._sending:
                self.sock.sendall(data)
        except OSError:
            return

    def _work(self) -> None:
        """Run what is ours of the tickets that have come."""
        run, claim, queue = self.runner.run, self.claims.next, self.claims.queue
        done, done_tickets = self._done, self._done_tickets
        while queue and not self._exiting:
            ticket = claim()
            if ticket is None:
                return
            try:
                outcome = run(self.plans[ticket.brief], ticket)
            except Cancelled:
                # SIGTERM in the instant between the user's own exception and its being caught.
                outcome = self.runner.cancelled(ticket)
            done.append(outcome)
            done_tickets.append(ticket)
            if len(done) >= _FLUSH_AT or outcome.ended_at - self._flushed_at > _FLUSH_AFTER_S:
                self._flush()

    def _receive(self) -> None:
        """Wait for frames and take them in."""
        self._waiting = True
        try:
            data = self.sock.recv(_READ)
        except OSError:
            data = b""
        finally:
            self._waiting = False
        if not data:
            raise EngineGone
        self._buffer += data
        for message in wire.frames(self._buffer, self._decoder):
            kind = type(message)
            if kind is wire.Tickets:
                self.claims.queue.extend(message.items)
            elif kind is wire.Brief:
                self.plans[message.id] = self.runner.plan(message)
            elif kind is wire.Exit:
                self._exiting = True
        self._flushed_at = time.time()

    def _flush(self) -> None:
        """Send all outcomes that are there."""
        if not self._done or self._flushing:
            return
        self._flushing = True
        outcomes, tickets = self._done[:], self._done_tickets[:]
        self._done.clear()
        self._done_tickets.clear()
        self.recent.remember(tickets, outcomes)
        data = frame_of(outcomes)
        try:
            with self._sending:
                self.sock.sendall(data)
        except OSError:
            raise EngineGone from None
        finally:
            self._flushing = False
        self._flushed_at = time.time()

    def _last_flush(self) -> None:
        try:
            self._flush()
        except EngineGone:
            self.recent.spool([], self.plans)

    def _on_sigurg(self, number: int, frame: object) -> None:
        """The engine waits for outcomes that we have gathered, while a long step runs in front of the next flush."""
        # Only on top of user code: elsewhere the loop is about to flush by itself, or holds the lock.
        if os.getpid() == self._pid and self.runner.in_user_code and not self._sending.locked():
            with contextlib.suppress(EngineGone):
                self._flush()

    def _on_sigterm(self, number: int, frame: object) -> None:
        if os.getpid() != self._pid:
            # A process that user code forked: it dies as if we had never been here.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        attempt = self.runner.attempt
        if attempt is not None:
            attempt.cancelled = True
            if self.runner.in_user_code:
                self.runner.in_user_code = False
                raise Cancelled
        elif self._waiting:
            raise _Stop
        else:
            self._exiting = True


def _ignore(number: int, frame: object) -> None:
    """The terminal's Ctrl-C goes to the engine, which decides."""


def main(arguments: list[str] | None = None) -> int:
    """`python -m partita.worker.main --sock N --claims N --setup N`: a worker in an interpreter of its own."""
    import argparse

    parser = argparse.ArgumentParser(prog="partita.worker", description="A worker; started by Partita itself.")
    parser.add_argument("--sock", type=int, required=True, help="descriptor of the socket to the engine")
    parser.add_argument("--claims", type=int, required=True, help="descriptor of the claim pipe")
    parser.add_argument("--setup", type=int, required=True, help="descriptor from which the setup is read")
    options = parser.parse_args(arguments)
    with os.fdopen(options.setup, "rb") as file:
        setup = msgspec.msgpack.decode(file.read(), type=Setup)
    from partita.define.project import load

    project = load(Path(setup.project))
    serve(options.sock, options.claims, project.calls, setup)
    return 0


__all__ = ["EngineGone", "Setup", "Worker", "main", "serve"]

if __name__ == "__main__":
    sys.exit(main())
