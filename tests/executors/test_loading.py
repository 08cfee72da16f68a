"""Projects that load, and projects that do all they can not to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from partita.errors import LoadError
from partita.executors.identity import is_alive, name_of
from partita.executors.loading import load_project, start_host
from partita.settings import Settings

GOOD = """
import partita as pt
print("hello from the import")

@pt.task
def one() -> int:
    return 1

@pt.pipeline
def main(count: int = 3, name: str = "x"):
    one()
"""


def a_project(folder: Path, source: str, **changes: object) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.py").write_text(source)
    return Settings.of(folder, workers=1, **changes)


def message_of(settings: Settings) -> str:
    with pytest.raises(LoadError) as caught:
        load_project(settings)
    return str(caught.value)


def test_a_good_project_gives_its_manifest(tmp_path: Path) -> None:
    loaded = load_project(a_project(tmp_path / "good", GOOD))
    assert [pipeline.name for pipeline in loaded.manifest.pipelines] == ["main"]
    assert loaded.manifest.problems == ()
    assert "hello from the import" in loaded.connection.output()
    loaded.connection.close(kill=True)


def test_parameters_are_checked_where_the_signature_is(tmp_path: Path) -> None:
    connection = load_project(a_project(tmp_path / "good", GOOD)).connection
    bound = connection.bind("main", {"count": "5"})
    assert bound.problems == ()
    assert sorted(bound.params) == ["count", "name"]
    wrong = connection.bind("main", {"count": "many", "nmae": "y"})
    assert "count" in wrong.problems[0].message
    assert "nmae" in wrong.problems[0].message
    assert "no pipeline `other`" in connection.bind("other", {}).problems[0].message
    connection.close(kill=True)


def test_an_import_that_raises_is_a_problem_of_the_manifest(tmp_path: Path) -> None:
    loaded = load_project(a_project(tmp_path / "raising", "import partita\nraise ValueError('broken on purpose')\n"))
    (problem,) = loaded.manifest.problems
    assert "broken on purpose" in problem.message
    assert (problem.file, problem.line) == ("pipelines.py", 2)
    loaded.connection.close(kill=True)


def test_an_import_without_end_is_ended_and_its_place_named(tmp_path: Path) -> None:
    settings = a_project(tmp_path / "endless", "import helper\n", load_timeout_s=1.0)
    (settings.project / "helper.py").write_text("print('on my way')\nx = 1\nwhile True:\n    pass\n")
    message = message_of(settings)
    assert "takes longer than 1 s to import" in message
    assert "helper.py:" in message
    assert "on my way" in message
    assert "hint:" in message


def test_an_import_that_ends_its_process_is_told_with_its_exit_code(tmp_path: Path) -> None:
    settings = a_project(tmp_path / "leaving", "import os\nimport helper\n")
    (settings.project / "helper.py").write_text("import os\nprint('good bye', flush=True)\nos._exit(5)\n")
    message = message_of(settings)
    assert "exit code 5" in message
    assert "`helper`" in message
    assert "good bye" in message


def test_an_import_that_crashes_is_told_with_its_signal(tmp_path: Path) -> None:
    message = message_of(a_project(tmp_path / "crashing", "import ctypes\nctypes.string_at(0)\n"))
    assert "SIGSEGV" in message
    assert "`pipelines`" in message


def test_a_folder_that_is_no_project_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    message = message_of(Settings.of(tmp_path / "empty"))
    assert "no pipelines.py" in message
    assert "partita init" in message


def test_a_host_that_was_given_up_is_gone_with_all_it_started(tmp_path: Path) -> None:
    source = "import subprocess\nsubprocess.Popen(['sleep', '60'])\nwhile True: pass\n"
    connection = start_host(a_project(tmp_path / "endless", source, load_timeout_s=0.7))
    name = name_of(connection.pid)
    with pytest.raises(LoadError):
        connection.manifest()
    assert not is_alive(name)
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and _session(int(pid)) == connection.pid]
    assert [pid for pid in left if name_of(int(pid))] == []
    connection.close()


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def test_closing_lets_an_idle_host_end_by_itself(tmp_path: Path) -> None:
    loaded = load_project(a_project(tmp_path / "good", GOOD))
    loaded.connection.close()
    assert loaded.connection.reap(wait_s=10.0) == 0
