"""The curve of what an attempt uses: bounded, thinned without losing a peak, read while it grows."""

from __future__ import annotations

from pathlib import Path

from partita.settings import Home
from partita.worker.curve import MOST_POINTS, Curve, Point, curve_file, read_curve
from partita.worker.markers import Splitter, log_name, mark


def at(home: Home) -> Curve | None:
    return read_curve(home, 12, "train", "", 1)


def file_of(home: Home, base: int = 0):  # type: ignore[no-untyped-def]
    return curve_file(home.logs, log_name(12, "train", "", 1), base)


def test_what_was_added_is_read_back_with_what_the_worker_had_before(tmp_path: Path) -> None:
    home = Home(tmp_path)
    curve = file_of(home, base=500)
    curve.add(Point(100.0, 1000, 0.5))
    assert at(home) is None, "an attempt that is over within a second has no file"
    curve.add(Point(101.0, 2000, 1.5))
    curve.add(Point(102.0, 1500, 2.25))
    assert at(home) == Curve(500, [Point(100.0, 1000, 0.5), Point(101.0, 2000, 1.5), Point(102.0, 1500, 2.25)])


def test_a_long_attempt_keeps_few_points_its_ends_and_its_peak(tmp_path: Path) -> None:
    home = Home(tmp_path)
    curve = file_of(home)
    for second in range(10_000):
        curve.add(Point(float(second), 9_999_999 if second == 4_321 else 1000 + second, second / 2))
    curve.add(Point(9_999.5, 77, 5_000.0), last=True)
    found = at(home)
    assert found is not None
    assert MOST_POINTS / 3 < len(found.points) <= MOST_POINTS
    assert found.points[0].at == 0.0
    assert found.points[-1] == Point(9_999.5, 77, 5_000.0)
    assert [p.at for p in found.points] == sorted(p.at for p in found.points)
    assert sum(p.rss == 9_999_999 for p in found.points) <= 1


def test_a_peak_outlives_every_thinning(tmp_path: Path) -> None:
    home = Home(tmp_path)
    curve = file_of(home)
    for second in range(2_000):
        curve.add(Point(float(second), 9_999_999 if second == 7 else 10, 0.0))
    found = at(home)
    assert found is not None
    assert max(p.rss for p in found.points) == 9_999_999


def test_a_disk_that_is_full_or_a_torn_line_is_nobodys_failure(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.logs.mkdir(parents=True)
    (home.logs / "12").write_text("a file where a folder belongs")
    curve = file_of(home)
    curve.add(Point(1.0, 1, 0.0))
    curve.add(Point(2.0, 2, 0.0))
    assert at(home) is None
    (home.logs / "12").unlink()
    curve.add(Point(3.0, 3, 0.0))
    path = next(home.logs.glob("12/*.use"))
    path.write_text(path.read_text() + "4.0 4")
    found = at(home)
    assert found is not None
    assert [p.rss for p in found.points] == [1, 2, 3]


def test_the_attempt_stays_the_same_while_its_members_write() -> None:
    splitter = Splitter("n0")
    whole, member = log_name(1, "dbt", "", 1), log_name(1, "orders", "", 1)
    splitter.feed(mark("n0", "B", whole) + mark("n0", "S", member) + b"rows\n")
    assert (splitter.attempt, splitter.current) == (whole, member)
    splitter.feed(mark("n0", "E", whole))
    assert splitter.attempt == ""
