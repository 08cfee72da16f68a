"""What other threads ask of the engine: the one way in, and the answers that leave after the commit.

Rule: any thread may `post`; everything else is the loop's thread's alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from partita.errors import StoreFull


class Mailbox:
    """Requests that wait for the next turn, and answers that wait for its commit."""

    def __init__(self, wake: Callable[[], None]) -> None:
        # Makes a turn that waits for something to do return.
        self._wake = wake
        self._requests: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._answers: list[tuple[Future[Any], Any, Exception | None]] = []

    def __bool__(self) -> bool:
        return bool(self._requests)

    def post(self, request: Callable[[], Any]) -> Future[Any]:
        """Have the loop's thread call `request` in its next turn."""
        answer: Future[Any] = Future()
        self._requests.append((request, answer))
        self._wake()
        return answer

    def read(self, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Carry out what was asked, unless the engine `is_over` by then. Was there anything?"""
        any_read = False
        while self._requests and not is_over():
            request, answer = self._requests.popleft()
            any_read = True
            try:
                self._answers.append((answer, request(), None))
            except Exception as error:  # the asker's mistake is the asker's answer, the loop goes on
                # Not at once: what was noted of the refusal is to be durable when the asker hears of it.
                self._answers.append((answer, None, error))
        return any_read

    def answer(self, *, is_durable: bool, blocked: str) -> None:
        """Let the answers go, after the commit of what was asked for; what was not committed is not acknowledged."""
        answers, self._answers = self._answers, []
        for answer, result, error in answers:
            if error is not None:
                answer.set_exception(error)
            elif is_durable:
                answer.set_result(result)
            else:
                answer.set_exception(StoreFull(blocked))
