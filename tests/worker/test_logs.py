"""A log has all that an attempt wrote, in order, masked, bounded, and says at its end whether it is whole."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from partita.settings import Home
from partita.worker.logs import LogFile, PipeLog, log_end, log_path, read_log
from partita.worker.markers import log_name, mark
from partita.worker.masking import Masker

from .engine import NONCE, Engine

Start = Callable[..., Engine]
NOW = 1_000_000_000.25
STAMP = "2001-09-09T01:46:40.250Z"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _log(home: Home, **how: int) -> LogFile:
    return LogFile(log_path(home, 7, "load", "", 1), Masker([b"hunter2-secret"]), **how)


def _texts(home: Home, **how: int) -> list[str]:
    return [line.text for line in read_log(home, 7, "load", "", 1, **how)]  # type: ignore[arg-type]


def test_lines_are_stamped_and_the_end_says_that_all_is_there(home: Home) -> None:
    log = _log(home)
    log.write(b"one\ntw", NOW)
    log.write(b"o\nINFO flights: three", NOW)
    log.close(NOW, "complete")
    lines = list(read_log(home, 7, "load", "", 1))
    assert [(line.at, line.level, line.text) for line in lines] == [
        (STAMP, "", "one"),
        (STAMP, "", "two"),
        (STAMP, "INFO", "INFO flights: three"),
    ]
    written = "".join(f"{line.at} {line.text}\n" for line in lines).encode()
    end = log_end(home, 7, "load", "", 1)
    assert end == ("complete", len(written), 3, hashlib.sha256(written).hexdigest())


def test_without_output_there_is_no_file(home: Home) -> None:
    log = PipeLog(home.logs, NONCE, Masker())
    log.feed(mark(NONCE, "B", log_name(7, "load", "", 1)) + mark(NONCE, "E", log_name(7, "load", "", 1)), NOW)
    log.close(NOW)
    assert not home.logs.exists()
    assert _texts(home) == []
    assert log_end(home, 7, "load", "", 1) is None


def test_only_the_owner_may_read_a_log(home: Home) -> None:
    before = os.umask(0)
    try:
        _log(home).close(NOW, "complete")
    finally:
        os.umask(before)
    path = log_path(home, 7, "load", "", 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_link_in_the_place_of_a_log_is_not_followed(home: Home, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path = log_path(home, 7, "load", "", 1)
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    log = _log(home)
    log.write(b"text\n", NOW)
    log.close(NOW, "complete")
    assert not victim.exists()


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"\xff\xfe bytes\n", ["\\xff\\xfe bytes"]),
        (b"nul \x00 here\n", ["nul \\x00 here"]),
        (b"windows\r\n", ["windows"]),
        (b"10%\r50%\r100%\r\n", ["100%"]),
        (b"\n\n", ["", ""]),
        (
            b"#end state=complete bytes=0 lines=0 sha256=" + b"0" * 64 + b"\n",
            ["#end state=complete bytes=0 lines=0 sha256=" + "0" * 64],
        ),
        ("ünï ☃\n".encode(), ["ünï ☃"]),
        (b"x" * 200_000 + b"\n", ["x" * 65536, "x" * 65536, "x" * 65536, "x" * 3392]),
    ],
    ids=["not UTF-8", "NUL", "CRLF", "progress bar", "empty lines", "like our own", "UTF-8", "very long"],
)
def test_odd_output_is_kept_readable(written: bytes, kept: list[str], home: Home) -> None:
    log = _log(home)
    log.write(written, NOW)
    log.close(NOW, "complete")
    assert _texts(home) == kept


def test_random_bytes_never_break_a_log(home: Home) -> None:
    data = random.Random(5).randbytes(300_000)
    log = _log(home)
    for start in range(0, len(data), 7777):
        log.write(data[start : start + 7777], NOW)
    log.close(NOW, "complete")
    end = log_end(home, 7, "load", "", 1)
    assert end is not None
    assert len(_texts(home)) == end.lines


def test_a_line_without_end_is_written_when_nothing_more_comes(home: Home) -> None:
    log = _log(home)
    log.write(b"password: hun", NOW)
    assert _texts(home) == []
    log.flush(NOW)
    assert _texts(home) == ["password: hun"]


def test_a_secret_in_two_pieces_is_masked(home: Home) -> None:
    log = _log(home)
    log.write(b"token hunter2-", NOW)
    log.write(b"secret!\n", NOW)
    log.close(NOW, "complete")
    assert _texts(home) == ["token ***!"]


def _write_numbers(log: LogFile, count: int) -> None:
    for n in range(count):
        log.write(f"line {n:06}\n".encode(), NOW)


def test_a_long_log_keeps_its_head_and_its_tail_and_says_what_is_left_out(home: Home) -> None:
    log = _log(home, head_bytes=4000, tail_bytes=8000)
    _write_numbers(log, 10_000)
    log.close(NOW, "complete")
    texts = _texts(home)
    gap = next(i for i, text in enumerate(texts) if "left out" in text)
    assert texts[0] == "line 000000"
    assert texts[gap - 1] == f"line {gap - 1:06}"
    assert texts[gap + 1 :] == [f"line {n:06}" for n in range(10_000 - len(texts) + gap + 1, 10_000)]
    assert sum(path.stat().st_size for path in log.path.parent.iterdir()) < 4000 + 8000 * 1.5
    end = log_end(home, 7, "load", "", 1)
    assert end is not None
    assert (end.state, end.lines) == ("truncated", 10_000)


def test_a_log_in_several_files_that_dropped_nothing_is_complete(home: Home) -> None:
    log = _log(home, head_bytes=1000, tail_bytes=1_000_000)
    _write_numbers(log, 5000)
    log.close(NOW, "complete")
    assert len(list(log.path.parent.iterdir())) > 1
    assert _texts(home) == [f"line {n:06}" for n in range(5000)]
    assert log_end(home, 7, "load", "", 1).state == "complete"  # type: ignore[union-attr]


@pytest.mark.parametrize("head", [1 << 20, 1000])
@pytest.mark.parametrize("count", [0, 1, 7, 500, 20_000])
def test_the_last_lines_are_found_from_the_end(head: int, count: int, home: Home) -> None:
    log = _log(home, head_bytes=head, tail_bytes=1 << 20)
    _write_numbers(log, 10_000)
    expected = [f"line {n:06}" for n in range(max(0, 10_000 - count), 10_000)]
    assert _texts(home, tail=count) == expected
    log.close(NOW, "complete")
    assert _texts(home, tail=count) == expected


def test_reading_goes_on_where_it_was_left(home: Home) -> None:
    log = _log(home, head_bytes=500, tail_bytes=100_000)
    _write_numbers(log, 100)
    log.close(NOW, "complete")
    lines = list(read_log(home, 7, "load", "", 1))
    assert [line.text for line in read_log(home, 7, "load", "", 1, offset=lines[59].offset)] == [
        line.text for line in lines[60:]
    ]


def test_a_growing_log_is_followed_to_its_end(home: Home) -> None:
    log = _log(home, head_bytes=60, tail_bytes=10_000)

    def writes() -> Iterator[bool]:
        for n in range(5):
            log.write(f"line {n}\nhalf".encode() if n == 3 else f"line {n}\n".encode(), NOW)
            yield True
        log.close(NOW, "complete")
        yield True

    steps = writes()
    texts = [line.text for line in read_log(home, 7, "load", "", 1, follow=lambda: next(steps))]
    assert texts == ["line 0", "line 1", "line 2", "line 3", "halfline 4"]


def test_following_ends_when_it_is_told_to(home: Home) -> None:
    log = _log(home)
    log.write(b"one\n", NOW)

    def last_wait() -> bool:
        log.write(b"two\n", NOW)
        return False

    assert [line.text for line in read_log(home, 7, "load", "", 1, follow=last_wait)] == ["one", "two"]


def test_a_disk_that_is_full_costs_lines_and_raises_nothing(home: Home) -> None:
    log = _log(home)
    log.write(b"kept\n", NOW)
    path = log.path
    path.unlink()
    path.mkdir()
    log.write(b"lost\n", NOW)
    path.rmdir()
    log.write(b"again\n", NOW)
    log.close(NOW, "complete")
    assert _texts(home) == ["again"]
    assert log_end(home, 7, "load", "", 1).state == "truncated"  # type: ignore[union-attr]


# --- through a real worker ---------------------------------------------------------------------------------------


def test_everything_that_a_step_writes_is_in_its_log_in_order(start: Start) -> None:
    engine = start()
    brief = engine.brief("says_in_every_way", step="talk")
    engine.hand_out(engine.ticket(brief, "0"), engine.ticket(brief, "1"))
    engine.outcomes(2)
    engine.log_files()
    for index in ("0", "1"):
        assert [line.text for line in read_log(engine.home, 7, "talk", index, 1)] == [
            "printed",
            "on stderr",
            "INFO flights: logged",
            "by a child",
            "native",
            "by libc",
            "without end",
        ]
        assert log_end(engine.home, 7, "talk", index, 1).state == "complete"  # type: ignore[union-attr]


def test_each_of_many_steps_in_one_batch_has_its_own_log(start: Start) -> None:
    engine = start()
    brief = engine.brief("says", step="talk")
    quiet = engine.brief("noop", step="quiet")
    tickets = [engine.ticket(brief, str(n), text=f"I am {n}", lines=2) for n in range(100)]
    engine.hand_out(*[t for ticket in tickets for t in (ticket, engine.ticket(quiet, ticket.index))])
    engine.outcomes(200)
    engine.log_files()
    assert [[line.text for line in read_log(engine.home, 7, "talk", str(n), 1)] for n in range(100)] == [
        [f"I am {n}"] * 2 for n in range(100)
    ]
    assert len(list((engine.home.logs / "7").iterdir())) == 100


def test_a_secret_that_a_step_prints_is_masked(start: Start) -> None:
    engine = start()
    engine.run("tells_secret", brief={"step": "talk"})
    engine.log_files()
    assert [line.text for line in read_log(engine.home, 7, "talk", "", 1)] == ["the secret is ***"]


def test_members_of_a_bundle_have_logs_of_their_own(start: Start) -> None:
    engine = start()
    engine.run("performs_members", brief={"step": "both", "kind": "bundle"}, ticket={"members": ("a", "b")})
    engine.log_files()
    found = {step: [line.text for line in read_log(engine.home, 7, step, "", 1)] for step in ("a", "b", "both")}
    assert found == {"a": ["making a"], "b": ["making b"], "both": ["all made"]}


def test_members_that_are_performed_at_once_have_logs_of_their_own(start: Start) -> None:
    engine = start()
    engine.run("members_take_turns", brief={"step": "both", "kind": "bundle"}, ticket={"members": ("a", "b")})
    engine.log_files()
    found = {step: [line.text for line in read_log(engine.home, 7, step, "", 1)] for step in ("a", "b", "both")}
    assert found == {"a": ["a 1", "a 2"], "b": ["b 1", "b 2"], "both": ["all done"]}
