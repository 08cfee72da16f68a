"""Copies of a store in use, its free space, and lists of runs by every filter on every store."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from partita.core.events import RunEnded, RunStarted
from partita.errors import Fenced, StoreError
from partita.store import house
from partita.store.contract import RunRow, Store
from partita.store.sqlite import SqliteStore, backup, compact, open_reader, open_store

from .stores import FakeClock, Writer, created


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "partita.db"


def filled(store: SqliteStore, count: int) -> Writer:
    commit = Writer(store)
    for i in range(count):
        commit(created(f"run-{i}"), run=f"run-{i}")
    return commit


def test_a_copy_is_one_state_of_a_store_in_use_and_can_be_opened(path: Path, tmp_path: Path) -> None:
    with closing(open_store(path, clock=FakeClock())) as store:
        commit = filled(store, 50)
        size = backup(path, tmp_path / "copy.db")
        commit(created("later"), run="later")
        with closing(open_reader(tmp_path / "copy.db")) as copy:
            assert len(copy.runs(limit=100)) == 50
            assert copy._db.findings() == []
        assert (tmp_path / "copy.db").stat().st_size == size
        assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    with closing(open_store(tmp_path / "copy.db", clock=FakeClock())) as restored:
        filled(restored, 0)(created("after"), run="after")


def test_a_copy_does_not_overwrite_and_leaves_nothing_behind_when_it_fails(path: Path, tmp_path: Path) -> None:
    with closing(open_store(path, clock=FakeClock())) as store:
        filled(store, 1)
        (tmp_path / "copy.db").write_text("mine")
        with pytest.raises(StoreError, match="exists already"):
            backup(path, tmp_path / "copy.db")
        with pytest.raises(StoreError):
            backup(path, tmp_path / "no" / "such" / "folder.db")
    assert (tmp_path / "copy.db").read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


def test_free_space_is_given_back(path: Path) -> None:
    with closing(open_store(path, clock=FakeClock())) as store:
        filled(store, 2000)
        epoch = store.acquire("engine", "test", 60.0).epoch
        rows = store._db.fetch("SELECT no FROM runs")
        store.tidy(lambda execute: house.remove_runs(execute, [row[0] for row in rows]), epoch=epoch)
        total, free = store.pages()
        assert free > 20
        assert store.give_back(10) == 10
        assert store.pages() == (total - 10, free - 10)
    before, after = compact(path)
    assert after < before


def test_nothing_is_removed_under_an_epoch_that_is_over(path: Path) -> None:
    with closing(open_store(path, clock=FakeClock())) as store:
        filled(store, 1)
        epoch = store.acquire("engine", "test", 60.0).epoch
        with pytest.raises(Fenced):
            store.tidy(lambda execute: house.remove_runs(execute, [1]), epoch=epoch - 1)
        assert len(store.runs()) == 1


def test_a_removed_run_leaves_nothing_that_names_it_and_its_number_is_never_used_again(path: Path) -> None:
    with closing(open_store(path, clock=FakeClock())) as store:
        commit = filled(store, 2)
        epoch = store.acquire("engine", "test", 60.0).epoch
        store.tidy(lambda execute: house.remove_runs(execute, [1, 2]), epoch=epoch)
        assert store._db.findings() == []
        commit(created("new"), run="new")
        assert store.runs()[0].no == 3
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM journal WHERE run < 3").fetchone() == (0,)
    connection.close()


def _is_like(row: RunRow, name: str, value: Any) -> bool:
    match name:
        case "states":
            return row.state in value
        case "tag":
            return value in row.tags
        case "since":
            return row.created_at >= value
        case "until":
            return row.created_at < value
        case _:
            return bool(getattr(row, name) == value)


def test_runs_are_listed_by_any_filters_together(store: Store, commit: Writer) -> None:
    """Every combination against what each row says, newest first, in pages."""
    for i in range(24):
        run = created(
            f"run-{i}",
            at=100.0 + i,
            pipeline=("daily", "hourly")[i % 2],
            by=("ann", "bob", "")[i % 3],
            tags=("nightly",) if i % 4 == 0 else (),
            partition="2026-01-01" if i % 5 == 0 else "",
        )
        commit(run, run=f"run-{i}")
        if i % 3:
            commit(RunStarted(200.0), RunEnded(201.0, "failed" if i % 2 else "succeeded"), run=f"run-{i}")
    choices: dict[str, list[object]] = {
        "pipeline": [None, "daily"],
        "states": [(), ("failed",), ("queued", "succeeded")],
        "by": [None, "ann", "nobody"],
        "tag": [None, "nightly"],
        "partition": [None, "2026-01-01", ""],
        "since": [None, 105.0],
        "until": [None, 118.0],
        "project": [None, "shop"],
        "namespace": [None, "default", "other"],
    }
    every = store.runs(limit=100)
    assert len(every) == 24
    for values in itertools.product(*choices.values()):
        wanted = dict(zip(choices, values, strict=True))
        expected = [
            row.no
            for row in every
            if all(_is_like(row, name, value) for name, value in wanted.items() if value not in (None, ()))
        ]
        first = store.runs(**wanted, limit=5)  # type: ignore[arg-type]
        rest = store.runs(**wanted, before_no=first[-1].no, limit=100) if first else []  # type: ignore[arg-type]
        assert [row.no for row in (*first, *rest)] == expected, wanted
