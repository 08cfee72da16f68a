"""The exam of the simulation: does it find the bugs of `seeded_bugs.py`?

Each bug is put into a copy of the sources of its own, and the simulation runs on that in another process, seed after seed,
until something is found.

Rule: nothing of the copy is ever imported here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from .seeded_bugs import BUGS, Bug

World = Literal["engine", "service"]
ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "partita"
# Of one bug, all its seeds: one that hangs the machine has been found, too.
PATIENCE_S = 900.0
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "cli", "integrations")


class Found(NamedTuple):
    """What became of a bug: after how many seeds it was found, and by what; `seeds` 0 = not found."""

    bug: Bug
    seeds: int
    by: str


class _Answer(msgspec.Struct):
    seeds: int
    by: str


def examine(
    bugs: Sequence[Bug] = BUGS,
    *,
    seeds: int,
    processes: int,
    tell: Callable[[Found], None] = print,
    world: World = "engine",
) -> list[Found]:
    """Look for each of the bugs in simulations of one kind; `tell` is called as each is done."""
    with tempfile.TemporaryDirectory(prefix="partita-exam-") as folder:
        # It takes a while, and somebody may be writing code meanwhile: all bugs are made in the same sources.
        sources = Path(folder) / "src"
        shutil.copytree(SOURCES, sources / "partita", ignore=_LEFT_OUT)
        shutil.copytree(ROOT / "tests" / "sim", sources / "tests" / "sim", ignore=_LEFT_OUT)
        check_edits(bugs, sources / "partita")

        def examine_one(bug: Bug) -> Found:
            found = _look_for(bug, sources, seeds, world)
            tell(found)
            return found

        with ThreadPoolExecutor(processes) as threads:
            return list(threads.map(examine_one, bugs))


def check_edits(bugs: Sequence[Bug], sources: Path = SOURCES) -> None:
    """Raise `ValueError` for a bug that cannot be made: its old text does not stand exactly once in its file."""
    for bug in bugs:
        for edit in bug.edits:
            count = (sources / edit.file).read_text().count(edit.old)
            if count != 1:
                raise ValueError(f"seeded bug {bug.name!r}: its text stands {count} times in {edit.file}:\n{edit.old}")


def _look_for(bug: Bug, sources: Path, seeds: int, world: World) -> Found:
    with tempfile.TemporaryDirectory(prefix="partita-exam-") as folder:
        shutil.copytree(sources, folder, dirs_exist_ok=True)
        copy = Path(folder) / "partita"
        for edit in bug.edits:
            file = copy / edit.file
            file.write_text(file.read_text().replace(edit.old, edit.new))
        command = [sys.executable, "-m", "tests.sim.exam", str(seeds), str(copy), world]
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            return Found(bug, 1, "it does not come to an end")
        if done.returncode:
            # Not what is looked for: the simulation itself could not be played.
            raise RuntimeError(f"the exam of {bug.name!r} broke off:\n{done.stderr.decode()[-2000:]}")
        answer = msgspec.json.decode(done.stdout.splitlines()[-1], type=_Answer)
        return Found(bug, answer.seeds, answer.by)


def _sit(seeds: int, copy: Path) -> _Answer:
    """In the process of one bug: play seeds until something is found."""
    import partita

    assert Path(partita.__file__).parent == copy, f"the exam runs on {partita.__file__}"
    from .world import World

    for seed in range(seeds):
        try:
            World(seed).play()
            # Some bugs break no rule, they only make chaos matter.
            disturbed, calm = World(seed, runs=3), World(seed, runs=3, chaos=False)
            disturbed.play()
            calm.play()
            if disturbed.ends() != calm.ends():
                return _Answer(seed + 1, "L1: chaos changed how steps ended")
        except Exception as error:
            return _Answer(seed + 1, _short(error))
    return _Answer(0, "")


def _sit_on_the_service(seeds: int, copy: Path) -> _Answer:
    """The same with simulated services."""
    import partita

    assert Path(partita.__file__).parent == copy, f"the exam runs on {partita.__file__}"
    from .service_world import ServiceWorld

    for seed in range(seeds):
        try:
            ServiceWorld(seed).play()
        except Exception as error:
            return _Answer(seed + 1, _short(error))
    return _Answer(0, "")


def _short(error: Exception) -> str:
    from partita.core.invariants import Violation

    told = str(error).partition("\n")[0]
    if isinstance(error, Violation):
        return told[:100]
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {where.name}: {told}"[:100]


if __name__ == "__main__":
    sit = _sit_on_the_service if sys.argv[3] == "service" else _sit
    print(msgspec.json.encode(sit(int(sys.argv[1]), Path(sys.argv[2]))).decode())
