"""What a worker is told when it starts, whichever way it is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from partita.define.calls import Call
from partita.define.secret import resolve_with
from partita.settings import Home
from partita.values.object_blobs import blobs_of
from partita.worker.capture import Capture
from partita.worker.context_backend import Send, say_used
from partita.worker.masking import Masker
from partita.worker.run_step import StepRunner
from partita.worker.secrets import SecretBook, Where


class Setup(msgspec.Struct, frozen=True):
    """Where a worker works and what it must keep to itself."""

    project: str
    home: str
    inline_bytes: int = 4096
    # Values that must never be written down.
    secrets: tuple[bytes, ...] = ()
    # 16 hexadecimal digits that mark this worker's log stream; "" = the streams are left alone.
    nonce: str = ""
    asynchronous: bool = False
    # It is no worker but the project's evaluator.
    evaluating: bool = False
    # Where further secrets are found when a step asks for them.
    where: Where = Where()
    # The address of the place for values; "" = the home's own folder.
    values: str = ""
    # The process with which it ends; 0 = it outlives whoever started it.
    host: int = 0


def runner_of(setup: Setup, calls: Mapping[str, Call], send: Send, capture: Capture) -> StepRunner:
    """What runs the tickets of this worker."""
    home = Home(Path(setup.home), values=setup.values)
    return StepRunner(
        calls,
        blobs_of(home),
        home,
        send,
        inline_bytes=setup.inline_bytes,
        mask=find_secrets(setup, capture),
        capture=capture,
    )


def find_secrets(setup: Setup, capture: Capture) -> Masker:
    """Have secrets found in this process from now on; what masks them."""
    mask = Masker(setup.secrets)

    def told(name: str, value: bytes) -> None:
        mask.add(value)
        capture.secret(value)
        say_used(name)

    book = SecretBook(Home(Path(setup.home)), setup.where, told)
    mask.add(*book.known())
    resolve_with(book.value)
    return mask
