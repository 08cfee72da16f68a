"""Namespaces that have a scheduler of their own: what guards what, and who is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from partita.core.graph import Graph, encode
from partita.core.manifest import Manifest
from partita.errors import Fenced, StoreLocked
from partita.store.contract import Lease, RunCommit
from partita.store.leases import ENGINE, namespace_of, shard_of
from partita.store.postgres import open_store as open_postgres
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

from . import servers
from .stores import FakeClock, created

Open = Callable[[str], SqlStore]


@pytest.fixture(params=["sqlite", "postgres18"])
def schedulers(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Open]:
    """Stores of several schedulers on one database, each for a namespace ("" = all others)."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            first = stack.enter_context(closing(open_in_memory(clock=clock)))

            def opened(namespace: str) -> SqlStore:
                store = SqlStore(first._db, clock=clock)
                store.shard = shard_of(namespace)
                return store
        else:
            address = stack.enter_context(servers.database())

            def opened(namespace: str) -> SqlStore:
                store: SqlStore = stack.enter_context(closing(open_postgres(address, clock=clock)))
                store.shard = shard_of(namespace)
                return store

        yield opened


def run(name: str) -> list[RunCommit]:
    return [RunCommit(name, 1, 1.0, (created(name),))]


def test_one_lease_guards_everything_until_a_namespace_is_given_out(schedulers: Open) -> None:
    store = schedulers("")
    epoch = store.acquire(ENGINE, "a", 10.0).epoch
    assert store.given_out() == frozenset()
    assert [lease.resource for lease in store.leases()] == [ENGINE]
    store.commit(run("r1"), epoch=epoch)


def test_whoever_led_a_namespace_that_is_given_out_is_refused_and_leads_the_others_in_a_new_epoch(
    schedulers: Open,
) -> None:
    rest, own = schedulers(""), schedulers("team")
    before = rest.acquire(ENGINE, "a", 10.0).epoch
    rest.commit(run("r1"), epoch=before)
    own.give_out("team")
    with pytest.raises(Fenced):
        rest.commit(run("r2"), epoch=before)
    after = rest.acquire(ENGINE, "a", 10.0).epoch
    of_team = own.acquire(shard_of("team"), "b", 10.0).epoch
    assert after > before + 1, "whoever renews notices"
    assert of_team > before
    rest.commit(run("r2"), epoch=after)
    own.commit(run("r3"), epoch=of_team)
    assert rest.given_out() == {"team"}
    assert [namespace_of(lease.resource) for lease in rest.leases()] == ["", "team"]


def test_giving_out_twice_changes_nothing(schedulers: Open) -> None:
    rest, own = schedulers(""), schedulers("team")
    own.give_out("team")
    epochs = rest.acquire(ENGINE, "a", 10.0).epoch, own.acquire(shard_of("team"), "b", 10.0).epoch
    own.give_out("team")
    rest.commit(run("r1"), epoch=epochs[0])
    own.commit(run("r2"), epoch=epochs[1])


def test_whoever_leads_and_has_begun_nothing_of_a_namespace_gives_it_out_and_goes_on(schedulers: Open) -> None:
    rest, own = schedulers(""), schedulers("team")
    epoch = rest.acquire(ENGINE, "a", 10.0).epoch
    rest.give_out("team", by=epoch)
    rest.give_out("team", by=epoch)
    rest.commit(run("r1"), epoch=epoch)
    of_team = own.acquire(shard_of("team"), "b", 10.0).epoch
    assert of_team > epoch, "no epoch in which the namespace was led comes again"
    own.commit(run("r2"), epoch=of_team)
    assert rest.given_out() == {"team"}
    # One that leads no more gives nothing out.
    rest.release(rest.acquire(ENGINE, "a", 10.0))
    with pytest.raises(Fenced):
        rest.give_out("sales", by=epoch)
    assert rest.given_out() == {"team"}
    # Taken back and given out once more, it is in an epoch of its own again.
    rest.take_back("team")
    after = rest.acquire(ENGINE, "a", 10.0).epoch
    rest.give_out("team", by=after)
    assert own.acquire(shard_of("team"), "b", 10.0).epoch > of_team
    with pytest.raises(Fenced):
        own.commit(run("r3"), epoch=of_team)


def test_every_namespace_that_was_given_out_is_known_however_many_there_are() -> None:
    with closing(open_in_memory()) as store:
        epoch = store.acquire(ENGINE, "a", 10.0).epoch
        names = {f"n{i}" for i in range(2001)}
        for name in names:
            store.give_out(name, by=epoch)
        assert store.given_out() == names


def test_a_namespace_that_is_taken_back_is_led_by_nobody_of_before(schedulers: Open) -> None:
    rest, own = schedulers(""), schedulers("team")
    own.give_out("team")
    epochs = rest.acquire(ENGINE, "a", 10.0).epoch, own.acquire(shard_of("team"), "b", 10.0).epoch
    assert rest.take_back("team")
    assert not rest.take_back("team")
    for store, epoch in zip((rest, own), epochs, strict=True):
        with pytest.raises(Fenced):
            store.commit(run("r1"), epoch=epoch)
    with pytest.raises(Fenced, match="no scheduler of its own"):
        own.acquire(shard_of("team"), "b", 10.0)
    assert rest.acquire(ENGINE, "a", 10.0).epoch > max(epochs)


def test_an_epoch_of_a_namespace_never_comes_again(schedulers: Open) -> None:
    rest, own = schedulers(""), schedulers("team")
    own.give_out("team")
    zombie = own.acquire(shard_of("team"), "b", 10.0).epoch
    rest.take_back("team")
    rest.give_out("team")
    fresh = own.acquire(shard_of("team"), "c", 10.0).epoch
    assert fresh > zombie
    with pytest.raises(Fenced):
        own.commit(run("r1"), epoch=zombie)


def test_the_lease_of_one_namespace_does_not_hinder_the_others(schedulers: Open) -> None:
    rest, own = schedulers(""), schedulers("team")
    own.give_out("team")
    own.acquire(shard_of("team"), "b", 10.0)
    with pytest.raises(StoreLocked):
        rest.acquire(shard_of("team"), "c", 10.0)
    rest.acquire(ENGINE, "c", 10.0)


def test_graphs_and_manifests_are_refused_of_an_older_epoch(schedulers: Open, clock: FakeClock) -> None:
    store = schedulers("")
    old = store.acquire(ENGINE, "a", 10.0).epoch
    clock.now += 11.0
    new = store.acquire(ENGINE, "b", 10.0).epoch
    graph = encode(Graph("g", ()))
    with pytest.raises(Fenced):
        store.put_graph("g1", graph, epoch=old)
    with pytest.raises(Fenced):
        store.put_manifest(Manifest("shop"), epoch=old)
    assert (store.graph("g1"), store.manifest("shop")) == (None, None)
    store.put_graph("g1", graph, epoch=new)
    store.put_manifest(Manifest("shop"), epoch=new)
    assert store.graph("g1") == graph


def test_a_lease_says_since_when_its_epoch_lasts(schedulers: Open, clock: FakeClock) -> None:
    store = schedulers("")
    store.acquire(ENGINE, "a", 10.0)
    clock.now += 5.0
    assert store.acquire(ENGINE, "a", 10.0) == Lease(ENGINE, "a", 1, 1015.0, since=1000.0)
    clock.now += 20.0
    assert store.acquire(ENGINE, "b", 10.0).since == 1025.0
