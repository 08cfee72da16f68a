"""The exam: bugs that are made on purpose are found. All of them, with many seeds, by `make sim`; here those that are found fast."""

from __future__ import annotations

import pytest

from .exam import check_edits, examine
from .seeded_bugs import BUGS


def test_every_seeded_bug_can_still_be_made() -> None:
    assert len(BUGS) >= 24
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    check_edits(BUGS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_simulation_finds_the_seeded_bugs() -> None:
    found = examine(BUGS, seeds=20, processes=2, tell=lambda found: None)
    missed = [f.bug.name for f in found if not f.seeds]
    # In `make sim` it is 95 % within 200 seeds.
    assert len(missed) <= len(BUGS) * 0.2, missed
