"""How long history is kept, as it is said."""

from __future__ import annotations

import pytest

from partita.core.retention import DAY_S, DEFAULT, KINDS, Keep, policy_of
from partita.errors import DefinitionError


def test_everything_is_kept_for_a_time_and_nothing_for_ever_if_nobody_says_so() -> None:
    assert all(keep.age_s is not None for keep in DEFAULT.kinds.values())
    assert set(DEFAULT.kinds) == set(KINDS)


def test_ages_and_sizes_are_said_as_people_write_them() -> None:
    kinds = policy_of({"runs": "2w", "logs": "12h, 1.5GiB", "cache": "3GB", "audit": "forever", "ticks": False}).kinds
    assert kinds["runs"] == Keep(14 * DAY_S, DEFAULT.kinds["runs"].max_bytes)
    assert kinds["logs"] == Keep(0.5 * DAY_S, 3 << 29)
    assert kinds["cache"] == Keep(90 * DAY_S, 3 * 10**9)
    assert kinds["audit"] == kinds["ticks"] == Keep()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"run": "3d"}, "there is no kind 'run'"),
        ({"runs": "soon"}, "says no age"),
        ({"runs": 30}, "says no age"),
        ({"ticks": "5GB"}, "says no age"),
        ({"values": "1h"}, "for a day at least"),
        ({"deliveries": "2h"}, "for a day at least"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_what_to_write(table: dict[str, object], message: str) -> None:
    with pytest.raises(DefinitionError, match=message) as raised:
        policy_of(table)
    assert raised.value.hint


def test_what_nobody_keeps_for_its_own_sake_goes_with_what_it_belongs_to() -> None:
    policy = policy_of({"runs": "10d"})
    assert policy.before("graphs", 100 * DAY_S) == policy.before("runs", 100 * DAY_S) == 90 * DAY_S
    assert policy_of({"runs": "forever"}).before("runs", 0.0) is None
    assert policy.is_too_much("logs", 21 << 30)
    assert not policy.is_too_much("ticks", 1 << 60)
