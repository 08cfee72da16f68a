"""The engine's side of one worker, for tests: real descriptors, a real process, no executor."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from partita.core.values import Input, Value, Whole
from partita.settings import Home
from partita.values.blobs import FileBlobs
from partita.values.storing import load, store
from partita.worker import wire
from partita.worker.logs import PipeLog
from partita.worker.main import Setup
from partita.worker.masking import Masker
from partita.worker.wire import Brief, Outcome, Ticket

TIMEOUT_S = 30.0
NONCE = "0123456789abcdef"
SECRET = b"hunter2-secret"


class Engine:
    """Starts a worker and talks to it."""

    def __init__(self, home: Path, *, asynchronous: bool = False) -> None:
        self.home = Home(home)
        self.blobs = FileBlobs(self.home.blobs)
        self.sock, theirs = socket.socketpair()
        claims_out, self.claims = os.pipe()
        self.claims_out = claims_out
        self.output, into = os.pipe()
        told, tell = os.pipe()
        setup = Setup(str(home), str(home), secrets=(SECRET,), nonce=NONCE, asynchronous=asynchronous)
        os.write(tell, msgspec.msgpack.encode(setup))
        os.close(tell)
        fds = (theirs.fileno(), claims_out, told)
        steps = Path(__file__).with_name("steps.py")
        self.process = subprocess.Popen(
            [sys.executable, str(steps), *map(str, fds)],
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=into,
            pass_fds=fds,
            start_new_session=True,
            cwd=home,
        )
        theirs.close()
        os.close(told)
        os.close(into)
        os.set_blocking(claims_out, False)
        self._decoder: msgspec.msgpack.Decoder[Any] = wire.Decoder(wire.FromWorker)
        self._buffer = bytearray()
        self._briefs = 0
        self._tickets = 0
        self.messages: list[Any] = []
        self.sock.settimeout(TIMEOUT_S)

    # --- to the worker ---

    def brief(self, call: str, **more: Any) -> Brief:
        """Send a brief for a step that makes this call."""
        self._briefs += 1
        known = {"run": "run-1", "run_no": 7, "namespace": "default", "pipeline": "p", "step": f"the {call}", **more}
        brief = Brief(id=self._briefs, call=call, **known)
        self.sock.sendall(wire.frame(brief))
        return brief

    def ticket(self, brief: Brief, index: str = "", attempt: int = 1, **inputs: Any) -> Ticket:
        """A ticket with plain arguments; not sent yet."""
        self._tickets += 1
        sources = {name: self.input(value) for name, value in inputs.items()}
        return Ticket(self._tickets, brief.id, index, attempt, 3, sources)

    def input(self, value: Any) -> Input:
        return value if isinstance(value, Whole) else Whole(store(value, self.blobs))

    def hand_out(self, *tickets: Ticket) -> None:
        os.write(self.claims, b"".join(ticket.no.to_bytes(8, "big") for ticket in tickets))
        self.sock.sendall(wire.frame(wire.Tickets(list(tickets))))

    def take_back(self) -> list[int]:
        taken = []
        while True:
            try:
                taken.append(int.from_bytes(os.read(self.claims_out, 8), "big"))
            except BlockingIOError:
                return taken

    def send(self, message: wire.ToWorker) -> None:
        self.sock.sendall(wire.frame(message))

    # --- from the worker ---

    def frames(self) -> Iterator[Any]:
        """Messages as they come; ends when the worker has closed its side."""
        while True:
            for message in wire.frames(self._buffer, self._decoder):
                self.messages.append(message)
                yield message
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                return
            self._buffer += data

    def outcomes(self, count: int) -> list[Outcome]:
        """The next outcomes, in the order in which they came."""
        found: list[Outcome] = []
        for message in self.frames():
            if isinstance(message, wire.Outcomes):
                found += message.items
                if len(found) >= count:
                    return found
        raise AssertionError(f"the worker closed its side after {len(found)} of {count} outcomes: {self.read_output()}")

    def run(
        self, call: str, *, brief: dict[str, Any] | None = None, ticket: dict[str, Any] | None = None, **inputs: Any
    ) -> Outcome:
        """Perform one ticket."""
        made = self.ticket(self.brief(call, **(brief or {})), **inputs)
        self.hand_out(msgspec.structs.replace(made, **(ticket or {})))
        return self.outcomes(1)[0]

    def value(self, outcome: Outcome) -> Any:
        """What the step returned."""
        assert outcome.state == "succeeded", outcome
        assert isinstance(outcome.value, Value)
        return load(Whole(outcome.value), self.blobs)

    # --- ends ---

    def vanish(self) -> None:
        """Be gone as after kill -9: all descriptors close at once."""
        self.sock.close()
        os.close(self.claims)
        os.close(self.claims_out)
        self.claims = self.claims_out = -1

    def exit_code(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def read_output(self) -> bytes:
        """What the log pipe holds, without waiting."""
        os.set_blocking(self.output, False)
        data = b""
        while True:
            try:
                piece = os.read(self.output, 1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece

    def log_files(self) -> None:
        """Let the worker end, and write its log files as a host would."""
        self.send(wire.Exit())
        self.exit_code()
        log = PipeLog(self.home.logs, NONCE, Masker([SECRET]))
        log.feed(self.read_output(), now=1_000_000_000.0)
        log.close(now=1_000_000_001.0)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.sock.close()
        for fd in (self.claims, self.claims_out, self.output):
            if fd >= 0:
                os.close(fd)


def wait_for_file(path: Path) -> None:
    """Return when the file is there; it is made by another process."""
    deadline = time.monotonic() + TIMEOUT_S
    selector = selectors.DefaultSelector()
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} was never made"
        selector.select(0.005)
    selector.close()
