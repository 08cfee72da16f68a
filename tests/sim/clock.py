"""The time of a simulated host: what really passes, and what its wall clock says.

Rule: workers and faults live by `true`, everything of ours by `now`. Only the world moves either of them.
"""

from __future__ import annotations

EPOCH = 1_767_225_600.0


class SimClock:
    """Implements the engine's `Clock`. The wall clock can jump and stand still; true time only goes on."""

    def __init__(self, begin: float = EPOCH) -> None:
        self.true = begin
        self.offset = 0.0
        self._frozen_at: float | None = None

    def now(self) -> float:
        return self._frozen_at if self._frozen_at is not None else self.true + self.offset

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.true += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self._frozen_at = None
        self.offset += seconds

    def freeze(self) -> None:
        """The wall clock stops until it is corrected."""
        self._frozen_at = self.now()

    def correct(self) -> None:
        """The wall clock is right again."""
        self._frozen_at = None
        self.offset = 0.0

    @property
    def is_frozen(self) -> bool:
        return self._frozen_at is not None

    @property
    def is_right(self) -> bool:
        return self._frozen_at is None and self.offset == 0.0
