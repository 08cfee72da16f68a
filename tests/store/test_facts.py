"""Every fact is journaled and makes the rows that its noun's file says."""

from __future__ import annotations

from typing import get_args

from partita.core.facts import Fact
from partita.store.facts import WRITES


def test_every_fact_has_its_rule_and_every_rule_a_fact() -> None:
    assert {kind.__name__ for kind in get_args(Fact)} == {kind.__name__ for kind in WRITES}


def test_every_fact_has_a_tag_of_its_own() -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(Fact)]
    assert len(tags) == len(set(tags))
