"""Files that nothing needs go, and nothing that a row, the cache, a checkpoint or the spool refers to."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from partita.core.events import AssetReport, AttemptEnded, AttemptStarted, RunCreated, RunEnded, RunStarted
from partita.core.retention import DAY_S, DEFAULT, policy_of
from partita.core.values import Value
from partita.engine.sweeping import Sweeper, sweep
from partita.settings import Home
from partita.store import house
from partita.store.contract import RunCommit
from partita.store.sqlite import SqliteStore, open_store
from partita.values.blobs import FileBlobs
from partita.values.cache import Entry, remember
from partita.worker.wire import Outcome, Spooled

NOW = 2_000_000_000.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def store(home: Home) -> Iterator[SqliteStore]:
    with closing(open_store(home.db, clock=lambda: NOW)) as store:
        yield store


def blob(home: Home, data: bytes, *, age_s: float = 10 * DAY_S) -> Value:
    """A value that lies in a file."""
    digest = hashlib.sha256(data).hexdigest()
    ref = FileBlobs(home.blobs).put(data, digest)
    os.utime(home.blobs / ref, (NOW - age_s, NOW - age_s))
    return Value("bytes", len(data), ref=ref, digest=digest)


def is_there(home: Home, value: Value) -> bool:
    assert value.ref is not None
    return (home.blobs / value.ref).exists()


def run_with(store: SqliteStore, value: Value, *, no: int = 1, ended_at: float = NOW) -> None:
    """A run whose one step gave the value."""
    epoch = store.acquire("engine", "test", 60.0).epoch
    id = f"run-{no}"
    events = (
        RunCreated(ended_at, id, "default", "p", "one", "g", "c", f"test:{no}"),
        RunStarted(ended_at),
        AttemptStarted(ended_at, "a", "", 1, epoch, "w"),
        AttemptEnded(ended_at, "a", "", 1, epoch, "succeeded", value),
        RunEnded(ended_at, "succeeded"),
    )
    store.commit([RunCommit(id, 1, ended_at, events)], epoch=epoch)


def old_file(path: Path, data: bytes, *, age_s: float = 10 * DAY_S) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


def test_a_value_that_nothing_refers_to_goes_and_others_stay(home: Home, store: SqliteStore) -> None:
    lost, kept, young = blob(home, b"lost"), blob(home, b"kept"), blob(home, b"young", age_s=3600.0)
    run_with(store, kept)
    swept = sweep(home, DEFAULT, now=NOW)
    assert swept.removed == {"values": (1, 4)}
    assert [is_there(home, v) for v in (lost, kept, young)] == [False, True, True]


def test_what_the_cache_the_spool_or_a_checkpoint_refers_to_stays(home: Home, store: SqliteStore) -> None:
    cached, reported, spooled, saved = (blob(home, d) for d in (b"cached", b"reported", b"spooled", b"saved"))
    run_with(store, Value("plain", 1, b"\x01"))
    report = AssetReport("raw", "2026-01-01", value=reported)
    remember(home.cache, "ab" * 32, Entry(cached, NOW, "run/a//1", assets=(report,)))
    outcome = Outcome(1, "succeeded", 0.0, 0.0, spooled)
    old_file(home.spool / "run~1.msgpack", msgspec.msgpack.encode(Spooled("run", "a", "", 1, 1, outcome)))
    old_file(home.checkpoints / "99" / "x._" / "state", msgspec.msgpack.encode(saved))
    sweep(home, DEFAULT, now=NOW)
    assert all(is_there(home, v) for v in (cached, reported, spooled, saved))


def test_what_a_kept_list_lists_stays(home: Home, store: SqliteStore) -> None:
    from partita.values import storing

    class Large(bytes): ...

    blobs = FileBlobs(home.blobs)
    stored = storing.store([Large(b"x" * 9000), Large(b"y" * 9000)], blobs, inline_bytes=100)
    run_with(store, stored)
    before = sorted(p for p in home.blobs.rglob("*") if p.is_file())
    for path in before:
        os.utime(path, (NOW - 10 * DAY_S, NOW - 10 * DAY_S))
    sweep(home, DEFAULT, now=NOW)
    assert sorted(p for p in home.blobs.rglob("*") if p.is_file()) == before


def test_an_entry_that_is_too_old_goes_and_its_value_with_the_next_sweep(home: Home, store: SqliteStore) -> None:
    run_with(store, Value("plain", 1, b"\x01"))
    value = blob(home, b"cached")
    key = "ab" * 32
    remember(home.cache, key, Entry(value, NOW, "run/a//1"))
    os.utime(home.cache / "ab" / key, (NOW - 100 * DAY_S, NOW - 100 * DAY_S))
    assert sweep(home, DEFAULT, now=NOW).removed["cache"][0] == 1
    assert is_there(home, value), "somebody may just have been handed it"
    sweep(home, DEFAULT, now=NOW)
    assert not is_there(home, value)


def test_a_value_that_is_put_again_while_it_is_taken_away_is_there_afterwards(home: Home, store: SqliteStore) -> None:
    data = b"again"
    value = blob(home, data)
    assert value.ref is not None
    (home.blobs / value.ref).rename(home.blobs / "tmp" / "gone-1")
    assert FileBlobs(home.blobs).put(data, value.digest) == value.ref
    assert FileBlobs(home.blobs).read(value.ref, value.digest, value.size) == data


def test_a_value_that_was_used_again_since_it_was_looked_at_comes_back(home: Home, store: SqliteStore) -> None:
    from partita.engine import sweeping

    value = blob(home, b"used")
    assert value.ref is not None
    path = home.blobs / value.ref
    os.utime(path, (NOW, NOW))
    sweeping._take_away(path, home.blobs / "tmp" / "aside", NOW - DAY_S, NOW, sweeping.Swept({}))
    assert path.exists()


def test_logs_go_after_their_runs_by_age_and_by_bytes(home: Home, store: SqliteStore) -> None:
    for no, days in ((1, 100), (2, 20), (3, 10), (4, 5)):
        run_with(store, Value("plain", 1, b"\x01"), no=no, ended_at=NOW - days * DAY_S)
    for no in range(1, 7):
        old_file(home.logs / str(no) / "a.log", b"x" * 1000)
    store.tidy(lambda execute: house.remove_runs(execute, [2]), epoch=store.acquire("engine", "test", 60.0).epoch)
    sweep(home, policy_of({"logs": "90d, 3kb"}), now=NOW)
    # 1 is too old, 2 has no run any more, 3 is the oldest of what is too much; 5 and 6 are of runs that are just made.
    assert sorted(p.name for p in home.logs.iterdir()) == ["4", "5", "6"]


def test_the_process_does_it_and_says_what_it_did(home: Home, store: SqliteStore) -> None:
    run_with(store, Value("plain", 1, b"\x01"))
    lost = blob(home, b"lost")
    os.utime(home.blobs / (lost.ref or ""), (1e9, 1e9))  # the process has the machine's clock
    sweeper = Sweeper(home, DEFAULT)
    sweeper.start(0.0)
    assert sweeper.is_running
    assert sweeper._process is not None
    sweeper._process.wait(30)
    swept = sweeper.result(1.0)
    assert swept is not None
    assert (swept.removed, swept.problem) == ({"values": (1, 4)}, "")
    assert not is_there(home, lost)
    assert not sweeper.is_running


def test_values_in_an_object_storage_go_when_they_are_old_and_nothing_refers_to_them(
    store: SqliteStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obstore.store import MemoryStore

    from partita.engine import sweeping
    from partita.values.object_blobs import ObjectBlobs

    place = ObjectBlobs("s3://bucket/values", scratch=home.root / "scratch", store=MemoryStore())
    refs = {data: place.put(data, hashlib.sha256(data).hexdigest()) for data in (b"lost", b"kept")}
    kept = Value("bytes", 4, ref=refs[b"kept"], digest=hashlib.sha256(b"kept").hexdigest())
    run_with(store, kept)
    # The storage keeps its own time, so it is we who come later.
    later = time.time() + 10 * DAY_S
    monkeypatch.setattr(sweeping, "blobs_of", lambda home: place)

    young = sweep(home, DEFAULT, now=time.time())
    swept = sweep(home, DEFAULT, now=later)

    assert young.removed == {}
    assert swept.problem == ""
    assert swept.removed["values"] == (1, 4)
    assert [found.ref for found in place.listed()] == [refs[b"kept"]]


def test_values_of_another_installation_are_not_removed(
    store: SqliteStore, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obstore.store import MemoryStore

    from partita.engine import sweeping
    from partita.values.object_blobs import ObjectBlobs

    place = ObjectBlobs("s3://bucket/values", scratch=home.root / "scratch", store=MemoryStore())
    place.owner("another")
    place.put(b"theirs", hashlib.sha256(b"theirs").hexdigest())
    monkeypatch.setattr(sweeping, "blobs_of", lambda home: place)
    swept = sweep(home, DEFAULT, now=time.time() + 10 * DAY_S)
    assert "another installation" in swept.problem
    assert len(list(place.listed())) == 1


def test_values_in_a_shared_folder_go_too(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", values=f"file://{tmp_path}/values")
    home.root.mkdir()
    with closing(open_store(home.db, clock=lambda: NOW)):
        path = old_file(tmp_path / "values" / "ab" / ("ab" * 32), b"lost")
        assert sweep(home, DEFAULT, now=NOW).removed == {"values": (1, 4)}
        assert not path.exists()
