"""A stream is taken apart into what belongs to whom, wherever it is cut."""

from __future__ import annotations

import random

import pytest

from partita.worker.markers import Closed, Splitter, Text, log_name, mark

NONCE = "00112233445566ff"
A, B, C = (log_name(7, step, index, 1) for step, index in (("a", ""), ("b", "3"), ("c", "3.17")))


def _texts(chunks: list[bytes]) -> tuple[dict[str, bytes], list[str]]:
    """All text by log, and the order in which logs were closed."""
    splitter = Splitter(NONCE)
    texts: dict[str, bytes] = {}
    closed = []
    for piece in [p for chunk in chunks for p in splitter.feed(chunk)] + splitter.close():
        if isinstance(piece, Text):
            texts[piece.name] = texts.get(piece.name, b"") + piece.data
        else:
            closed.append(piece.name)
    return texts, closed


def test_output_belongs_to_the_log_that_was_begun_last() -> None:
    stream = b"before" + mark(NONCE, "B", A) + b"1\n" + mark(NONCE, "B", B) + b"2" + mark(NONCE, "E", B) + b"after"
    assert _texts([stream]) == ({"": b"before" + b"after", A: b"1\n", B: b"2"}, [A, B])


def test_a_switch_closes_nothing_and_returns() -> None:
    stream = b"".join(
        [mark(NONCE, "B", A), b"1", mark(NONCE, "S", B), b"2", mark(NONCE, "E", B), mark(NONCE, "S", A), b"3"]
    )
    assert _texts([stream]) == ({A: b"13", B: b"2"}, [B, A])


def test_a_log_without_output_is_never_told_of() -> None:
    stream = mark(NONCE, "B", A) + mark(NONCE, "B", B) + b"x" + mark(NONCE, "B", C) + mark(NONCE, "E", C)
    assert _texts([stream]) == ({B: b"x"}, [B])


def test_a_log_whose_end_never_came_is_closed_with_the_stream() -> None:
    splitter = Splitter(NONCE)
    assert splitter.feed(mark(NONCE, "B", A) + b"killed he") == [Text(A, b"killed he")]
    assert splitter.close() == [Closed(A)]


@pytest.mark.parametrize(
    "lookalike",
    [
        b"\x1e",
        b"\x1e" + NONCE.encode(),
        b"\x1e" + NONCE.encode() + b" B ",
        b"\x1e" + NONCE.encode() + b" B ../../etc/passwd\n",
        b"\x1e" + NONCE.encode() + b" X " + A.encode() + b"\n",
        b"\x1e" + NONCE.encode() + b" B " + b"9" * 1000 + b"\n",
        b"\x1e" + NONCE.encode() + b" B 7/00.\x00\n",
        mark("ffffffffffffffff", "B", B),
        b"\x00\xff\xfe\r\n\r\x1b[31m",
    ],
)
def test_what_only_looks_like_a_mark_is_text(lookalike: bytes) -> None:
    stream = mark(NONCE, "B", A) + lookalike + mark(NONCE, "B", B) + b"b"
    expected = {A: lookalike, B: b"b"}
    assert _texts([stream])[0] == expected
    assert _texts([stream[i : i + 1] for i in range(len(stream))])[0] == expected


def test_it_does_not_matter_where_the_stream_is_cut() -> None:
    rng = random.Random(11)
    parts: list[bytes] = []
    for _ in range(300):
        parts.append(
            rng.choice([mark(NONCE, rng.choice("BSE"), rng.choice([A, B, C])), b"text\n", b"\x1e", b"\x00\xff"])
        )
    stream = b"".join(parts)
    whole = _texts([stream])
    for _ in range(100):
        cuts = sorted(rng.sample(range(len(stream)), 40))
        chunks = [stream[i:j] for i, j in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert _texts(chunks) == whole


def test_text_is_not_held_back_longer_than_a_mark_could_be() -> None:
    splitter = Splitter(NONCE)
    held = b"\x1e" + NONCE.encode() + b" B " + b"1" * 400
    assert splitter.feed(held) == [Text("", held)]


@pytest.mark.parametrize("step", ["../../x", "a/b", "\0", "\ud800", "x" * 10_000_000, "", "ü ☃"])
def test_names_of_logs_are_safe_whatever_the_step_is_called(step: str) -> None:
    name = log_name(7, step, "", 2)
    assert name.startswith("7/")
    assert name.endswith("._.2")
    assert len(name) == len("7/") + 16 + len("._.2")
    assert _texts([mark(NONCE, "B", name) + b"x"]) == ({name: b"x"}, [name])


def test_different_instances_have_different_logs() -> None:
    keys = [(1, "a", "", 1), (2, "a", "", 1), (1, "b", "", 1), (1, "a", "0", 1), (1, "a", "", 2), (1, "a", "0.1", 1)]
    assert len({log_name(*key) for key in keys}) == len(keys)
