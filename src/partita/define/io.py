"""Where an asset's value is kept when not in Partita's own store: IO objects.

Rule: an IO object is given the asset, the partition and the run, and nothing else; writing twice gives the same as once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from partita.define.where import wrong
from partita.errors import UserCodeError


@dataclass(frozen=True, slots=True)
class IOContext:
    """Which value of which asset is to be written or read. `partition` is "" for assets without partitions."""

    asset: str
    partition: str = ""
    run_id: str = ""
    namespace: str = "default"


@runtime_checkable
class IO(Protocol):
    """Writes and reads the values of assets. `dump` may be called again for the same partition after a retry.

    One that has `exists(ctx) -> bool` as well is asked before a result is taken from the cache: what was written may have
    been removed since.
    """

    def dump(self, ctx: IOContext, value: Any) -> None:
        """Write the value."""
        ...

    def load(self, ctx: IOContext) -> Any:
        """Read the value back."""
        ...


class _Where(Protocol):
    """What of a step's context an IO object is told."""

    @property
    def partition(self) -> str: ...
    @property
    def partitions(self) -> tuple[str, ...]: ...
    @property
    def run_id(self) -> str: ...
    @property
    def namespace(self) -> str: ...


@dataclass(frozen=True, slots=True)
class BoundIO:
    """The IO object of one asset, for the worker."""

    io: IO
    asset: str

    def dump(self, ctx: _Where, value: Any) -> None:
        """Write the asset's value for the context's partition; of several, each its own, out of a dict by partition."""
        if len(ctx.partitions) < 2:
            self.io.dump(self._of(ctx, ctx.partition), value)
            return
        if not isinstance(value, Mapping) or set(value) != set(ctx.partitions):
            raise UserCodeError(
                f"asset `{self.asset}` is made for {len(ctx.partitions)} partitions in one run, "
                f"and its function returned a {type(value).__qualname__}",
                hint="return a dict with a value for each of ctx.partitions, or backfill it with --batch 1",
            )
        for partition in ctx.partitions:
            self.io.dump(self._of(ctx, partition), value[partition])

    def load(self, ctx: _Where) -> Any:
        """Read the asset's value for the context's partition; of several, a dict by partition."""
        if len(ctx.partitions) < 2:
            return self.io.load(self._of(ctx, ctx.partition))
        return {partition: self.io.load(self._of(ctx, partition)) for partition in ctx.partitions}

    def is_there(self, ctx: _Where) -> bool:
        """Is what was written still there, as far as the IO object can say?"""
        exists = getattr(self.io, "exists", None)
        return exists is None or all(exists(self._of(ctx, key)) for key in ctx.partitions or (ctx.partition,))

    def _of(self, ctx: _Where, partition: str) -> IOContext:
        return IOContext(self.asset, partition, ctx.run_id, ctx.namespace)


Format = Literal["pickle", "json", "csv", "parquet", "text", "bytes"]


@dataclass(frozen=True)
class FileIO:
    """Values as files: `<folder>/<asset>.<format>`, or `<folder>/<asset>/<partition>.<format>`.

    A file is written under another name, synced and renamed, so a reader never sees half of one. Relative folders
    are relative to the working directory of the worker, which is the project's folder.
    """

    folder: str | os.PathLike[str]
    format: Format = "pickle"

    def __post_init__(self) -> None:
        if self.format not in _FORMATS:
            raise wrong(f"FileIO has no format {self.format!r}", hint="there is " + ", ".join(_FORMATS))

    def path(self, ctx: IOContext) -> Path:
        """The file of an asset (partition)."""
        base = Path(self.folder)
        suffix = _FORMATS[self.format][2]
        if not ctx.partition:
            return base / f"{ctx.asset}{suffix}"
        return base / ctx.asset / f"{ctx.partition.replace('/', '_').replace(':', '-')}{suffix}"

    def exists(self, ctx: IOContext) -> bool:
        """Is there a file of this asset (partition)?"""
        return self.path(ctx).exists()

    def dump(self, ctx: IOContext, value: Any) -> None:
        """Write the value, then rename."""
        target = self.path(ctx)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            _FORMATS[self.format][0](value, unfinished)
            with open(unfinished, "rb") as written:
                os.fsync(written.fileno())
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)

    def load(self, ctx: IOContext) -> Any:
        """Read the value."""
        target = self.path(ctx)
        if not target.exists():
            what = f"partition {ctx.partition} of asset `{ctx.asset}`" if ctx.partition else f"asset `{ctx.asset}`"
            raise FileNotFoundError(f"{what} has not been made yet: there is no {target}")
        return _FORMATS[self.format][1](target)


def _dump_pickle(value: Any, path: Path) -> None:
    import cloudpickle

    path.write_bytes(cloudpickle.dumps(value))


def _load_pickle(path: Path) -> Any:
    import pickle

    return pickle.loads(path.read_bytes())


def _dump_json(value: Any, path: Path) -> None:
    import json

    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def _load_json(path: Path) -> Any:
    import json

    return json.loads(path.read_text(encoding="utf-8"))


def _dump_csv(value: Any, path: Path) -> None:
    value.to_csv(path, index=False)


def _load_csv(path: Path) -> Any:
    import pandas

    return pandas.read_csv(path)


def _dump_parquet(value: Any, path: Path) -> None:
    if hasattr(value, "to_parquet"):
        value.to_parquet(path)
        return
    import pyarrow.parquet

    pyarrow.parquet.write_table(value, path)


def _load_parquet(path: Path) -> Any:
    import pandas

    return pandas.read_parquet(path)


def _dump_text(value: str, path: Path) -> None:
    path.write_text(value, encoding="utf-8")


def _dump_bytes(value: bytes, path: Path) -> None:
    path.write_bytes(value)


_FORMATS: dict[str, tuple[Callable[[Any, Path], None], Callable[[Path], Any], str]] = {
    "pickle": (_dump_pickle, _load_pickle, ".pickle"),
    "json": (_dump_json, _load_json, ".json"),
    "csv": (_dump_csv, _load_csv, ".csv"),
    "parquet": (_dump_parquet, _load_parquet, ".parquet"),
    "text": (_dump_text, lambda path: path.read_text(encoding="utf-8"), ".txt"),
    "bytes": (_dump_bytes, lambda path: path.read_bytes(), ".bin"),
}
