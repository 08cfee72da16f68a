"""Ctrl-C, death of the engine, two engines, cancel, pause: what happens to a run that is executed in another process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from partita.store.sqlite import open_reader

from .projects import Hanging, call, command, environment


@pytest.fixture
def here(hanging: Hanging, capsys: pytest.CaptureFixture[str]):
    """`partita WORDS...` in the folder of the run that hangs."""
    return lambda *words: call(capsys, hanging.folder, *words)


def state_of(folder: Path, run: str = "1") -> str:
    reader = open_reader(folder / ".partita" / "partita.db")
    row = reader.run(run)
    reader.close()
    assert row is not None
    return row.state


def test_ctrl_c_cancels_politely_and_exits_with_130(hanging: Hanging) -> None:
    process = hanging.start()
    process.send_signal(signal.SIGINT)
    said = hanging.end()
    assert said.status == 130
    assert "⊘ cancelling run 1; Ctrl-C again kills what still runs" in said.err
    assert "⊘ slow cancelled in" in said.out
    assert "partita retry 1" in said.out
    assert state_of(hanging.folder) == "cancelled"


def test_the_second_ctrl_c_kills_what_does_not_end(hanging: Hanging) -> None:
    text = (hanging.folder / "pipelines.py").read_text()
    stubborn = (
        text.replace("import os\n", "import os\nimport signal\n")
        .replace('grace="20s"', 'grace="1h"')
        .replace(
            '    print("begun", flush=True)\n',
            '    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n    print("begun", flush=True)\n',
        )
    )
    assert stubborn.count("signal") == 4
    (hanging.folder / "pipelines.py").write_text(stubborn)
    process = hanging.start()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    _read_until(process, "cancelling run 1")
    process.send_signal(signal.SIGINT)
    said = hanging.end()
    assert said.status == 130
    assert "killed 1 worker" in said.err
    assert state_of(hanging.folder) == "cancelled"


def test_sigterm_is_a_polite_end_too(hanging: Hanging) -> None:
    hanging.start().send_signal(signal.SIGTERM)
    assert hanging.end().status == 128 + signal.SIGTERM
    assert state_of(hanging.folder) == "cancelled"


def test_a_second_engine_is_refused_and_told_who_is_there(hanging: Hanging, here) -> None:
    process = hanging.start()
    said = here("run")
    assert said.status == 3
    assert f"in use by process {process.pid}" in said.err
    assert "hint: stop it first" in said.err


def test_a_run_elsewhere_can_be_looked_at_explained_paused_and_cancelled(hanging: Hanging, here) -> None:
    process = hanging.start("run", "slow")
    assert "◐ slow running" in here("why").out
    assert "after waits for stuck, which is running" in here("why").out
    why = here("why", "1", "stuck")
    assert "◐ stuck running for" in why.out
    assert here("why", "last", "stuck", "--json").json["reasons"][0]["code"] == "running"
    assert f"engine of process {process.pid}" in here("doctor").out
    assert "run 1 stuck for" in here("doctor").out
    assert "begun" in here("logs", "last", "stuck").out
    paused = here("pause", "last")
    assert paused.out == "○ run 1 is paused: what runs goes on, nothing new starts\n"
    assert "○ paused" in here("runs").out
    assert here("resume").out == "◐ run 1 goes on\n"
    said = here("cancel", "--reason", "enough")
    assert said.status == 0
    assert "run 1 is being cancelled" in said.out
    assert hanging.end().status == 1
    assert "cancelled by" in here("show").out
    assert "enough" in here("show").out
    assert here("cancel").err.startswith("■ run 1 has ended: cancelled")
    assert here("pause").status == 2


def test_logs_are_followed_until_the_attempt_ends(hanging: Hanging) -> None:
    hanging.start()
    follower = subprocess.Popen(
        [*_partita(), "logs", "last", "stuck", "--follow"], cwd=hanging.folder, stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert follower.stdout.readline().endswith("begun\n")
    # It is silent, and has not ended: an end would be readable.
    assert select.select([follower.stdout], [], [], 0.6)[0] == []
    hanging.let_go()
    assert follower.stdout.readline().endswith("let go\n")
    assert follower.wait(30) == 0
    follower.stdout.close()
    assert hanging.end().status == 0


def test_a_run_whose_engine_was_killed_says_so_and_is_taken_up_by_the_next(hanging: Hanging, here) -> None:
    hanging.start()
    hanging.kill()
    assert "run 1 was interrupted" in here("runs").err
    assert "hint: take it up: partita retry 1" in here("why").err
    assert "1 run without an engine: 1" in here("doctor").out
    assert "no engine executes run 1" in here("pause").err
    hanging.let_go()
    said = here("retry")
    assert said.status == 0
    assert "taking up run 1 (slow), interrupted" in said.err
    assert "● slow succeeded in" in said.out
    # It was adopted, not done twice: one attempt, and no second `begun`.
    assert len(_attempts(hanging.folder, "stuck")) == 1
    assert here("db", "audit").status == 0


def test_runs_that_were_taken_up_are_finished_too_and_ctrl_c_leaves_them(hanging: Hanging, here) -> None:
    hanging.start()
    hanging.kill()
    process = hanging.go_on("run", "quick")
    _read_until(process, "what you asked for is done; run 1, taken up, goes on")
    process.send_signal(signal.SIGINT)
    said = hanging.end()
    assert said.status == 0
    assert "● quick succeeded" in said.out
    assert "run 1 is left as it is" in said.err
    assert state_of(hanging.folder) == "running"
    hanging.let_go()
    assert here("retry", "1").status == 0
    assert len(_attempts(hanging.folder, "stuck")) == 1


def test_ctrl_c_while_the_project_is_imported_ends_the_import_too(hanging: Hanging) -> None:
    (hanging.folder / "pipelines.py").write_text(
        "from pathlib import Path\n"
        "HERE = Path(__file__).parent\n"
        "with open(HERE / 'begun', 'w') as pipe:\n    pipe.write('x')\n"
        "with open(HERE / 'go') as pipe:\n    pipe.read()\n"
    )
    process = hanging.start()
    process.send_signal(signal.SIGINT)
    said = hanging.end()
    assert said.status == 130
    assert said.err == "interrupted\n"
    # Nobody waits at the pipe any more.
    with pytest.raises(OSError, match="No such device or address"):
        os.open(hanging.folder / "go", os.O_WRONLY | os.O_NONBLOCK)


def test_ctrl_c_in_code_that_python_makes_itself_is_an_exit_code_too(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import partita.cli.main as cli\n"
        "def defines_a_dataclass(argv):\n    exec('raise KeyboardInterrupt')\n"
        "cli._dispatch = defines_a_dataclass\n"
        "cli.main(['runs'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_wrong_request_does_not_kill_what_an_earlier_engine_left(hanging: Hanging, here) -> None:
    hanging.start()
    hanging.kill()
    assert "was interrupted and has not ended: it can only go on" in here("retry", "1", "--from", "nope").err
    for words in (["nope"], ["slow", "-p", "x=1"], ["slow", "--partition", "2013-01-01"], ["slow", "--select", "zzz"]):
        said = here("run", *words)
        assert said.status == 2
        # It was not even begun to take up.
        assert "taking up" not in said.err
    assert state_of(hanging.folder) == "running"
    hanging.let_go()
    assert here("retry", "1").status == 0
    assert len(_attempts(hanging.folder, "stuck")) == 1


def test_a_run_that_nobody_executes_can_be_cancelled(hanging: Hanging, here) -> None:
    hanging.start()
    hanging.kill()
    said = here("cancel", "1")
    assert said.status == 0
    assert "ending 1 step that its engine left running" in said.err
    assert "⊘ run 1 is cancelled; no engine was executing it" in said.out
    assert state_of(hanging.folder) == "cancelled"
    assert here("db", "audit").out.startswith("● all invariants hold")


def _attempts(folder: Path, step: str) -> list[object]:
    reader = open_reader(folder / ".partita" / "partita.db")
    row = reader.run("1")
    assert row is not None
    found = [a for a in reader.attempts(row.id) if a.step == step]
    reader.close()
    return list(found)


def _partita() -> list[str]:
    from .projects import command

    return command()


def _read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it never said {text!r}")


AWAY = """
import partita as pt

@pt.task(executor="far")
def on_the_cluster() -> int:
    return 1

@pt.pipeline
def nightly():
    on_the_cluster()
"""


def test_a_run_says_what_it_waits_for_while_its_cluster_is_away(tmp_path: Path) -> None:
    # given a step that is for a cluster that nobody answers for
    (tmp_path / "pipelines.py").write_text(AWAY)
    settings = 'kind = "dask"\naddress = "tcp://127.0.0.1:1"\ntimeout = "1s"\n'
    (tmp_path / "pyproject.toml").write_text(f'[tool.partita]\nname = "away"\n[tool.partita.executors.far]\n{settings}')
    process = subprocess.Popen(
        command("run", "nightly"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    # when it is run, it says so, and what can be done; and it can be cancelled all the same
    try:
        _read_until(process, "far: the Dask scheduler at tcp://127.0.0.1:1 cannot be reached")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said.count("cannot be reached") == 0, "once is enough"
    finally:
        process.kill()
        process.communicate()
    assert state_of(tmp_path) == "cancelled"
