"""Values of assets in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import partita as pt
from partita.define.io import BoundIO
from partita.errors import DefinitionError


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ("pickle", {"a": (1, 2)}),
        ("json", {"a": [1, "ü"]}),
        ("text", "ü\n"),
        ("bytes", b"\0\1"),
        ("csv", pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})),
        ("parquet", pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, format: Any, value: Any) -> None:
    io = pt.FileIO(tmp_path / "out", format=format)
    ctx = pt.IOContext("raw/flights", "2013-01-01T05:00")

    assert not io.exists(ctx)
    io.dump(ctx, value)
    io.dump(ctx, value)
    assert io.exists(ctx)
    found = io.load(ctx)

    assert found.equals(value) if isinstance(value, pd.DataFrame) else found == value
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [io.path(ctx)]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    io = pt.FileIO(tmp_path, format="json")
    ctx = pt.IOContext("a")
    io.dump(ctx, [1])

    with pytest.raises(TypeError):
        io.dump(ctx, object())

    assert io.load(ctx) == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_was_never_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="partition 2013-01-01 of asset `a` has not been made yet"):
        pt.FileIO(tmp_path).load(pt.IOContext("a", "2013-01-01"))


def test_a_partition_cannot_leave_the_folder(tmp_path: Path) -> None:
    path = pt.FileIO(tmp_path).path(pt.IOContext("a", "../../x"))

    assert path.resolve().is_relative_to(tmp_path.resolve())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no format 'xlsx'"):
        pt.FileIO("out", format="xlsx")  # type: ignore[arg-type]


def test_who_keeps_several_partitions_is_asked_for_each_and_who_cannot_say_has_them(tmp_path: Path) -> None:
    class Mute:
        def dump(self, ctx: pt.IOContext, value: Any) -> None: ...
        def load(self, ctx: pt.IOContext) -> Any: ...

    where = Where(partitions=("d1", "d2"))
    kept = BoundIO(pt.FileIO(tmp_path), "a")
    kept.dump(where, {"d1": 1, "d2": 2})
    assert kept.is_there(where)
    (tmp_path / "a" / "d2.pickle").unlink()
    assert not kept.is_there(where)
    assert BoundIO(Mute(), "a").is_there(where)


@dataclass(frozen=True)
class Where:
    """What a step tells an IO object."""

    partition: str = ""
    partitions: tuple[str, ...] = ()
    run_id: str = "r"
    namespace: str = "default"
