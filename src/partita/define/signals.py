"""What user code may raise to say how its attempt ends: nothing to do, no use in retrying, retry later."""

from __future__ import annotations

from partita.define.durations import Duration, seconds


class Signal(Exception):
    """The base of the three."""


class Skip(Signal):
    """There is nothing to do: the step ends as skipped.

    >>> raise Skip("no new files")  # doctest: +SKIP
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Fail(Signal):
    """The step has failed and retrying is no use."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class RetryAfter(Signal):
    """The attempt has failed; the next one (if retries are left) is to come after this delay, not the policy's.

    >>> RetryAfter("30s", "rate limited").delay_s
    30.0
    """

    def __init__(self, delay: Duration, message: str = "") -> None:
        self.delay_s = seconds(delay)
        super().__init__(message or f"retry after {self.delay_s:g} s")
        self.message = message

    def __reduce__(self) -> tuple[type[RetryAfter], tuple[float, str]]:
        return (RetryAfter, (self.delay_s, self.message))
