"""The worker process for coroutines: one event loop, thousands of tickets under way at once.

Rule: everything happens in the loop's thread and nothing there waits for the engine; what comes back within one turn
of the loop leaves in one frame.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from partita.core.events import Detail, Failure
from partita.define.calls import Call
from partita.settings import Home
from partita.worker import wire
from partita.worker.capture import Capture, SharedCapture, take_streams
from partita.worker.claims import Claims
from partita.worker.recent import Recent, frame_of
from partita.worker.run_step import Plan
from partita.worker.setup import Setup, runner_of
from partita.worker.wire import Outcome, Ticket

_READ = 1 << 18
_FLUSH_AT = 64


def serve_async(sock: socket.socket, claim_fd: int, calls: Mapping[str, Call], setup: Setup) -> None:
    """Be a worker for coroutines until told to exit, or until the engine is gone."""
    capture = SharedCapture(setup.nonce) if setup.nonce else Capture()
    if setup.nonce:
        take_streams(capture)
    asyncio.run(AsyncWorker(sock, claim_fd, calls, setup, capture).serve())


class AsyncWorker:
    """The loop of a worker that runs coroutines."""

    def __init__(
        self, sock: socket.socket, claim_fd: int, calls: Mapping[str, Call], setup: Setup, capture: Capture
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.claims = Claims(claim_fd)
        self.runner = runner_of(setup, calls, self.send, capture)
        self.runner.shared = True
        self.recent = Recent(Home(Path(setup.home)).spool)
        self.plans: dict[int, Plan] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        # Tickets that somebody asked to end, and why.
        self._reasons: dict[int, str] = {}
        self._decoder: msgspec.msgpack.Decoder[Any] = wire.Decoder(wire.ToWorker)
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._done: list[Outcome] = []
        self._done_tickets: list[Ticket] = []
        self._exiting = False
        self._gone = False

    async def serve(self) -> None:
        """The worker's life."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._end = asyncio.Event()
        signal.signal(signal.SIGINT, lambda number, frame: None)
        self._loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        self.send(wire.Hello(os.getpid()))
        self._loop.add_reader(self.sock, self._receive)
        await self._end.wait()
        self._flush()
        self._loop.remove_reader(self.sock)
        self._loop.remove_writer(self.sock)
        self._send_rest()
        if self._gone:
            self.recent.spool(self.claims.never_begun(), self.plans)

    def send(self, message: wire.FromWorker) -> None:
        """Send a message; it leaves as soon as the engine takes it. Any thread."""
        self.recent.heard(message)
        data = wire.frame(message)
        if threading.get_ident() == self._thread:
            self._put(data)
        else:
            self._loop.call_soon_threadsafe(self._put, data)

    # --- in the loop ------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            data = self.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose_engine()
            return
        self._incoming += data
        for message in wire.frames(self._incoming, self._decoder):
            if isinstance(message, wire.Tickets):
                self.claims.queue.extend(message.items)
            elif isinstance(message, wire.Brief):
                self.plans[message.id] = self.runner.plan(message)
            elif isinstance(message, wire.CancelTicket):
                self._cancel(message.no, message.reason)
            else:
                self._exiting = True
        self._begin()
        self._end_if_idle()

    def _begin(self) -> None:
        while self.claims.queue and not self._exiting:
            ticket = self.claims.next()
            if ticket is None:
                return
            self.tasks[ticket.no] = self._loop.create_task(self._perform(ticket))

    async def _perform(self, ticket: Ticket) -> None:
        outcome = await self.runner.run_async(self.plans[ticket.brief], ticket)
        del self.tasks[ticket.no]
        if self._reasons.pop(ticket.no, "") == "timeout" and outcome.state == "cancelled":
            outcome = replace(outcome, state="timed_out", detail=Detail(failure=Failure("timed out", cause="timeout")))
        if not self._done:
            self._loop.call_soon(self._flush)
        self._done.append(outcome)
        self._done_tickets.append(ticket)
        if len(self._done) >= _FLUSH_AT:
            self._flush()

    def _cancel(self, no: int, reason: str) -> None:
        task = self.tasks.get(no)
        if task is not None:
            self._reasons[no] = reason
            task.cancel()

    def _flush(self) -> None:
        if self._done:
            outcomes, tickets = self._done[:], self._done_tickets[:]
            self._done.clear()
            self._done_tickets.clear()
            self.recent.remember(tickets, outcomes)
            self._put(frame_of(outcomes))
        self._end_if_idle()

    def _put(self, data: bytes) -> None:
        was_waiting = bool(self._outgoing)
        self._outgoing += data
        if not was_waiting:
            self._send_rest()
            if self._outgoing and not self._gone:
                self._loop.add_writer(self.sock, self._send_rest)

    def _send_rest(self) -> None:
        while self._outgoing and not self._gone:
            try:
                sent = self.sock.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self._lose_engine()
                return
            del self._outgoing[:sent]
        self._loop.remove_writer(self.sock)

    # --- ends -------------------------------------------------------------------------------------------------------

    def _lose_engine(self) -> None:
        """What runs is finished; nothing new begins."""
        self._gone = self._exiting = True
        self._outgoing.clear()
        self._loop.remove_reader(self.sock)
        self._end_if_idle()

    def _on_sigterm(self) -> None:
        """The host wants this worker to end: every coroutine is asked to."""
        self._exiting = True
        for no in list(self.tasks):
            self._cancel(no, "cancelled")
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._exiting and not self.tasks and not self._done and (self._gone or not self._outgoing):
            self._end.set()
