"""`approvals`, `approve` and `reject`: against the engine of another terminal, and straight at the folder."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from partita.engine import approvals
from partita.store.sqlite import open_reader

from .projects import Partita, call, command, environment, write_project

PROJECT = '''
import dataclasses
import partita as pt


@dataclasses.dataclass
class Share:
    percent: int
    note: str = ""


@pt.task
def build() -> str:
    return "1.4"


@pt.task
def deploy(decision: dict) -> dict:
    return decision


@pt.pipeline
def release():
    """Ask, then deploy."""
    version = build()
    show = {"version": version, "changes": pt.md.table([{"file": "a.py", "lines": 3}])}
    go = pt.approval("deploy {version}?", by="role:operator", answer=Share, show=show, timeout="1h", name="go")
    deploy(go)


@pt.pipeline
def two():
    pt.approval("first?", name="first")
    pt.approval("how far?", choices=["some", "all", "none"], rejecting="none", name="far")
'''


class Waiting:
    """A run that waits for people, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_project(folder, PROJECT)
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def start(self, pipeline: str, until: str) -> None:
        """Run it, and return when a line says that this step waits."""
        self.process = subprocess.Popen(
            command("run", pipeline),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if f"{until} waits" in line:
                self._wait_for_material(until)
                return
        raise AssertionError("".join(self.said))

    def _wait_for_material(self, step: str) -> None:
        """What there is to decide on is gathered right after the gate has opened."""
        deadline = time.monotonic() + 20
        reader = open_reader(self.folder / ".partita" / "partita.db")
        while not any(a.gate.step == step for a in approvals.waiting(reader)):
            assert time.monotonic() < deadline, f"{step} is not listed"
        reader.close()

    def end(self) -> tuple[int, str]:
        assert self.process is not None
        out, _ = self.process.communicate(timeout=30)
        return self.process.returncode, "".join(self.said) + out

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    made = Waiting(tmp_path / "shop")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


@pytest.fixture
def at(waiting: Waiting, capsys: pytest.CaptureFixture[str]) -> Partita:
    return lambda *words: call(capsys, waiting.folder, *words)


def test_what_waits_is_listed_shown_and_answered_while_an_engine_runs(waiting: Waiting, at: Partita) -> None:
    waiting.start("release", "go")
    assert "go waits: deploy 1.4?   partita approve 1 go" in waiting.said[-1]

    listed = at("approvals")
    assert "deploy 1.4?" in listed.out
    assert "whoever is operator" in listed.out
    shown = at("approvals", "1")
    assert "version  1.4" in shown.out
    assert "a.py  3" in shown.out
    assert "--set percent=integer" in shown.out
    (object_,) = json.loads(at("approvals", "--json").out)
    assert (object_["question"], object_["choices"], object_["votes"]) == ("deploy 1.4?", ["approve", "reject"], [])
    assert "waits for an answer to 'deploy 1.4?'" in at("why", "1", "go").out

    assert "go of run 1" in at("approve", "1", "--set", "percent=10", "--comment", "fine").out
    code, said = waiting.end()
    assert code == 0, said
    assert "go succeeded after" in said
    result = json.loads(at("show", "1", "deploy", "--json").out)
    assert '"percent": 10' in json.dumps(result)
    assert '"fine"' in json.dumps(result)


def test_a_rejection_ends_the_run_with_its_comment(waiting: Waiting, at: Partita) -> None:
    waiting.start("release", "go")
    said = json.loads(at("reject", "release", "go", "-m", "not today", "--json").out)
    assert (said["choice"], said["state"]) == ("reject", "answered")
    code, told = waiting.end()
    assert code == 1
    assert "not today" in told


def test_an_answer_without_an_engine_is_kept_for_the_next(waiting: Waiting, at: Partita) -> None:
    waiting.start("release", "go")
    waiting.kill()
    assert "no engine is at work here" in at("approvals").err
    done = at("approve", "1", "--set", "percent=5")
    assert (done.status, "no engine is at work here" in done.err) == (0, True)
    assert "nothing of run 1 waits" in at("approve", "1").err
    assert at("retry", "1").status == 0
    assert '"percent": 5' in json.dumps(json.loads(at("show", "1", "deploy", "--json").out))
    assert at("db", "audit").status == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("approve", "1"), "it asks for a typed answer with percent"),
        (("approve", "1", "--set", "percent=ten"), 'the answer.percent is "ten": a whole number is expected'),
        (("approve", "1", "--set", "share=10"), "its answer has no field 'share'"),
        (("approve", "1", "--choice", "maybe"), "'maybe' is none of its choices: approve, reject"),
        (("approve", "1", "build"), "build of run 1 does not wait for people"),
        (("approve", "1", "nothing"), "has no step 'nothing'"),
        (("approve", "9"), "there is no run '9'"),
        (("approvals", "9"), "there is no run '9'"),
    ],
)
def test_what_is_wrong_is_one_clear_error(waiting: Waiting, at: Partita, words: tuple[str, ...], says: str) -> None:
    waiting.start("release", "go")
    said = at(*words)
    assert (said.status, said.out) == (2, "")
    assert says in said.err


def test_several_that_wait_are_told_apart_by_their_step(waiting: Waiting, at: Partita) -> None:
    waiting.start("two", "far")
    assert "2 steps of run 1 wait for people: far, first" in at("approve", "1").err
    assert "it has several choices: some, all" in at("approve", "1", "far").err
    assert at("approve", "1", "far", "--choice", "all").status == 0
    assert at("approve", "1").status == 0
    assert waiting.end()[0] == 0


def test_nothing_waits_in_a_folder_where_nothing_was_asked(at: Partita, waiting: Waiting) -> None:
    assert at("run", "release", "--only", "build").status in (0, 2)
    said = at("approvals")
    assert "nothing" in said.err
