"""A container step whose container somebody else runs: an engine that starts images itself, beside this process.

    <folder>/in/<n>        the inputs
    <folder>/asked         what is to be run, when all inputs are there
    <folder>/stop          it is to end
    <folder>/log           what it writes, as it comes
    <folder>/out/<n>       the outputs
    <folder>/ended         how it ended, when all else is there

The folder is what `FOLDER_VARIABLE` says. Who serves it (executors/clusters/beside.py) is another process of this machine.

Rule: the same step, the same results and the same errors as with a runtime of this machine; what cannot be the same is refused.
"""

from __future__ import annotations

import codecs
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from partita.core.placement import size
from partita.define.container_files import (
    ContainerFailed,
    ContainerOutOfMemory,
    missing,
    read,
    too_large,
    written,
)
from partita.define.program import TAIL_LINES, ending, last_lines, pass_on, result_of
from partita.errors import UserCodeError

FOLDER_VARIABLE: Final = "PARTITA_CONTAINER_FOLDER"
Output = Literal["there", "missing", "too_large"]
_LOOK_S: Final = 0.1
_KILLED: Final = 137


class Asked(msgspec.Struct, frozen=True):
    """A container as the step wants it; memory in bytes."""

    image: str
    args: list[str] = []
    entrypoint: str | None = None
    env: dict[str, str] = {}
    inputs: list[str] = []
    outputs: list[str] = []
    # What is refused: an engine's machines have none of this one's folders.
    volumes: list[str] = []
    workdir: str | None = None
    user: str | None = None
    network: str | None = None
    pull: str = "missing"
    memory: int | None = None


class Ended(msgspec.Struct, frozen=True):
    """How it ended. `code` None: not by itself, and `note` says why. `outputs`: what became of each."""

    code: int | None = None
    out_of_memory: bool = False
    note: str = ""
    outputs: list[Output] = []


def run_beside(
    folder: Path, asked: Asked, inputs: Mapping[str, Any], outputs: Mapping[str, str], result: str, grace_s: float
) -> Any:
    """Have a container run to its end. Raises as `run_container` does."""
    for name in ("in", "out"):
        (folder / name).mkdir(exist_ok=True)
    for number, (target, value) in enumerate(inputs.items()):
        _put(folder / "in", str(number), value, target)
    leave(folder / "asked", msgspec.msgpack.encode(asked))
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    most = None if not outputs and result in ("text", "json") else TAIL_LINES
    try:
        kept = pass_on(_lines(folder), sys.stdout, tail, most)
    except BaseException:
        leave(folder / "stop", b"")
        _wait(folder, grace_s)
        raise
    ended = msgspec.msgpack.decode((folder / "ended").read_bytes(), type=Ended)
    if ended.code != 0:
        raise _failure(asked, ended, last_lines(tail))
    if not outputs:
        return result_of(kept, result)
    return {
        name: _output(folder / "out" / str(number), name, path, ended.outputs[number])
        for number, (name, path) in enumerate(outputs.items())
    }


def leave(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def _put(folder: Path, name: str, value: Any, target: str) -> None:
    found = written(folder / name, value, target)
    if found.is_dir():
        raise UserCodeError(
            f"{found} is a folder, and an input is a file where the container runs elsewhere",
            hint="hand on its files, or use a volume of the executor",
        )
    if found != folder / name:
        (folder / name).symlink_to(found)


def _lines(folder: Path) -> Iterator[str]:
    """What the container writes, until it has ended."""
    text, begun = codecs.getincrementaldecoder("utf-8")("replace"), ""
    offset = 0
    while True:
        # In this order: what is in the log then is all of it.
        has_ended = (folder / "ended").exists()
        data = _behind(folder / "log", offset)
        offset += len(data)
        *lines, begun = (begun + text.decode(data, has_ended)).split("\n")
        yield from (f"{line}\n" for line in lines)
        if lines:
            sys.stdout.flush()
        if has_ended:
            if begun:
                yield begun
            return
        time.sleep(_LOOK_S)


def _behind(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""


def _wait(folder: Path, grace_s: float) -> None:
    """Until the container has ended; by force it ends with this process, so this is for the last of its log."""
    until = time.monotonic() + max(0.0, grace_s - 1.0)
    while not (folder / "ended").exists() and time.monotonic() < until:
        time.sleep(_LOOK_S)


def _failure(asked: Asked, ended: Ended, told: str) -> UserCodeError:
    if ended.code is None:
        return UserCodeError(f"the container of {asked.image} {ended.note}")
    if ended.out_of_memory or (ended.code == _KILLED and asked.memory):
        at = f" of {size(asked.memory)}" if asked.memory else ""
        return ContainerOutOfMemory(f"out of memory: the container was killed at its limit{at}{told}")
    why = f" ({ended.note})" if ended.note else ""
    return ContainerFailed(f"the container failed: {ending(ended.code)}{why}{told}", ended.code)


def _output(source: Path, name: str, path: str, state: Output) -> Any:
    if state == "too_large":
        raise too_large(name)
    if state == "missing":
        raise missing(name, path)
    return read(source, name, path)


def folder_of(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder to ask in; None: containers are run by a runtime of this machine."""
    found = environment.get(FOLDER_VARIABLE)
    return Path(found) if found else None
