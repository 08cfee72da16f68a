"""Lines by their numbers: of a long log, of one that grows, of one that lost its middle."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from partita.settings import Home
from partita.worker.log_lines import Fold, LogIndex, index_of_log
from partita.worker.logs import LogFile, log_path, read_log
from partita.worker.masking import Masker

TRACE = """Traceback (most recent call last):
  File "a.py", line 1, in run
    go()
  File "b.py", line 2, in go
    1 / 0
    ~~^~~
ZeroDivisionError: division by zero
"""


def log_of(tmp_path: Path, **sizes: int) -> tuple[Home, LogFile]:
    home = Home(tmp_path)
    return home, LogFile(log_path(home, 1, "load", "", 1), Masker(), **sizes)


def index(home: Home) -> LogIndex:
    return index_of_log(home, 1, "load", "", 1)


def test_lines_are_found_by_number_anywhere_in_a_long_log(tmp_path: Path) -> None:
    home, log = log_of(tmp_path)
    log.write("".join(f"line {n}\n" for n in range(1, 5001)).encode(), 1_700_000_000.0)
    log.close(1_700_000_001.0, "complete")
    found = index(home)
    assert (found.total, found.has_ended) == (5000, True)
    for first in (1, 2, 255, 256, 257, 511, 512, 513, 4999):
        assert [line.text for line in found.lines(first, 3)] == [
            f"line {n}" for n in range(first, min(first + 3, 5001))
        ]
        assert found.lines(first, 1)[0].no == first
    assert found.lines(5001, 3) == []


def test_a_log_that_grows_is_read_on_and_followed_from_where_it_was_read_to(tmp_path: Path) -> None:
    home, log = log_of(tmp_path)
    log.write(b"one\ntwo\n", 1_700_000_000.0)
    found = index(home)
    assert (found.total, found.has_ended) == (2, False)
    offset = found.offset
    log.write(b"three\n", 1_700_000_001.0)
    assert [line.text for line in read_log(home, 1, "load", "", 1, offset=offset)] == ["three"]
    assert index(home).total == 3
    assert [line.text for line in index(home).lines(2, 9)] == ["two", "three"]


def test_the_first_error_the_levels_and_tracebacks_are_known_of_the_whole(tmp_path: Path) -> None:
    home, log = log_of(tmp_path)
    log.write(f"INFO begins\nplain\nWARNING odd\n{TRACE}ERROR it failed\n".encode(), 1_700_000_000.0)
    found = index(home)
    assert found.first_error == 4
    assert {level: n for level, n in found.levels.items() if n} == {"INFO": 1, "WARNING": 1, "ERROR": 1}
    assert found.folds == [Fold(5, 9)]
    assert found.lines(10, 1)[0].text == "ZeroDivisionError: division by zero"


def test_a_short_traceback_and_words_about_one_are_no_fold(tmp_path: Path) -> None:
    home, log = log_of(tmp_path)
    log.write(b"no Traceback (most recent call last): here\n  indented\n  indented\n  indented\nend\n", 1.0)
    assert (index(home).folds, index(home).first_error) == ([], 0)


def test_it_is_searched_by_text_in_any_case_and_by_level_with_what_belongs_to_a_message(tmp_path: Path) -> None:
    home, log = log_of(tmp_path)
    text = "INFO Loading Straße\nplain\nERROR broken\n  detail one\n  detail two\nINFO loading again\n"
    log.write(text.encode(), 1.0)
    found, count = index(home).find("LOADING", frozenset(), 1, 10)
    assert ([line.no for line in found], count) == ([1, 6], 2)
    found, count = index(home).find("strasse", frozenset(), 1, 10)
    assert [line.no for line in found] == [1]
    found, _ = index(home).find("", frozenset({"ERROR"}), 1, 10)
    assert [line.no for line in found] == [3, 4, 5]
    found, count = index(home).find("loading", frozenset(), 2, 10)
    assert ([line.no for line in found], count) == ([6], 2)


def test_a_log_that_lost_its_middle_says_so_on_a_line_of_its_own(tmp_path: Path) -> None:
    home, log = log_of(tmp_path, head_bytes=2000, tail_bytes=4000)
    for n in range(2000):
        log.write(f"line {n}\n".encode(), 1_700_000_000.0)
    log.close(1_700_000_001.0, "complete")
    found = index(home)
    lines = found.lines(1, 10_000)
    assert len(lines) == found.total < 1000
    assert sum("left out" in line.text for line in lines) == 1
    assert lines[-1].text == "line 1999"
    gap = next(line.no for line in lines if "left out" in line.text)
    assert found.lines(gap, 1)[0].text == lines[gap - 1].text


def test_no_log_has_no_lines(tmp_path: Path) -> None:
    found = index(Home(tmp_path))
    assert (found.total, found.lines(1, 10), found.find("x", frozenset(), 1, 5)) == (0, [], ([], 0))


@pytest.mark.slow
def test_the_last_lines_of_a_million_are_there_in_a_moment(tmp_path: Path) -> None:
    home, log = log_of(tmp_path, head_bytes=1 << 30)
    log.write("".join(f"INFO row {n} of many\n" for n in range(1_000_000)).encode(), 1.0)
    log.close(2.0, "complete")
    assert index(home).total == 1_000_000
    begun = time.perf_counter()
    assert index(home).lines(999_990, 20)[-1].no == 1_000_000
    assert time.perf_counter() - begun < 0.05
