"""Random histories with crashes: safety while faults are on, an end for everything when they are off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from partita.store.contract import Store
from partita.store.sqlite import open_store

from .marks import MARKS
from .world import World

SEEDS = int(os.environ.get("PARTITA_SIM_SEEDS", "300"))
FIRST = int(os.environ.get("PARTITA_SIM_FIRST", "0"))
EVENTS = 2000
# Chunks, so that the tests spread over processes.
CHUNK = max(1, SEEDS // 30)
CHUNKS = range(FIRST, FIRST + SEEDS, CHUNK)


def play(world: World) -> World:
    """Play it; what goes wrong names the seed."""
    try:
        world.play()
    except BaseException as error:
        error.add_note(f"seed {world.seed}: repeat with bench/sim.py --first {world.seed} --seeds 1")
        raise
    return world


@pytest.fixture
def marks_so_far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes that test."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "marks"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("first", CHUNKS)
def test_random_histories_with_crashes_keep_every_invariant_and_come_to_an_end(first: int, marks_so_far: Path) -> None:
    marks: Counter[str] = Counter()
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        world = play(World(seed, events=EVENTS))
        assert world.store.events >= EVENTS, f"seed {seed} did only {world.store.events} events of work"
        marks.update(world.marks)
    _note_marks(marks_so_far, first, marks)
    if len(list(marks_so_far.glob("*.json"))) == len(CHUNKS) and SEEDS >= 300:
        # The last of all chunks: what the simulation is there to see was seen.
        assert not (missing := _marks_missing(marks_so_far)), f"never happened in {SEEDS} seeds: {missing}"


@pytest.mark.parametrize("seed", range(12))
def test_the_same_seed_gives_the_same_history(seed: int) -> None:
    first, second = play(World(seed, events=400)), play(World(seed, events=400))
    assert first.store.history.hexdigest() == second.store.history.hexdigest()


def test_the_same_seed_gives_the_same_history_in_another_process() -> None:
    # The order of sets and hashes of strings differ there.
    code = "from tests.sim.world import World; w = World(3, events=800); w.play(); print(w.store.history.hexdigest())"
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert digests == {play(World(3, events=800)).store.history.hexdigest() + "\n"}


@pytest.mark.parametrize("seed", range(6))
def test_the_real_store_keeps_every_invariant_over_crashes_and_its_rows_are_what_its_journal_says(
    seed: int, tmp_path: Path
) -> None:
    def opened(clock: Callable[[], float]) -> Store:
        return open_store(tmp_path / "partita.db", clock=clock)

    def opened_again(store: Store) -> Store:
        store.close()
        return opened(world.store_now)

    world = World(seed, events=250, open_store=opened, after_crash=opened_again)
    try:
        play(world)
    finally:
        world.store.inner.close()


def test_the_real_store_and_the_one_in_memory_tell_the_same_history(tmp_path: Path) -> None:
    real = World(4, events=150, open_store=lambda clock: open_store(tmp_path / "partita.db", clock=clock))
    try:
        play(real)
    finally:
        real.store.inner.close()
    assert real.store.history.hexdigest() == play(World(4, events=150)).store.history.hexdigest()


def _note_marks(folder: Path, first: int, marks: Counter[str]) -> None:
    written = folder / f"{first}.new"
    written.write_bytes(msgspec.json.encode(dict(marks)))
    written.rename(folder / f"{first}.json")


def _marks_missing(folder: Path) -> list[str]:
    seen: Counter[str] = Counter()
    for path in folder.glob("*.json"):
        seen.update(msgspec.json.decode(path.read_bytes(), type=dict[str, int]))
    return [mark for mark in MARKS if not seen[mark]]
