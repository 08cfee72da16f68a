"""The line to a child that speaks to an engine: whole frames both ways in one thread, nobody waits for the other, wakes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from partita.executors.clusters.line import Line, Message, Waker, frame_of

PATIENCE_S = 60.0


class Child:
    """The other end, in this process: what it is sent lies in `orders`, what it says goes by `says`."""

    def __init__(self) -> None:
        self.orders, out = os.pipe()
        into, self.says = os.pipe()
        self.waker = Waker()
        self.line = Line(out, into, self.waker)

    def close(self) -> None:
        self.line.close()
        self.waker.close()
        for end in (self.orders, self.says):
            os.close(end)


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


def _answers(child: Child, count: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < count:
        found += child.line.receive(PATIENCE_S)
    return found


def test_news_comes_whole_however_it_is_cut(child: Child) -> None:
    data = b"".join(frame_of({"name": f"job {n}", "outcome": b"x" * n}) for n in range(40))

    def say() -> None:
        for at in range(0, len(data), 7):
            os.write(child.says, data[at : at + 7])

    teller = threading.Thread(target=say)
    teller.start()
    found = _answers(child, 40)
    teller.join()
    assert found == [{"name": f"job {n}", "outcome": b"x" * n} for n in range(40)]


def test_an_order_larger_than_the_pipe_goes_out_while_the_child_says_more_than_fits(child: Child) -> None:
    large = {"do": "submit", "jobs": [b"j" * 1000] * 1000}
    news = frame_of({"name": "n" * 500})

    def be_the_child() -> None:
        # It says all it has before it reads: one who only wrote would wait for it for ever.
        for _ in range(1000):
            os.write(child.says, news)
        size = 0
        while size < len(frame_of(large)):
            size += len(os.read(child.orders, 1 << 16))

    other = threading.Thread(target=be_the_child)
    other.start()
    child.line.send(large)
    other.join(PATIENCE_S)
    assert not other.is_alive()
    assert len(_answers(child, 1000)) == 1000


def test_one_who_waits_is_woken_also_by_a_wake_before(child: Child) -> None:
    child.waker.wake()
    assert child.line.receive(PATIENCE_S) == []
    waker = threading.Thread(target=child.waker.wake)
    waker.start()
    assert child.line.receive(PATIENCE_S) == []
    waker.join()
    assert not child.line.is_over


def test_an_answer_is_waited_for_through_wakes(child: Child) -> None:
    child.waker.wake()

    def say() -> None:
        child.waker.wake()
        os.write(child.says, frame_of({"ready": "2.9"}))

    teller = threading.Thread(target=say)
    teller.start()
    assert child.line.news(PATIENCE_S) == [{"ready": "2.9"}]
    teller.join()
    assert child.line.news(0.0) == []


def test_the_last_words_of_a_child_are_heard_before_its_end(child: Child) -> None:
    os.write(child.says, frame_of({"failed": "no cluster"}) + frame_of({"half": 1})[:3])
    os.close(child.says)
    child.says = os.open(os.devnull, os.O_RDONLY)
    assert child.line.news(PATIENCE_S) == [{"failed": "no cluster"}]
    assert child.line.news(PATIENCE_S) == []
    assert child.line.is_over


def test_a_child_that_is_gone_takes_no_orders(child: Child) -> None:
    os.close(child.orders)
    child.orders = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(BrokenPipeError):
        child.line.send({"do": "stop"})


def test_a_wake_after_the_end_does_nothing() -> None:
    child = Child()
    child.close()
    child.waker.wake()
    with pytest.raises(OSError):
        child.line.send({"do": "stop"})
