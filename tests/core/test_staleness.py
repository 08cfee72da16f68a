"""Staleness: what is wrong with what was made, and since when."""

from __future__ import annotations

from partita.core.staleness import Made, Read, Verdict, staleness

MINE = Made(no=5, at=50.0, data_version="d", code_version="c1", changed_no=5, changed_at=50.0)


def above(no: int, at: float, *, changed_no: int = 0, changed_at: float = 0.0) -> Read:
    return Read("raw", "2024-01-01", Made(no, at, "x", "c", changed_no or no, changed_at or at))


def test_what_was_never_made_is_missing_and_names_what_it_waits_for() -> None:
    found = staleness(None, [Read("raw", "2024-01-01", None), above(3, 30.0)])
    assert found.state == "missing"
    assert [(c.code, c.text) for c in found.causes] == [
        ("missing", "it was never made"),
        ("upstream_missing", "raw of 2024-01-01 was never made"),
    ]


def test_an_upstream_that_was_made_later_makes_it_stale() -> None:
    found = staleness(MINE, [above(6, 60.0)])
    assert found.state == "stale"
    assert [(c.code, c.asset, c.partition, c.at) for c in found.causes] == [
        ("upstream_newer", "raw", "2024-01-01", 60.0)
    ]


def test_an_upstream_that_was_made_again_with_the_same_data_does_not() -> None:
    assert staleness(MINE, [above(9, 90.0, changed_no=3, changed_at=30.0)]).state == "current"


def test_newer_goes_by_the_order_of_commit_and_not_by_a_clock() -> None:
    """The clock was set back between the two."""
    assert staleness(MINE, [above(6, 10.0)]).state == "stale"
    assert staleness(MINE, [above(4, 99.0)]).state == "current"


def test_code_that_has_changed_makes_it_stale_unless_a_version_is_unknown() -> None:
    assert staleness(MINE, [], code_version="c2").causes[0].code == "code_changed"
    assert staleness(MINE, [], code_version="c1").state == "current"
    assert staleness(MINE, [], code_version="").state == "current"
    assert staleness(Made(5, 50.0), [], code_version="c2").state == "current"


def test_a_failed_check_weighs_more_than_being_stale() -> None:
    failed = Verdict("sane", False, "error", 55.0, "17 rows are negative")
    found = staleness(MINE, [above(6, 60.0)], verdicts=[failed, Verdict("wide", False, "warn", 55.0)])
    assert found.state == "failing"
    assert next((c.code, c.text, c.at) for c in found.causes) == (
        "check_failed",
        "check sane failed: 17 rows are negative",
        55.0,
    )
    assert len(found.causes) == 2
