"""What is left after a power loss or a failing disk: every acknowledged commit, and a store that is whole.

`PARTITA_CRASH_IMAGES` sets how many crash images are made (300 here, 10,000 for the large run), and
`PARTITA_EVERY_FAULT=1` fails every single operation instead of a sample.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from partita.core.events import Materialized, RunEnded, RunStarted, StepRetried
from partita.errors import StoreError, StoreFull
from partita.store import sqlite
from partita.store.contract import RunCommit
from partita.store.sqlite import SqliteStore, open_store

from .disk import Disk
from .stores import FakeClock, created, ended, started, value

IMAGES = int(os.environ.get("PARTITA_CRASH_IMAGES", "300"))
EVERY_FAULT = bool(os.environ.get("PARTITA_EVERY_FAULT"))
RUNS = 6


@pytest.fixture(autouse=True)
def checkpoints_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario of some commits passes several checkpoints."""
    monkeypatch.setattr(sqlite, "_CHECKPOINT_PAGES", 40)


def history(runs: int = RUNS) -> list[RunCommit]:
    """What is written in order: runs of mapped steps with a retry and a materialization."""
    commits = []
    for run in (f"run-{number}" for number in range(runs)):
        rows = [
            (created(run), RunStarted(1.0)),
            tuple(started("load", str(index)) for index in range(12)),
            (
                ended("load", "0", state="failed"),
                StepRetried(3.0, "load", "0", 2, 4.0, "again"),
                *(ended("load", str(index), value=value("x" * 40 * index)) for index in range(1, 12)),
                started("load", "0", attempt=2),
            ),
            (
                ended("load", "0", attempt=2, value=value("y" * 3000)),
                Materialized(4.0, "load", "0", 2, "flights", run, "v", "c", value=value()),
                RunEnded(5.0, "succeeded"),
            ),
        ]
        commits += [RunCommit(run, seq, float(seq), events) for seq, events in enumerate(rows, start=1)]
    return commits


def write(store: SqliteStore, epoch: int, commits: list[RunCommit], done: Callable[[RunCommit], None]) -> None:
    for commit in commits:
        store.commit([commit], epoch=epoch)
        done(commit)


def check_whole(store: SqliteStore, acknowledged: dict[str, int]) -> None:
    """Nothing acknowledged is missing, and no invariant is broken (but that the graphs were never put)."""
    rows = {row.id: row.seq for row in store.runs(limit=1000)}
    assert {run: seq for run, seq in acknowledged.items() if rows.get(run, 0) < seq} == {}
    assert [finding for finding in store.audit() if finding.invariant != "I17"] == []


def broken_images(folder: Path, images: int, synchronous: str) -> list[str]:
    """Write the history on a disk that loses its power at random moments; what is wrong in each image."""
    disk = Disk()
    # What was acknowledged when the disk had done so many operations.
    moments: list[tuple[int, str, int]] = []
    store = open_store(folder / "partita.db", vfs=disk.name, clock=FakeClock())
    store._db.fetch(f"PRAGMA synchronous = {synchronous}")
    epoch = store.acquire("engine", "test", 60.0).epoch
    write(store, epoch, history(), lambda commit: moments.append((len(disk.ops), commit.run, commit.seq)))
    operations = len(disk.ops)
    store.close()
    if synchronous == "FULL":
        assert sum(op.kind == "sync" and op.file == "partita.db" for op in disk.ops[:operations]) > 3, "no checkpoint"
    wrong = []
    for number in range(images):
        rng = random.Random(number)
        moment = rng.randint(0, operations)
        image = folder / f"image-{number}"
        image.mkdir()
        disk.image(image, moment, rng)
        try:
            with closing(open_store(image / "partita.db", clock=FakeClock())) as found:
                check_whole(found, {run: seq for at, run, seq in moments if at <= moment})
        except (AssertionError, StoreError) as error:
            wrong.append(f"image {number}, after operation {moment} of {operations}: {error}")
        shutil.rmtree(image)
    return wrong


def test_after_a_power_loss_every_acknowledged_commit_is_there(tmp_path: Path) -> None:
    assert broken_images(tmp_path, IMAGES, "FULL") == []


def test_the_disk_of_these_tests_would_find_a_store_that_does_not_sync(tmp_path: Path) -> None:
    assert len(broken_images(tmp_path, 30, "OFF")) > 12


# --- a failing disk -----------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[str, int]] = {
    "no space": ("write", apsw.SQLITE_FULL),
    "a write fails": ("write", apsw.SQLITE_IOERR_WRITE),
    "a sync fails": ("sync", apsw.SQLITE_IOERR_FSYNC),
    "a read fails": ("read", apsw.SQLITE_IOERR_READ),
    "a truncation fails": ("truncate", apsw.SQLITE_IOERR_TRUNCATE),
    "a file cannot be opened": ("open", apsw.SQLITE_CANTOPEN),
    "a deletion fails": ("delete", apsw.SQLITE_IOERR_DELETE),
}


class NthFault:
    """Fails the n-th operation of a kind, once or from then on."""

    def __init__(self, kind: str, code: int, nth: int, *, persistent: bool) -> None:
        self.kind, self.code, self.nth, self.persistent = kind, code, nth, persistent
        self.count = 0
        self.hit = False
        self.over = False

    def __call__(self, kind: str, file: str) -> None:
        if kind != self.kind or self.over:
            return
        self.count += 1
        if self.count == self.nth or (self.persistent and self.count > self.nth):
            self.hit = True
            raise apsw.exception_for(self.code)


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", FAULTS)
# A refused xClose or xSync while the store is given up is reported by SQLite's Python binding as unraisable.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whichever_operation_fails_nothing_acknowledged_is_lost(tmp_path: Path, name: str, persistent: bool) -> None:
    kind, code = FAULTS[name]
    nth, step, hits = 1, 1, 0
    while True:
        fault = NthFault(kind, code, nth, persistent=persistent)
        folder = tmp_path / f"{nth}"
        folder.mkdir()
        acknowledged, errors = _write_under(fault, folder / "partita.db")
        found = open_store(folder / "partita.db", clock=FakeClock())
        try:
            check_whole(found, acknowledged)
        except AssertionError as error:
            raise AssertionError(f"{name}, operation {nth}: {errors}") from error
        finally:
            found.close()
        if not fault.hit:
            break
        hits += 1
        nth += step
        if not EVERY_FAULT:
            step = max(1, nth // 5)
    assert hits > 0 or kind in ("truncate", "delete")
    assert acknowledged == {f"run-{number}": 4 for number in range(2)}


def _write_under(fault: NthFault, path: Path) -> tuple[dict[str, int], list[str]]:
    """Two runs' history on a disk with a fault: what was acknowledged, and the errors, each of them one of ours."""
    acknowledged: dict[str, int] = {}
    errors: list[str] = []
    disk = Disk(fault)
    try:
        store = open_store(path, vfs=disk.name, clock=FakeClock())
    except StoreError as error:
        return acknowledged, [str(error)]
    try:
        epoch = store.acquire("engine", "test", 60.0).epoch
        for commit in history(2):
            try:
                store.commit([commit], epoch=epoch)
            except StoreFull as error:
                # Nothing of it happened; with space it happens.
                errors.append(str(error))
                fault.over = True
                store.commit([commit], epoch=epoch)
            acknowledged[commit.run] = commit.seq
    except StoreError as error:
        errors.append(str(error))
    finally:
        store.close()
    return acknowledged, errors


def test_after_a_failed_sync_nothing_more_is_written(tmp_path: Path) -> None:
    fault = NthFault("sync", apsw.SQLITE_IOERR_FSYNC, 1, persistent=False)
    fault.over = True
    disk = Disk(fault)
    store = open_store(tmp_path / "partita.db", vfs=disk.name, clock=FakeClock())
    epoch = store.acquire("engine", "test", 60.0).epoch
    fault.over = False
    with pytest.raises(StoreError, match="whether the last commit is there is unknown"):
        store.commit([RunCommit("run-a", 1, 1.0, (created(),))], epoch=epoch)
    # The disk would work again, but what it lost it will not say.
    with pytest.raises(StoreError, match="start Partita again"):
        store.commit([RunCommit("run-b", 1, 1.0, (created("run-b"),))], epoch=epoch)
    store.close()


def test_a_full_disk_refuses_a_commit_and_takes_it_later(tmp_path: Path) -> None:
    fault = NthFault("write", apsw.SQLITE_FULL, 1, persistent=True)
    fault.over = True
    disk = Disk(fault)
    store = open_store(tmp_path / "partita.db", vfs=disk.name, clock=FakeClock())
    epoch = store.acquire("engine", "test", 60.0).epoch
    fault.over = False
    for _ in range(3):
        with pytest.raises(StoreFull, match="nothing was lost"):
            store.commit([RunCommit("run-a", 1, 1.0, (created(),))], epoch=epoch)
        assert store.runs() == []
    fault.over = True
    store.commit([RunCommit("run-a", 1, 1.0, (created(),))], epoch=epoch)
    assert [row.id for row in store.runs()] == ["run-a"]
    store.close()
