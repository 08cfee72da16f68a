"""`partita schedules` and `partita simulate`: the same words with and without a service."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from partita.engine.clock import FakeClock
from partita.store import schedules as rows
from partita.store.sqlite import open_reader

from .projects import call
from .served import Served

CODE = """
import partita as pt

@pt.task
def load(region: str) -> None: ...

@pt.pipeline(schedule=[
    pt.cron("30 2 * * *", tz="Europe/Berlin", params={"region": "us"}),
    pt.every("6h", name="often", overlap="skip"),
])
def sales(region: str = "eu"):
    load(region)

@pt.pipeline(schedule=pt.cron("0 0 30 2 *"))
def never():
    load("x")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def served(shop: Path) -> Path:
    """A folder that a service has served for a day, half a day of which it was gone."""

    clock = FakeClock(dt.datetime.now(dt.UTC).timestamp() // 86_400 * 86_400 - 86_400)
    with Served(shop, clock) as service:
        clock.advance(6 * 3600)
        service.work()
    clock.advance(13 * 3600)
    with Served(shop, clock) as service:
        service.work()
    return shop


def test_a_folder_that_was_never_served_lists_what_is_declared(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, shop, "schedules")
    assert said.status == 0
    assert "at 02:30 every day (Europe/Berlin)" in said.out
    assert "not served yet" in said.out
    found = call(capsys, shop, "schedules", "--json").json
    assert [(s["name"], s["pipeline"]) for s in found] == [("sales", "sales"), ("often", "sales"), ("never", "never")]
    assert found[0]["spec"]["params"] == {"region": "us"}


def test_next_ticks_are_shown_in_the_zone(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, shop, "schedules", "next", "sales", "-n", "400", "--json").json
    assert len(found) == 400
    hours = {t["local"][15:20] for t in found}
    assert hours == {"02:30", "03:00"}  # once a year it is skipped, and comes at the first instant after
    assert "it has no tick any more" in call(capsys, shop, "schedules", "next", "never").err


def test_a_served_folder_shows_what_was_decided_and_why(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {s["name"]: s for s in call(capsys, served, "schedules", "--json").json}
    assert found["often"]["last_decision"] == "skipped"
    ticks = call(capsys, served, "schedules", "tick", "often", "--json").json
    assert [(t["decision"], t["count"]) for t in ticks] == [("skipped", 2), ("run", 1)]
    said = call(capsys, served, "schedules", "tick", "often")
    assert "skipped 2" in said.out
    assert "nobody was there" in said.out
    words = call(capsys, served, "schedules", "explain", "often").out
    assert "often starts sales every 6 hours (UTC)" in words
    assert "were skipped: missed: nobody was there" in words


def test_pause_and_resume_straight_at_the_folder(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, served, "schedules", "pause", "often", "--reason", "holidays").status == 0
    row = rows.schedule(open_reader(served / ".partita" / "partita.db"), "default", "often")
    assert row is not None
    assert (row.paused, row.reason) == (True, "holidays")
    assert "paused: holidays" in call(capsys, served, "schedules").out
    assert "Resume it" in call(capsys, served, "schedules", "explain", "often").out
    said = call(capsys, served, "schedules", "resume", "often")
    assert "goes on; next: " in said.out
    assert call(capsys, served, "db", "audit").status == 0


def test_a_tick_is_tried_without_a_run_being_made(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, served, "schedules", "test", "sales", "--at", "2027-03-28T03:00")
    assert said.status == 0
    assert "would run sales with region='us'" in said.out
    # No clock shows 02:30 in that night: the tick is at the first instant after the gap.
    assert "has no tick" not in said.out
    said = call(capsys, served, "schedules", "test", "sales", "--at", "2027-03-27T03:00")
    assert "sales has no tick at" in said.out
    before = call(capsys, served, "runs", "--json").out
    call(capsys, served, "schedules", "test", "often")
    assert call(capsys, served, "runs", "--json").out == before


def test_a_tick_of_a_paused_schedule_would_be_skipped_with_the_reason(
    served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, served, "schedules", "pause", "sales", "--reason", "the source moves")
    assert "would be skipped: it is paused: the source moves" in call(capsys, served, "schedules", "test", "sales").out


def test_a_trigger_straight_at_the_folder_makes_a_run_that_waits(
    served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = call(capsys, served, "schedules", "trigger", "sales/x").status
    assert found == 2
    run = call(capsys, served, "schedules", "trigger", "often", "--json").json
    assert run["pipeline"] == "sales"
    assert run["origin"].startswith("trigger:often:")


def test_a_schedule_that_was_misspelled_is_guessed(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = call(capsys, shop, "schedules", "next", "oftn")
    assert said.status == 2
    assert "did you mean often?" in said.err


def test_a_simulation_says_when_runs_land(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = call(capsys, shop, "simulate", "--days", "2", "--from", "2026-03-28", "--json")
    assert found.status == 0
    ticks = [(t["schedule"], t["instant"], t["clocks"]) for t in found.json["ticks"] if t["schedule"] == "sales"]
    assert ticks == [
        ("sales", "2026-03-28T01:30:00.000Z", None),
        ("sales", "2026-03-29T01:00:00.000Z", "+01:00 -> +02:00"),
    ]
    said = call(capsys, shop, "simulate", "--days", "1", "--from", "2026-03-28")
    assert "1 day: " in said.out
    assert "0 deadlines missed" in said.out
    assert "no duration is known" in said.err


def test_a_deadline_that_will_be_missed_is_an_exit_code(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "pipelines.py").write_text(
        "import partita as pt\n@pt.task\ndef work(): ...\n"
        "@pt.pipeline(schedule=[pt.land_by('06:00'), pt.cron('20 5 * * *', name='other')], max_runs=1)\n"
        "def sales(): work()\n"
    )
    clock = FakeClock(1_767_225_600.0 + 6 * 3600)
    with Served(shop, clock) as service:
        clock.advance(86_400 - 40 * 60)
        service.work(takes=1800)
    said = call(capsys, shop, "simulate", "--days", "1", "--from", "2026-03-28")
    # The other one takes half an hour from 05:20 on, so this one starts at 05:50 instead of 05:30.
    assert said.status == 1
    assert "misses its deadline by 20 m 00 s" in said.out
