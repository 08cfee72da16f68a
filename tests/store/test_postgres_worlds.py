"""Whole histories of an engine and of a service on PostgreSQL: crashes, refused commits, clocks that jump."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from partita.store import postgres
from partita.store.contract import Store
from sim.service_world import ServiceWorld
from sim.world import World

from . import servers


@pytest.fixture(params=servers.VERSIONS)
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with servers.database(request.param) as address:
        yield address


@pytest.mark.parametrize("seed", range(2))
def test_an_engine_keeps_every_invariant_over_crashes_and_its_rows_are_what_its_journal_says(
    seed: int, address: str
) -> None:
    def opened(clock: Callable[[], float]) -> Store:
        return postgres.open_store(address, clock=clock)

    def opened_again(store: Store) -> Store:
        store.close()
        return opened(world.store_now)

    world = World(seed, events=150, open_store=opened, after_crash=opened_again)
    try:
        world.play()
    finally:
        world.store.inner.close()


def test_the_history_is_that_of_the_store_in_memory(address: str) -> None:
    real = World(4, events=120, open_store=lambda clock: postgres.open_store(address, clock=clock))
    try:
        real.play()
    finally:
        real.store.inner.close()
    told = World(4, events=120)
    told.play()
    assert real.store.history.hexdigest() == told.store.history.hexdigest()


def test_a_service_keeps_its_promises(address: str) -> None:
    def opened(clock: Callable[[], float]) -> Store:
        return postgres.open_store(address, clock=clock)

    def opened_again(store: Store) -> Store:
        store.close()
        return opened(world.store_now)

    world = ServiceWorld(13, hours=3.0, open_store=opened, after_crash=opened_again)
    try:
        world.play()
    finally:
        world.store.inner.close()
