"""A disk under SQLite that remembers every write and sync, and that fails when it is told to.

It stands between SQLite and the real files as a VFS. From what it remembers, `image` makes the files as they may be
found after a power loss: what was synced is there; of what was written since, any part, torn anywhere.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw

_numbers = itertools.count()
SECTOR = 512


class Op(NamedTuple):
    """One thing done to a file. `kind`: "write", "truncate", "sync" or "delete"."""

    kind: str
    file: str
    offset: int = 0
    data: bytes = b""


class Disk(apsw.VFS):
    """The VFS; `name` is what to open a database with. `fault(kind, file)` may raise an `apsw.Error`."""

    def __init__(self, fault: Callable[[str, str], None] = lambda kind, file: None) -> None:
        self.name = f"test-disk-{next(_numbers)}"
        self.ops: list[Op] = []
        self.fault = fault
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.fault("delete", Path(filename).name)
        super().xDelete(filename, syncdir)
        self.ops.append(Op("delete", Path(filename).name))

    def image(self, folder: Path, moment: int, rng: random.Random) -> None:
        """Write the files into `folder` as a power loss after `moment` operations may leave them."""
        contents: dict[str, bytearray] = {}
        for name in {op.file for op in self.ops[:moment]}:
            ops = [op for op in self.ops[:moment] if op.file == name]
            synced = max((at for at, op in enumerate(ops) if op.kind in ("sync", "delete")), default=-1)
            survivors = ops[: synced + 1] + [op for op in ops[synced + 1 :] if rng.random() < 0.5]
            for at, op in enumerate(survivors):
                _apply(contents, op, rng if at > synced and rng.random() < 0.3 else None)
        for name, content in contents.items():
            (folder / name).write_bytes(content)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._file = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        disk.fault("open", self._file)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.fault("write", self._file)
        super().xWrite(data, offset)
        self._disk.ops.append(Op("write", self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._disk.fault("truncate", self._file)
        super().xTruncate(newsize)
        self._disk.ops.append(Op("truncate", self._file, newsize))

    def xSync(self, flags: int) -> None:
        self._disk.fault("sync", self._file)
        super().xSync(flags)
        self._disk.ops.append(Op("sync", self._file))

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.fault("read", self._file)
        return super().xRead(amount, offset)


def _apply(contents: dict[str, bytearray], op: Op, tear: random.Random | None) -> None:
    """Do one operation; `tear`: only some sectors of a write arrive."""
    if op.kind == "delete":
        contents.pop(op.file, None)
        return
    content = contents.setdefault(op.file, bytearray())
    if op.kind == "truncate":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
    elif op.kind == "write":
        content.extend(bytes(max(0, op.offset + len(op.data) - len(content))))
        for begin in range(0, len(op.data), SECTOR):
            if tear is None or tear.random() < 0.5:
                part = op.data[begin : begin + SECTOR]
                content[op.offset + begin : op.offset + begin + len(part)] = part
