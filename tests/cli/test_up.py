"""`partita up`, as people have it: real processes, killed, edited under, ended and started again."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from partita.store import versions
from partita.store.sqlite import open_reader

from .projects import Said, shell, write_project
from .service import Up

ONE = """
import partita as pt

@pt.task
def hello(n: int) -> int:
    return n + 1

@pt.pipeline
def one(n: int = 1):
    hello(n)
"""

TWO_STEPS = """
import os
from pathlib import Path
import partita as pt
import helper

@pt.task
def first() -> None:
    with open("begun", "w") as pipe:
        pipe.write("x")
    with open("go") as pipe:
        pipe.read()

@pt.task
def second() -> str:
    Path("said").write_text(helper.SAYS)
    return helper.SAYS

@pt.pipeline
def slow():
    first() >> second()
"""

Start = Callable[..., Up]


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[Up] = []

    def begin(folder: Path, *words: str, web: bool = False, **more: str) -> Up:
        made.append(Up(folder, *words, web=web, **more))
        return made[-1]

    yield begin
    for up in made:
        up.close()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_project(tmp_path / "shop", ONE)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Path]:
    """A project whose first step waits at a pipe; its second one says what `helper` says."""
    folder = write_project(tmp_path / "slow", TWO_STEPS)
    (folder / "helper.py").write_text("SAYS = 'old'\n")
    for name in ("begun", "go"):
        os.mkfifo(folder / name)
    yield folder
    for name, flags in (("go", os.O_WRONLY), ("begun", os.O_RDONLY)):
        try:
            os.close(os.open(folder / name, flags | os.O_NONBLOCK))
        except OSError:
            continue


def begin(folder: Path) -> None:
    """Have the service run `slow`, and return when its first step has begun."""
    import subprocess
    import sys

    # Asked for over the socket: a client that watches would have to be ended.
    code = (
        "import sys; from pathlib import Path; from partita.engine.asking import Submit, Submitted;"
        "from partita.engine.control import ask; from partita.settings import home_of;"
        "ask(home_of(Path(sys.argv[1])).socket, Submit(target='slow', by='test'), Submitted)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=30)
    with open(folder / "begun") as pipe:
        assert pipe.read() == "x"


def let_go(folder: Path) -> None:
    with open(folder / "go", "w") as pipe:
        pipe.write("x")


def ended_run(folder: Path, no: int = 1) -> str:
    """The state of a run at its end; `runs` is asked until it has one."""
    for _ in range(600):
        said = shell(folder, "show", str(no), "--json").json
        if said["state"] not in ("queued", "running"):
            return str(said["state"])
    raise AssertionError(f"run {no} does not end")


def rows(folder: Path, home: Path | None = None) -> list[versions.ProjectRow]:
    with closing(open_reader((home or folder / ".partita") / "partita.db")) as reader:
        return versions.projects(reader)


def registered(folder: Path) -> list[str]:
    with closing(open_reader(folder / ".partita" / "partita.db")) as reader:
        return [row.code for row in versions.versions(reader, folder.name)]


# --- one service ----------------------------------------------------------------------------------------------------


def test_it_serves_says_who_it_is_and_ends_with_ctrl_c(start: Start, shop: Path) -> None:
    up = start(shop)
    loaded = up.wait("loaded")
    assert (loaded["project"], loaded["pipelines"], loaded["problems"]) == ("shop", 1, [])
    assert set(up.file["parts"]) == {"scheduler"}
    assert up.file["pid"] == up.process.pid
    # when a run is asked for, the service executes it and the client watches
    said = shell(shop, "run", "one", "-p", "n=3", "--json")
    assert (said.status, said.json["state"], said.json["no"]) == (0, "succeeded", 1)
    # then it ends, and leaves no word of itself
    assert up.end() == 0
    assert not (shop / ".partita" / "service.json").exists()
    assert not (shop / ".partita" / "engine.sock").exists()


def test_an_empty_folder_is_served_and_its_first_definition_is_seen(start: Start, tmp_path: Path) -> None:
    up = start(tmp_path)
    assert "has no pipelines.py" in up.wait("broken")["error"]
    write_project(tmp_path, ONE)
    assert up.wait("reloaded")["pipelines"] == 1
    assert shell(tmp_path, "run", "one").status == 0


def test_parameters_are_checked_by_the_projects_own_process(start: Start, shop: Path) -> None:
    start(shop).wait("loaded")
    wrong = shell(shop, "run", "one", "-p", "n=many")
    assert wrong.status == 2
    assert "`n` is 'many': a whole number is expected" in wrong.err
    unknown = shell(shop, "run", "two")
    assert unknown.status == 2
    assert "'two'" in unknown.err


def test_a_second_service_is_told_who_holds_the_store(start: Start, shop: Path) -> None:
    up = start(shop)
    up.wait("loaded")
    other = shell(shop, "up", "--no-web")
    assert other.status == 3
    assert f"is in use by process {up.file['parts']['scheduler']}" in other.out
    # and has not made anybody believe that the first one is gone
    assert up.file["pid"] == up.process.pid


def test_an_address_that_others_reach_needs_users(shop: Path) -> None:
    said = shell(shop, "up", "--host", "0.0.0.0", "--port", "0")
    assert said.status == 2
    assert "0.0.0.0" in said.err


def test_a_port_that_is_taken_is_said(shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = shell(shop, "up", "--port", str(other.getsockname()[1]))
    assert said.status == 3
    assert "--port" in said.err


# --- deaths ---------------------------------------------------------------------------------------------------------


def test_a_scheduler_that_is_killed_comes_back_and_goes_on(start: Start, shop: Path) -> None:
    up = start(shop)
    up.wait("loaded")
    killed = up.kill("scheduler")
    assert up.wait("died")["how"] == "was killed by SIGKILL"
    assert up.wait("ready", part="scheduler")["pid"] != killed
    up.wait("loaded")
    assert shell(shop, "run", "one").status == 0


def test_a_web_process_that_is_killed_keeps_its_port_and_refuses_nobody(start: Start, shop: Path) -> None:
    up = start(shop, web=True)
    address = up.wait("ready", part="web")["address"]
    with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
        assert answer.status == 200
    up.kill("web")
    # asked while nobody is there: the question waits in the socket that the supervisor keeps
    with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
        assert answer.status == 200
    assert up.wait("ready", part="web")["address"] == address


def test_parts_end_when_their_supervisor_was_killed_and_the_next_one_takes_over(start: Start, shop: Path) -> None:
    first = start(shop)
    first.wait("loaded")
    first.process.kill()
    first.process.wait(30)
    second = start(shop)
    second.wait("loaded")
    assert shell(shop, "run", "one").status == 0


def test_what_runs_at_the_end_is_left_to_finish_and_taken_up_by_the_next_service(start: Start, slow: Path) -> None:
    up = start(slow)
    up.wait("loaded")
    begin(slow)
    up.process.send_signal(signal.SIGTERM)
    assert up.wait("left")["steps"] == 1
    assert up.process.wait(30) == 0
    # when it goes on while nobody is there, and somebody comes
    let_go(slow)
    second = start(slow)
    assert second.wait("ready")["resumed"] == [1]
    assert ended_run(slow) == "succeeded"
    assert (slow / "said").read_text() == "old"


# --- edits ----------------------------------------------------------------------------------------------------------


def test_an_edit_is_picked_up_and_one_that_changes_nothing_makes_no_version(start: Start, shop: Path) -> None:
    up = start(shop)
    first = up.wait("loaded")["code"]
    # a comment and another form
    (shop / "pipelines.py").write_text(ONE.replace("n + 1", "(n +\n        1)  # more"))
    again = up.wait("reloaded")
    assert (again["code"], again["same"]) == (first, True)
    assert registered(shop) == [first]
    # another meaning
    (shop / "pipelines.py").write_text(ONE.replace("n + 1", "n + 2"))
    other = up.wait("reloaded")
    assert other["code"] != first
    assert registered(shop) == [other["code"], first]
    # a new folder with a module
    (shop / "more").mkdir()
    (shop / "more" / "__init__.py").write_text("X = 1\n")
    assert up.wait("reloaded")["code"] not in (first, other["code"])


def test_a_broken_edit_keeps_the_last_good_version_visibly_also_after_a_restart(start: Start, shop: Path) -> None:
    up = start(shop)
    good = up.wait("loaded")["code"]
    (shop / "pipelines.py").write_text(ONE + "\nx = 1 / 0\n")
    kept = up.wait("kept")
    assert kept["code"] == good
    assert [(p["file"], p["line"]) for p in kept["problems"]] == [("pipelines.py", ONE.count("\n") + 2)]
    (row,) = rows(shop)
    assert (row.code, row.active) == (good, True)
    assert "cannot be imported" in row.error
    assert row.problems[0].file == "pipelines.py"
    assert shell(shop, "run", "one").status == 0
    # when the scheduler dies, the good version comes back from what was kept
    up.kill("scheduler")
    assert up.wait("kept")["code"] == good
    assert "cannot be imported" in rows(shop)[0].error
    assert shell(shop, "run", "one").status == 0
    # and the next good edit is served
    (shop / "pipelines.py").write_text(ONE.replace("n + 1", "n + 2"))
    up.wait("reloaded")
    assert rows(shop)[0].error == ""
    assert shell(shop, "run", "one").status == 0


def test_errors_of_a_file_do_not_stop_the_rest(start: Start, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "two", ONE)
    (folder / "bad.py").write_text("import partita as pt\n\n\ndef broken(:\n")
    (folder / "pyproject.toml").write_text('[tool.partita]\nmodules = ["bad", "pipelines"]\n')
    loaded = start(folder).wait("loaded")
    assert loaded["pipelines"] == 1
    assert [(p["file"], p["line"]) for p in loaded["problems"]] == [("bad.py", 4)]


def test_a_run_ends_on_the_version_that_it_began_with(start: Start, slow: Path) -> None:
    up = start(slow)
    up.wait("loaded")
    begin(slow)
    (slow / "helper.py").write_text("SAYS = 'new'\n")
    up.wait("reloaded")
    let_go(slow)
    assert ended_run(slow) == "succeeded"
    assert (slow / "said").read_text() == "old"


def test_a_run_ends_on_its_version_though_the_service_was_killed_and_the_code_edited(start: Start, slow: Path) -> None:
    up = start(slow)
    up.wait("loaded")
    begin(slow)
    up.kill("scheduler")
    (slow / "helper.py").write_text("SAYS = 'new'\n")
    assert up.wait("ready", part="scheduler")["resumed"] == [1]
    up.wait("loaded")
    let_go(slow)
    assert ended_run(slow) == "succeeded"
    assert (slow / "said").read_text() == "old"


@pytest.mark.slow
def test_a_retry_has_the_version_of_its_run_or_the_latest(start: Start, tmp_path: Path) -> None:
    text = TWO_STEPS.replace('    with open("begun", "w") as pipe:\n        pipe.write("x")\n', "").replace(
        '    with open("go") as pipe:\n        pipe.read()\n', "    pass\n"
    )
    folder = write_project(tmp_path / "slow", text)
    (folder / "helper.py").write_text("SAYS = 'old'\n")
    up = start(folder)
    up.wait("loaded")
    assert shell(folder, "run", "slow").status == 0
    (folder / "helper.py").write_text("SAYS = 'new'\n")
    up.wait("reloaded")

    def said_after(*words: str) -> str:
        (folder / "said").unlink(missing_ok=True)
        said: Said = shell(folder, "retry", "1", "--from", "second", *words)
        assert said.status == 0, said
        return (folder / "said").read_text()

    assert said_after("--same-version") == "old"
    assert said_after("--latest") == "new"
    assert said_after() == "new"


# --- several projects -----------------------------------------------------------------------------------------------


def test_projects_with_clashing_modules_are_served_together_and_find_their_store(start: Start, tmp_path: Path) -> None:
    for name in ("north", "south"):
        text = ONE.replace("import partita as pt", "import partita as pt\nimport helper").replace(
            "return n + 1", "return helper.SAYS"
        )
        write_project(tmp_path / name, text.replace("n: int) -> int", "n: int) -> str"))
        (tmp_path / name / "helper.py").write_text(f"SAYS = '{name}'\n")
    up = start(tmp_path, "north", "south")
    assert {up.wait("loaded")["project"] for _ in range(2)} == {"north", "south"}
    for name in ("north", "south"):
        said = shell(tmp_path / name, "run", "one", "--json")
        assert said.status == 0, said
    # then both find the one store from their own folders
    runs = shell(tmp_path / "south", "runs", "--json").json
    assert sorted((r["no"], r["project"]) for r in (runs["items"] if isinstance(runs, dict) else runs)) == [
        (1, "north"),
        (2, "south"),
    ]
    assert [row.project for row in rows(tmp_path)] == ["north", "south"]


def test_two_folders_of_one_name_are_told_apart_by_a_message(start: Start, tmp_path: Path) -> None:
    write_project(tmp_path / "a" / "shop", ONE)
    write_project(tmp_path / "b" / "shop", ONE)
    up = start(tmp_path, "a/shop", "b/shop")
    assert "are both project 'shop'" in up.wait("broken")["error"]
