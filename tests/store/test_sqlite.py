"""What is SQLite's own: opening, owning, reading beside a writer, and the messages for a tired person."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from partita.core.events import RunEnded
from partita.errors import StoreError, StoreFull, StoreLocked, StoreTooNew
from partita.store import locking, migrate, sqlite
from partita.store.sqlite import open_reader, open_store

from .stores import Writer, ended, started


def python(code: str, *args: object, **more: object) -> subprocess.Popen[str]:
    """Another process, which says "ready" on its output when it has come so far and ends with its input."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **more,  # type: ignore[call-overload]
    )


OWNER = """
    import sys
    from partita.store.sqlite import open_store
    store = open_store(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "partita.db"


# --- one owner ----------------------------------------------------------------------------------------------------


def test_a_second_owner_is_refused_and_told_who_the_first_one_is(path: Path) -> None:
    with python(OWNER, path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        with pytest.raises(StoreLocked) as refused:
            open_store(path)
        assert f"process {owner.pid} on " in refused.value.message
        assert " since 20" in refused.value.message
        assert f"kill {owner.pid}" in str(refused.value.hint)
        with closing(open_reader(path)) as reader:
            assert reader.runs() == []
        owner.kill()
    open_store(path).close()


def test_a_second_owner_in_one_process_is_refused_until_the_first_has_closed(path: Path) -> None:
    first = open_store(path)
    with pytest.raises(StoreLocked):
        open_store(path)
    first.close()
    first.close()
    open_store(path).close()


def test_a_forked_child_that_outlives_the_owner_does_not_hold_the_lock(path: Path) -> None:
    forking = """
        import os, sys
        from partita.store.sqlite import open_store
        store = open_store(sys.argv[1])
        if os.fork() == 0:
            print("ready", flush=True)
            sys.stdin.read()
            os._exit(0)
        os._exit(0)
    """
    with python(forking, path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        assert owner.wait(10) == 0
        open_store(path).close()


def test_a_lock_without_a_readable_owner_is_still_a_lock(path: Path) -> None:
    with closing(open_store(path)):
        path.with_name("partita.db.lock").write_text("")
        with pytest.raises(StoreLocked, match="in use by another process"):
            open_store(path)


def test_parameters_on_the_command_line_are_not_written_into_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/partita", "run", "daily", "--param", "password=x"])
    with closing(open_store(path)):
        assert '"command":"partita run"' in path.with_name("partita.db.lock").read_text()


@pytest.mark.parametrize(
    ("mounts", "refused"),
    [
        ("dev / ext4 rw 0 0\nserver:/x /data nfs4 rw 0 0\n", True),
        ("dev / ext4 rw 0 0\nserver:/x /data cifs rw 0 0\ndev /data/local ext4 rw 0 0\n", False),
        ("dev / ext4 rw 0 0\nserver:/x /dat nfs4 rw 0 0\n", False),
        ("dev / ext4 rw 0 0\nserver:/x /data\\040files nfs rw 0 0\n", False),
        ("server:/x / nfs rw 0 0\n", True),
        ("", False),
    ],
)
def test_a_network_file_system_is_refused(mounts: str, refused: bool) -> None:
    folder = Path("/data/local/home")
    if refused:
        with pytest.raises(StoreError, match="network file system"):
            locking.refuse_network(folder, mounts)
    else:
        locking.refuse_network(folder, mounts)


# --- opening ------------------------------------------------------------------------------------------------------


def test_a_new_store_is_private_and_as_durable_as_promised(path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(path)
        Writer(store).run()
    finally:
        os.umask(before)
    settings = {
        name: store._db.fetch(f"PRAGMA {name}")[0][0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "mmap_size", "wal_autocheckpoint")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "auto_vacuum": 2,
        "mmap_size": 0,
        "wal_autocheckpoint": 0,
    }
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    store.close()


def test_all_is_there_after_closing_and_opening_again(path: Path) -> None:
    with closing(open_store(path)) as store:
        commit = Writer(store)
        commit.run()
        commit(started("load"))
    with closing(open_store(path)) as store:
        commit_again = Writer(store)
        commit_again._seq = {"run-a": 2}
        commit_again(ended("load", epoch=commit.epoch))
        assert [step.state for step in store.steps("run-a")] == ["succeeded"]
        assert store.run("run-a").seq == 3  # type: ignore[union-attr]


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("dear diary, " * 1000)
    for opened in (open_store, open_reader, sqlite.migrate):
        with pytest.raises(StoreError, match="not a database of Partita") as refused:
            opened(path)
        assert refused.value.hint
    assert path.read_text().startswith("dear diary")


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir()
    apsw.Connection(str(path)).execute("CREATE TABLE invoices (no)")
    for opened in (open_store, open_reader, sqlite.migrate):
        with pytest.raises(StoreError, match="not one of Partita"):
            opened(path)


def test_a_store_of_a_newer_program_is_refused_with_both_numbers(path: Path) -> None:
    open_store(path).close()
    apsw.Connection(str(path)).execute("INSERT INTO migrations VALUES (9999, 'flying', 0.0)")
    newest = migrate.known()[-1].no
    for opened in (open_store, open_reader, sqlite.migrate):
        with pytest.raises(StoreTooNew, match=rf"has schema 9999, .* up to {newest}\b"):
            opened(path)


def test_a_path_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFull, match="cannot be made"):
        open_store(tmp_path / "file" / "partita.db")
    (tmp_path / "home" / "partita.db.lock").mkdir(parents=True)
    with pytest.raises(StoreFull, match="cannot be written"):
        open_store(tmp_path / "home" / "partita.db")


def test_a_damaged_store_says_so(path: Path) -> None:
    with closing(open_store(path)) as store:
        Writer(store).run()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), closing(open_reader(path)) as reader:
        reader.runs()


# --- readers ------------------------------------------------------------------------------------------------------


def test_a_missing_store_is_not_made_by_reading_it(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store") as refused:
        open_reader(path)
    assert refused.value.hint == "`partita run` makes it"
    assert not path.parent.exists()
    with pytest.raises(StoreError, match="there is no store"):
        sqlite.migrate(path)


def test_a_store_that_is_only_being_made_is_not_there_yet(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    for opened in (open_reader, sqlite.migrate):
        with pytest.raises(StoreError, match="there is no store"):
            opened(path)


def test_a_reader_sees_each_commit_while_the_writer_goes_on(path: Path) -> None:
    with closing(open_store(path)) as store, closing(open_reader(path)) as reader:
        commit = Writer(store)
        for number in range(5):
            commit.run(f"run-{number}")
            assert len(reader.runs()) == number + 1
        with reader._db.snapshot():
            before = reader.runs()
            commit.run("run-x")
            assert reader.runs() == before
        assert len(reader.runs()) == 6


def test_a_reader_cannot_write(path: Path) -> None:
    open_store(path).close()
    with closing(open_reader(path)) as reader, pytest.raises(StoreFull):
        reader._db.fetch("DELETE FROM runs")


def test_a_reader_works_when_no_engine_runs_and_after_one_has_died(path: Path) -> None:
    dying = """
        import os, sys
        sys.path.insert(0, sys.argv[2])
        from store.stores import Writer
        from partita.store.sqlite import open_store
        Writer(open_store(sys.argv[1])).run()
        os._exit(9)
    """
    with python(dying, path, Path(__file__).parents[1]) as owner:
        assert owner.wait(20) == 9
    assert path.with_name("partita.db-wal").stat().st_size > 0
    with closing(open_reader(path)) as reader:
        assert [row.id for row in reader.runs()] == ["run-a"]
    assert path.with_name("partita.db-wal").stat().st_size > 0, "only the owner makes checkpoints"
    open_store(path).close()
    with closing(open_reader(path)) as reader:
        assert [row.id for row in reader.runs()] == ["run-a"]


READ_AS_NOBODY = """
    import os, sys
    from partita.errors import StoreError, StoreFull
    from partita.store import migrate, queries
    from partita.store.sqlite import open_reader, open_store
    # The program itself may lie where nobody can read.
    migrate.known(), queries.statements()
    os.setgid(65534)
    os.setuid(65534)
    try:
        print(len(open_reader(sys.argv[1]).runs()), "runs")
    except StoreError as error:
        print(error.message)
    try:
        open_store(sys.argv[1])
    except StoreFull as error:
        print("full:", error.message)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user to be refused")
def test_a_folder_that_is_read_only_is_read_or_says_why_not() -> None:
    def as_nobody(path: Path) -> list[str]:
        with python(READ_AS_NOBODY, path) as reader:
            return reader.communicate(timeout=20)[0].splitlines()

    # pytest's own folders let nobody in.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "partita.db"
        with closing(open_store(path)) as store:
            Writer(store).run()
        assert as_nobody(path)[0].endswith("cannot be read: Permission denied")
        for readable in (path, path.with_name("partita.db.lock"), path.parent):
            readable.chmod(0o755)
        read, written = as_nobody(path)
        assert read == "1 runs"
        assert written.startswith("full: ")
        assert "cannot be written" in written
        path.with_name("partita.db-wal").write_bytes(b"left by a crash")
        path.with_name("partita.db-wal").chmod(0o644)
        assert "was not closed" in as_nobody(path)[0]


# --- at work ------------------------------------------------------------------------------------------------------


def test_the_wal_is_copied_away_while_readers_come_and_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_CHECKPOINT_PAGES", 50)
    with closing(open_store(path)) as store, closing(open_reader(path)) as reader:
        commit = Writer(store)
        for number in range(100):
            commit.run(f"run-{number}", state="succeeded")
            assert reader.run(str(number + 1)) is not None
        assert path.with_name("partita.db-wal").stat().st_size < 150 * 4200


def test_a_foreign_writer_that_does_not_let_go_is_named_as_such(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_MS", 10)
    with closing(open_store(path)) as store:
        commit = Writer(store)
        tool = apsw.Connection(str(path))
        tool.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program writes"):
            commit.run()
        tool.execute("ROLLBACK")
        tool.close()
        commit.run()


def test_a_run_that_has_ended_is_forgotten_by_the_writer(path: Path) -> None:
    with closing(open_store(path)) as store:
        commit = Writer(store)
        for number in range(20):
            commit.run(f"run-{number}", state="succeeded")
        assert store._ends == {}
        commit(RunEnded(9.0, "failed"), run="run-3")
        assert store.run("run-3").seq == 3  # type: ignore[union-attr]


def test_many_small_commits_beside_a_busy_reader_lose_nothing(path: Path) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        with closing(open_reader(path)) as reader:
            while not stop.is_set():
                seen.append(len(reader.attempts("run-a")))

    with closing(open_store(path)) as store:
        commit = Writer(store)
        commit.run()
        thread = threading.Thread(target=read)
        thread.start()
        try:
            for index in range(300):
                commit(started("load", str(index)))
        finally:
            stop.set()
            thread.join(20)
        assert len(store.attempts("run-a")) == 300
    assert seen == sorted(seen)
