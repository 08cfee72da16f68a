"""Nonsense, given to the real command: one clear message each, the right exit code, and nothing that was done is lost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PARTITA = str(Path(sys.executable).parent / "partita")
GOOD = """
import partita as pt

@pt.task
def fine():
    return 1

@pt.pipeline
def good():
    fine()
"""


class Folder:
    """A project folder and the command in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)

    def write(self, text: str, name: str = "pipelines.py") -> None:
        (self.path / name).write_text(text)

    def partita(self, *arguments: str, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PARTITA, *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "NO_COLOR": "1", **env},
        )

    def said(self, *arguments: str, code: int, **env: str) -> str:
        """What the command says, if it ends with `code` and without a traceback of ours."""
        done = self.partita(*arguments, **env)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "bug of Partita" not in said
        return said


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "project")


def test_a_folder_that_is_no_project(folder: Folder):
    said = folder.said("run", code=2)
    assert "hint" in said
    assert "partita init" in said


def test_a_file_that_raises_at_import_is_named_with_its_line(folder: Folder):
    folder.write("import partita as pt\n\nraise RuntimeError('no such server')\n")
    said = folder.said("check", code=1)
    assert "pipelines.py:3" in said
    assert "no such server" in said


def test_the_rest_of_a_project_runs_when_one_file_is_broken(folder: Folder):
    folder.write(GOOD, "good.py")
    folder.write("import partita as pt\n1/0\n", "bad.py")
    folder.write('[tool.partita]\nmodules = ["good", "bad"]\n', "pyproject.toml")
    assert "bad.py:2" in folder.said("check", code=1)
    folder.said("run", "good", code=0)


def test_an_import_that_never_ends_is_ended(folder: Folder):
    folder.write("while True:\n    pass\n")
    said = folder.said("list", code=3, PARTITA_LOAD_TIMEOUT="1")
    assert "takes longer than 1 s to import" in said
    assert "pipelines.py" in said


def test_an_import_that_ends_the_process(folder: Folder):
    folder.write("import os\nos._exit(7)\n")
    assert "exit code 7" in folder.said("list", code=3)


def test_all_problems_come_at_once(folder: Folder):
    folder.write(
        """
import partita as pt

@pt.task(retires=3)
def one(): ...

@pt.task
def two(x): ...

@pt.pipeline
def first():
    two(y=1)

@pt.pipeline
def second():
    two.map(3)
"""
    )
    said = folder.said("check", code=1)
    assert "retries" in said
    assert "pipelines.py:4" in said or "pipelines.py:5" in said
    assert "pipelines.py:12" in said
    assert "pipelines.py:16" in said


def test_an_unknown_pipeline_and_unknown_parameters_get_the_nearest_name(folder: Folder):
    folder.write(GOOD)
    assert "good" in folder.said("run", "goood", code=2)
    assert "day" in folder.said("run", "good", "--param", "day=1", code=2)
    assert "NUMBER" not in folder.said("why", "99", code=2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return (x for x in range(3))", "generator"),
        ("import socket; s = socket.socket(); return s", "socket"),
        ("raise Nasty()", "Nasty"),
        ("raise ValueError('a\\x00b \\ud800 c')", "ValueError"),
        ("import os; os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import sys; sys.exit(4)", "4"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return '\\ud800'", ""),
        ("print('\\x00\\x1b[31mred\\x1b]8;;http://x\\x07'); raise OSError('after output')", "after output"),
    ],
)
def test_what_user_code_does_to_itself_is_told(folder: Folder, body: str, message: str):
    folder.write(
        f"""
import partita as pt

class Nasty(Exception):
    def __str__(self):
        raise RuntimeError("even this")
    __repr__ = __str__

@pt.task
def bad():
    {body}

@pt.task
def other():
    return 2

@pt.pipeline
def mixed():
    bad()
    other()
"""
    )
    done = folder.partita("run", "mixed")
    said = done.stdout + done.stderr
    assert done.returncode in ((0, 1) if not message else (1,)), said
    assert message in said
    assert "\x1b[31m" not in said
    state = json.loads(folder.said("runs", "--json", code=0))
    assert json.dumps(state)
    folder.said("db", "audit", code=0)


@pytest.mark.parametrize("name", ["a\\x00b", "\\ud800", "", "a" * 10_000, "../../etc/passwd", "a\\nb", "<script>"])
def test_names_that_are_no_names(folder: Folder, name: str):
    folder.write(f'import partita as pt\n@pt.task(name="{name}")\ndef t(): ...\n@pt.pipeline\ndef p():\n    t()\n')
    said = folder.said("check", code=1)
    assert "pipelines.py" in said


def test_a_parameter_with_a_lone_surrogate_from_the_shell(folder: Folder):
    folder.write(GOOD.replace("def good():", "def good(x: str):"))
    done = subprocess.run(
        [PARTITA.encode(), b"run", b"good", b"--param", b"x=\xff\xfe"], cwd=folder.path, capture_output=True, timeout=60
    )
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 2, said
    assert "bug of Partita" not in said


@contextlib.contextmanager
def _mounted(path: Path, options: str) -> Iterator[None]:
    path.mkdir(exist_ok=True)
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True).returncode
    ):
        pytest.skip("mounting a small file system takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_stops_the_engine_with_one_message_and_loses_nothing(tmp_path: Path):
    with _mounted(tmp_path / "small", "size=3m"):
        folder = Folder(tmp_path / "small" / "project")
        folder.write(GOOD)
        folder.said("run", "good", code=0)
        filler = folder.path / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        done = folder.partita("run", "good")
        said = done.stdout + done.stderr
        assert done.returncode == 3, said
        assert "space" in said
        assert "bug of Partita" not in said
        filler.unlink()
        folder.said("run", "good", code=0)
        folder.said("db", "audit", code=0)


def test_a_read_only_folder_is_one_clear_message(tmp_path: Path):
    with _mounted(tmp_path / "ro", "size=3m"):
        folder = Folder(tmp_path / "ro" / "project")
        folder.write(GOOD)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "ro")], check=True)
        said = folder.said("run", "good", code=3)
        assert "read-only" in said.lower() or "cannot be written" in said


def test_a_second_engine_is_told_who_holds_the_store(folder: Folder):
    folder.write(
        """
import time
import partita as pt

@pt.task
def wait():
    print("waiting", flush=True)
    time.sleep(30)

@pt.pipeline
def long():
    wait()
"""
    )
    first = subprocess.Popen(
        [PARTITA, "run", "long"], cwd=folder.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert first.stdout is not None
        for line in first.stdout:
            if "started" in line:
                break
        said = folder.said("run", "long", code=3)
        assert str(first.pid) in said
        folder.said("cancel", "last", code=0)
        assert first.wait(30) == 1
    finally:
        first.kill()
        first.communicate()


@pytest.mark.slow
def test_a_result_of_a_gigabyte_is_kept(folder: Folder):
    folder.write(
        """
import partita as pt

@pt.task
def huge():
    return bytes(1 << 30)

@pt.task
def size(data):
    return len(data)

@pt.pipeline
def big():
    size(huge())
"""
    )
    folder.said("run", "big", code=0)
    folder.said("db", "audit", code=0)
