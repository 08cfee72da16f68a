"""How many tickets a worker may hold."""

from __future__ import annotations

from partita.executors.lanes import MAX_ROOM, WINDOW_S, Lanes, fits


def room(expected_s: float) -> int:
    held = 0
    while fits(expected_s, held, held * expected_s):
        held += 1
    return held


def test_an_unknown_lane_starts_with_two() -> None:
    assert room(Lanes().expected_s("new")) == 2


def test_an_idle_worker_takes_a_ticket_of_any_length() -> None:
    assert fits(3600.0, 0, 0.0)


def test_long_steps_are_never_stacked() -> None:
    assert room(0.2) == 1


def test_short_steps_have_one_waiting_so_the_worker_never_waits() -> None:
    assert room(0.006) == 2
    assert room(0.04) == 2


def test_very_short_steps_fill_the_window_up_to_the_limit() -> None:
    assert room(WINDOW_S / 20) == 20
    assert room(0.00005) == MAX_ROOM


def test_a_lane_learns_its_first_duration_whole() -> None:
    lanes = Lanes()
    lanes.learn("a", 0.001)
    assert lanes.expected_s("a") == 0.001
    assert lanes.expected_s("b") != 0.001


def test_a_lane_learns_faster_that_it_is_slow_than_that_it_is_quick() -> None:
    slower, quicker = Lanes(), Lanes()
    for lanes, first, then in ((slower, 0.001, 0.101), (quicker, 0.101, 0.001)):
        lanes.learn("a", first)
        lanes.learn("a", then)
    assert slower.expected_s("a") - 0.001 > 0.101 - quicker.expected_s("a")


def test_a_clock_that_went_back_teaches_nothing_absurd() -> None:
    lanes = Lanes()
    lanes.learn("a", -5.0)
    assert 0 < lanes.expected_s("a") < WINDOW_S
