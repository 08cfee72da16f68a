"""Before and after a container in its own pod: its inputs come out of the exchange, its outputs go into it.

    python -m partita.executors.clusters.container_stage --exchange ADDRESS --name NAME --folder FOLDER in|out

Both share a folder with the container, in which each input is a file and each folder of outputs is one: it knows nothing of it.

Rule: what the container has left is not followed (a link could lead to any file of ours) and not believed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import posixpath
import stat
import sys
from pathlib import Path

from partita.define.container_beside import Asked, Output
from partita.define.container_files import MOST_BYTES
from partita.errors import PartitaError
from partita.executors.clusters.container_parts import Parts
from partita.executors.clusters.exchange import Exchange


def input_at(number: int) -> str:
    """The file in the shared folder that is an input."""
    return f"in{number}"


def output_folder_at(path: str) -> str:
    """The folder in the shared folder that is that of an output in the container.

    >>> output_folder_at("/out/report.json") == output_folder_at("/out/rows.csv")
    True
    """
    return f"out-{hashlib.sha256(posixpath.dirname(path).encode()).hexdigest()[:16]}"


def main(arguments: list[str] | None = None) -> int:
    """Carry files in or out; the exit status."""
    parser = argparse.ArgumentParser(prog="partita.executors.clusters.container_stage")
    for option in ("--exchange", "--name", "--folder"):
        parser.add_argument(option, required=True)
    parser.add_argument("way", choices=("in", "out"))
    options = parser.parse_args(arguments)
    parts, folder = Parts(Exchange.at(options.exchange), options.name), Path(options.folder)
    try:
        asked = parts.asked()
        if asked is None:
            raise PartitaError(f"{options.exchange} has no container of {options.name}", hint="its job was removed")
        (bring_in if options.way == "in" else take_out)(parts, asked, folder)
    except PartitaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def bring_in(parts: Parts, asked: Asked, folder: Path) -> None:
    """Write the inputs, make the folders of the outputs."""
    for number, target in enumerate(asked.inputs):
        data = parts.file("in", number)
        if data is None:
            raise PartitaError(f"the exchange has no input {target}", hint="its job was removed")
        file = folder / input_at(number)
        file.write_bytes(data)
        file.chmod(0o644)
    for path in asked.outputs:
        made = folder / output_folder_at(path)
        made.mkdir(exist_ok=True)
        # Whoever the program runs as may write there.
        made.chmod(0o777)


def take_out(parts: Parts, asked: Asked, folder: Path) -> None:
    """Leave the outputs in the exchange, and what became of each."""
    states: list[Output] = []
    for number, path in enumerate(asked.outputs):
        state, data = _left(folder / output_folder_at(path) / posixpath.basename(path))
        if state == "there":
            parts.put_file("out", number, data)
        states.append(state)
    parts.put_left(states)


def _left(path: Path) -> tuple[Output, bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except PermissionError as error:
        raise PartitaError(
            f"{path.name} cannot be read by user {os.getuid()}",
            hint="let the container and the executor's image run as the same user, or make its outputs readable",
        ) from error
    except OSError:
        return "missing", b""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return "missing", b""
        if status.st_size > MOST_BYTES:
            return "too_large", b""
        return "there", file.read()


if __name__ == "__main__":
    sys.exit(main())
