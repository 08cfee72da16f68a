"""How much a worker adds to a step: one forked worker, no-op tickets, frames of 1 and of 64.

`python bench/worker_roundtrip.py` prints microseconds per step: in the worker (from the beginning of one step to the
beginning of the next), and per round trip as the engine sees it, beside a bare echo over the same kind of socket.
"""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
import time
from typing import Any

import msgspec

from partita.core.values import Value, Whole
from partita.define.calls import Call
from partita.worker import wire
from partita.worker.main import Setup, serve
from partita.worker.wire import Brief, Outcome, Ticket

_ROUNDS = {1: 5000, 64: 500}
_REPEATS = 5


def noop() -> None: ...


def add(a: int, b: int) -> int:
    return a + b


class Worker:
    """A forked worker and the engine's ends to it."""

    def __init__(self, home: str, *, logged: bool) -> None:
        self.sock, theirs = socket.socketpair()
        claims_out, self.claims = os.pipe()
        output, into = os.pipe()
        calls = {"noop": Call("noop", noop), "add": Call("add", add)}
        setup = Setup(home, home, nonce="0123456789abcdef" if logged else "")
        self.pid = os.fork()
        if self.pid == 0:
            self.sock.close()
            os.close(self.claims)
            os.close(output)
            if logged:
                os.dup2(into, 1)
                os.dup2(into, 2)
            serve(theirs.detach(), claims_out, calls, setup)
            os._exit(0)
        theirs.close()
        os.close(into)
        threading.Thread(target=_drain, args=(output,), daemon=True).start()
        self._decoder: msgspec.msgpack.Decoder[Any] = wire.Decoder(wire.FromWorker)
        self._buffer = bytearray()
        self._no = 0
        self.sock.sendall(wire.frame(Brief(1, "r", 1, "n", "p", "noop", "noop")))
        shared = {"b": Whole(Value("plain", 1, b"\x01"))}
        self.sock.sendall(wire.frame(Brief(2, "r", 1, "n", "p", "add", "add", inputs=shared)))

    def round_trip(self, brief: int, count: int) -> list[Outcome]:
        tickets = []
        for _ in range(count):
            self._no += 1
            inputs = {"a": Whole(Value("plain", 1, b"\x02"))} if brief == 2 else {}
            tickets.append(Ticket(self._no, brief, "", 1, 1, inputs))
        os.write(self.claims, b"".join(ticket.no.to_bytes(8, "big") for ticket in tickets))
        self.sock.sendall(wire.frame(wire.Tickets(tickets)))
        outcomes: list[Outcome] = []
        while len(outcomes) < count:
            self._buffer += self.sock.recv(1 << 18)
            for message in wire.frames(self._buffer, self._decoder):
                if isinstance(message, wire.Outcomes):
                    outcomes += message.items
        return outcomes

    def close(self) -> None:
        self.sock.sendall(wire.frame(wire.Exit()))
        os.waitpid(self.pid, 0)


def _drain(fd: int) -> None:
    # As the host does: in large pieces, not at every mark.
    while os.read(fd, 1 << 20):
        time.sleep(0.02)


def measure(worker: Worker, brief: int, count: int) -> tuple[float, float]:
    """Medians in microseconds: per round trip and step, and from step to step within the worker."""
    trips, inside = [], []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        for _ in range(_ROUNDS[count]):
            outcomes = worker.round_trip(brief, count)
            if count > 1:
                inside.append((outcomes[-1].began_at - outcomes[0].began_at) / (count - 1))
        trips.append((time.perf_counter() - began) / _ROUNDS[count] / count)
    return statistics.median(trips) * 1e6, statistics.median(inside) * 1e6 if inside else 0.0


def bare_echo() -> float:
    """A frame of the same size there and back without any work, in microseconds."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        while data := theirs.recv(1 << 16):
            theirs.sendall(data)
        os._exit(0)
    theirs.close()
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        for _ in range(_ROUNDS[1]):
            ours.sendall(b"x" * 60)
            ours.recv(1 << 16)
        times.append((time.perf_counter() - began) / _ROUNDS[1])
    ours.close()
    os.wait()
    return statistics.median(times) * 1e6


def main() -> None:
    print(f"bare echo over a socket pair    {bare_echo():6.1f} µs")
    with tempfile.TemporaryDirectory() as home:
        for logged in (False, True):
            worker = Worker(home, logged=logged)
            for name, brief in (("no-op", 1), ("add", 2)):
                for count in _ROUNDS:
                    trip, inside = measure(worker, brief, count)
                    within = f", {inside:5.1f} µs in the worker" if inside else ""
                    logs = "with logs" if logged else "no logs  "
                    print(f"{name:5} {logs} frames of {count:2}  {trip:6.1f} µs a step{within}")
            worker.close()


if __name__ == "__main__":
    main()
