"""L1: whatever goes wrong around a run, every step and every run ends as it does when nothing goes wrong.

The runs here may not be cancelled, may not be out of time, and their steps are tried again when they are lost; then the
end is a function of the graph and of what user code does.
"""

from __future__ import annotations

import os

import pytest

from .test_simulation import play
from .world import World

SEEDS = int(os.environ.get("PARTITA_SIM_TWINS", "200"))
RUNS = 5
CHUNK = max(1, SEEDS // 20)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_runs_end_under_chaos_as_their_undisturbed_twins_do(first: int) -> None:
    crashes = 0
    for seed in range(first, min(first + CHUNK, SEEDS)):
        disturbed, calm = play(World(seed, runs=RUNS)), play(World(seed, runs=RUNS, chaos=False))
        assert disturbed.run_states() == calm.run_states(), f"seed {seed}"
        assert disturbed.ends() == calm.ends(), f"seed {seed}"
        assert len(calm.run_states()) == RUNS
        crashes += disturbed.engines - calm.engines
    assert crashes > CHUNK, "the chaos was too mild to show anything"
