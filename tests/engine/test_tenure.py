"""Who stands by takes the lease when it is free, and waits for nobody who is gone."""

from __future__ import annotations

from collections.abc import Callable

from partita.engine.tenure import RESOURCE, stand_by
from partita.errors import StoreAway
from partita.store.contract import Lease
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore


class Waiting:
    """A clock that is moved by waiting; what happens meanwhile is told by the test."""

    def __init__(self, *then: Callable[[], object]) -> None:
        self.now = 1000.0
        self.told: list[str] = []
        self._then = list(then)
        self.store: SqlStore = open_in_memory(clock=lambda: self.now)

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        if self._then:
            return bool(self._then.pop(0)())
        return self.now > 2000.0

    def stand_by(self, *, is_gone: Callable[[str], bool] = lambda holder: False, store: SqlStore | None = None) -> bool:
        return stand_by(
            store or self.store, holder="me", lease_s=10.0, is_gone=is_gone, wait=self.wait, tell=self.told.append
        )


def test_a_free_lease_is_taken_at_once() -> None:
    world = Waiting()
    assert world.stand_by()
    assert (world.now, world.told) == (1000.0, [])
    assert world.store.lease(RESOURCE) == Lease(RESOURCE, "me", 1, 1010.0, 1000.0)


def test_a_lease_that_is_not_renewed_is_taken_when_it_has_run_out_and_whom_it_waits_for_is_told_once() -> None:
    world = Waiting()
    world.store.acquire(RESOURCE, "other", 10.0)
    assert world.stand_by()
    assert 1010.0 <= world.now <= 1012.0
    assert len(world.told) == 1
    assert "held by other" in world.told[0]
    assert world.store.lease(RESOURCE).epoch == 2  # type: ignore[union-attr]


def test_a_lease_that_is_renewed_is_not_taken() -> None:
    world = Waiting()
    renewals = [lambda: world.store.acquire(RESOURCE, "other", 10.0) is None for _ in range(30)]
    world._then = [*renewals, lambda: True]
    world.store.acquire(RESOURCE, "other", 10.0)
    assert not world.stand_by()
    assert world.store.lease(RESOURCE).holder == "other"  # type: ignore[union-attr]


def test_a_holder_that_is_gone_for_sure_is_not_waited_for() -> None:
    world = Waiting()
    world.store.acquire(RESOURCE, "other", 10.0)
    assert world.stand_by(is_gone=lambda holder: holder == "other")
    assert world.now == 1000.0
    assert world.store.lease(RESOURCE).epoch > 1  # type: ignore[union-attr]


def test_a_database_that_is_away_is_waited_for() -> None:
    class Away(SqlStore):
        tries = 0

        def lease(self, resource: str) -> Lease | None:
            self.tries += 1
            if self.tries < 5:
                raise StoreAway("the database is away")
            return super().lease(resource)

    world = Waiting()
    away = Away(world.store._db, clock=lambda: world.now)
    assert world.stand_by(store=away)
    assert away.tries == 5
    assert world.told == ["the database is away"]
