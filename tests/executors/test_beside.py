"""Beside a container step: what it asks for goes into the exchange, and what comes back lies in its folder, whatever fails meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from partita.define.container_beside import FOLDER_VARIABLE, Asked, Ended, leave
from partita.executors.clusters.beside import Beside
from partita.executors.clusters.container_parts import Parts, Piece
from partita.executors.clusters.exchange import Exchange

from .jobs import a_job, moments

PATIENCE_S = 60.0


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    job = a_job(tmp_path / "exchange")
    return Parts(Exchange.at(job.exchange), job.name)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    beside = Beside(a_job(tmp_path / "exchange"))
    found = Path(os.environ[FOLDER_VARIABLE])
    for name in ("in", "out"):
        (found / name).mkdir()
    yield found
    beside.close()
    assert FOLDER_VARIABLE not in os.environ
    assert not found.exists()


def until(is_so: Callable[[], bool], what: str) -> None:
    for _ in moments(PATIENCE_S):
        if is_so():
            return
    raise AssertionError(f"waited in vain for {what}")


def ask(folder: Path, asked: Asked) -> None:
    leave(folder / "asked", msgspec.msgpack.encode(asked))


def end_in(folder: Path) -> Ended:
    until((folder / "ended").exists, "the end")
    return msgspec.msgpack.decode((folder / "ended").read_bytes(), type=Ended)


def test_inputs_go_out_before_the_question_and_logs_and_outputs_come_in_before_the_end(
    folder: Path, parts: Parts
) -> None:
    (folder / "in" / "0").write_bytes(b"given")
    ask(folder, Asked("busy:1", inputs=["/in/a"], outputs=["/out/b"]))
    until(lambda: parts.asked() is not None, "the question")
    assert parts.file("in", 0) == b"given"
    parts.put_piece(1, Piece(b"one\n"))
    parts.put_file("out", 0, b"left")
    parts.put_piece(2, Piece(b"two\n", ended=Ended(code=0, outputs=["there"])))
    assert end_in(folder).code == 0
    assert (folder / "log").read_bytes() == b"one\ntwo\n"
    assert (folder / "out" / "0").read_bytes() == b"left"


def test_a_stop_is_passed_on(folder: Path, parts: Parts) -> None:
    ask(folder, Asked("busy:1"))
    leave(folder / "stop", b"")
    until(parts.is_stopped, "the stop")
    parts.put_piece(1, Piece(ended=Ended(note="was stopped")))
    assert end_in(folder).note == "was stopped"


def test_an_exchange_that_is_away_when_the_outputs_are_fetched_costs_nothing(
    folder: Path, parts: Parts, tmp_path: Path
) -> None:
    ask(folder, Asked("busy:1", outputs=["/out/b"]))
    until(lambda: parts.asked() is not None, "the question")
    (place,) = (tmp_path / "exchange").glob("jobs/*/*/container")
    # A link to itself: whatever is read behind it is an error of the file system.
    (place / "out").symlink_to(place / "out")
    parts.put_piece(1, Piece(b"done\n", ended=Ended(code=0, outputs=["there"])))
    until((folder / "log").exists, "the log")
    for _ in moments(0.3):
        assert not (folder / "ended").exists()
    # Put whole beside it: what is missing for a moment would be an output that is gone.
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "0").write_bytes(b"left")
    (tmp_path / "link").symlink_to(tmp_path / "whole")
    (tmp_path / "link").replace(place / "out")
    assert end_in(folder).code == 0
    assert (folder / "out" / "0").read_bytes() == b"left"


def test_an_output_that_is_gone_is_no_empty_one(folder: Path, parts: Parts) -> None:
    ask(folder, Asked("busy:1", outputs=["/out/b"]))
    until(lambda: parts.asked() is not None, "the question")
    parts.put_piece(1, Piece(ended=Ended(code=0, outputs=["there"])))
    ended = end_in(folder)
    assert (ended.code, ended.note) == (None, "has ended, and its outputs are not in the exchange any more")


def test_an_input_that_cannot_be_read_ends_the_step(folder: Path, parts: Parts) -> None:
    ask(folder, Asked("busy:1", inputs=["/in/a"]))
    assert "cannot be had" in end_in(folder).note
    assert parts.asked() is None
