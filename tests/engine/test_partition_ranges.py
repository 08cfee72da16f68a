"""One run over several partitions: what user code is told, and what each partition gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from partita.core import plain
from partita.core.graph import Graph, Step
from partita.core.manifest import AssetSpec, Manifest
from partita.define.calls import Call
from partita.define.context import Context
from partita.define.io import BoundIO, FileIO
from partita.engine.service import Service
from partita.engine.submission import RunRequest
from partita.executors.inline import InlineExecutor
from partita.settings import Home, Settings
from partita.store.contract import MaterializationRow
from partita.store.sqlite import open_in_memory

from .backfilling import DAYS, FakeClock

KEYS = ("2026-01-01", "2026-01-02", "2026-01-03")


def carried_out(folder: Path, function: Any, **more: Any) -> tuple[str, dict[str, MaterializationRow]]:
    """Run one asset over three days with real user code: how the run ended, and what each day got."""
    home = Home(folder / ".partita")
    home.root.mkdir(exist_ok=True)
    store = open_in_memory()
    call = Call("make", function, context_param="ctx", **more)
    service = Service(
        store,
        InlineExecutor({"make": call}, home),
        settings=Settings(project=folder, home=home),
        clock=FakeClock(1_800_000_000.0),
    )
    asset = AssetSpec("raw", step="raw", partitions=DAYS)
    graph = Graph("assets", (Step("raw", asset="raw", call="make", kind="asset"),))
    service.load(Manifest("shop", assets=(asset,), assets_graph=graph))
    service.start()
    run = service.submitter.submit(RunRequest("raw", "ann", "test:1", partitions=KEYS))
    while not run.machine.is_finished:
        service.turn(0.0)
    assert list(store.audit()) == []
    found = {key: store.materialization("raw", key) for key in KEYS}
    return run.machine.state, {key: row for key, row in found.items() if row is not None}


def test_user_code_is_told_all_partitions_and_the_time_that_they_cover(tmp_path: Path) -> None:
    told: list[Context] = []
    state, made = carried_out(tmp_path, lambda ctx: told.append(ctx))
    ctx = told[0]
    assert (state, ctx.partition, ctx.partitions) == ("succeeded", "2026-01-01..2026-01-03", KEYS)
    assert ctx.data_interval is not None
    assert [t.date().isoformat() for t in ctx.data_interval] == ["2026-01-01", "2026-01-04"]
    assert sorted(made) == list(KEYS)


def test_a_dict_by_partition_gives_each_its_own_value_and_version(tmp_path: Path) -> None:
    _, made = carried_out(tmp_path, lambda ctx: {key: key[-1] for key in ctx.partitions})
    values = [plain.unpack(made[key].value.data, str) for key in KEYS]  # type: ignore[union-attr, arg-type]
    assert values == ["1", "2", "3"]
    assert len({row.data_version for row in made.values()}) == 3


def test_anything_else_is_the_value_of_all_of_them(tmp_path: Path) -> None:
    _, made = carried_out(tmp_path, lambda ctx: 7)
    assert {plain.unpack(row.value.data, str) for row in made.values()} == {7}  # type: ignore[union-attr, arg-type]
    assert len({row.data_version for row in made.values()}) == 1


def test_an_io_object_writes_and_reads_each_partition_by_itself(tmp_path: Path) -> None:
    io = BoundIO(FileIO(tmp_path / "data", "json"), "raw")
    state, _ = carried_out(tmp_path, lambda ctx: {key: [key] for key in ctx.partitions}, io=io)
    assert state == "succeeded"
    assert sorted(p.name for p in (tmp_path / "data" / "raw").iterdir()) == [f"{key}.json" for key in KEYS]
    assert io.load(Context(partition="a..c", partitions=KEYS)) == {key: [key] for key in KEYS}
    assert io.load(Context(partition=KEYS[1])) == [KEYS[1]]


def test_an_io_object_cannot_write_one_value_for_several_partitions(tmp_path: Path) -> None:
    io = BoundIO(FileIO(tmp_path / "data", "json"), "raw")
    state, made = carried_out(tmp_path, lambda ctx: 7, io=io)
    assert (state, made) == ("failed", {})


@pytest.mark.parametrize(("partition", "partitions"), [("", ()), ("2026-01-01", ("2026-01-01",))])
def test_a_run_over_one_partition_or_none_has_one_or_none(partition: str, partitions: tuple[str, ...]) -> None:
    assert Context(partition=partition).partitions == partitions
