"""Random histories with crashes: safety while faults are on, an end for everything when they are off."""

from __future__ import annotations

import os

import pytest

from .world import World

SEEDS = int(os.environ.get("PARTITA_SIM_SEEDS", "300"))
FIRST = int(os.environ.get("PARTITA_SIM_FIRST", "0"))
# Chunks, so that the tests spread over processes.
CHUNK = max(1, SEEDS // 20)


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, CHUNK))
def test_random_histories_with_crashes_keep_every_invariant_and_come_to_an_end(first: int) -> None:
    for seed in range(first, min(first + CHUNK, FIRST + SEEDS)):
        world = World(seed)
        try:
            world.play()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_the_same_seed_gives_the_same_history() -> None:
    for seed in range(25):
        first, second = World(seed), World(seed)
        first.play()
        second.play()
        assert first.store.history.hexdigest() == second.store.history.hexdigest(), f"seed {seed}"
