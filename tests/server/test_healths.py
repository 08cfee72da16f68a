"""The health of all assets, kept for as long as nothing of it changes."""

from __future__ import annotations

from partita.core.facts.assets import AssetReported, CheckReported
from partita.core.manifest import AssetSpec, Freshness, Manifest
from partita.engine.catalog import Catalog
from partita.server.healths import Healths
from partita.store.sqlite import open_in_memory

NOW = 1_800_000_000.0


class World:
    """A store with two assets, of which one reads the other."""

    def __init__(self) -> None:
        self.store = open_in_memory(clock=lambda: NOW)
        self.epoch = self.store.acquire("engine", "test", 10.0).epoch
        self.healths = Healths()
        self.catalog = Catalog()
        base = AssetSpec("base", external=True, freshness=Freshness(fail_s=3600.0))
        self.catalog.put(Manifest("shop", assets=(base, AssetSpec("made", deps=("base",), step="made"))))

    def tell(self, *facts: AssetReported | CheckReported) -> None:
        self.store.commit([], epoch=self.epoch, facts=facts)

    def state(self, asset: str, after_s: float = 0.0) -> tuple[str, str]:
        found = self.healths.of_all(self.store, self.catalog, NOW + after_s)[asset]
        return found.state, found.freshness_reason


def test_what_was_found_is_kept_until_something_is_made() -> None:
    world = World()
    first = world.healths.of_all(world.store, world.catalog, NOW)
    assert world.healths.of_all(world.store, world.catalog, NOW + 1) is first
    world.tell(AssetReported(NOW, "base", "", "ann"))
    assert world.healths.of_all(world.store, world.catalog, NOW + 1) is not first
    assert world.state("base")[0] == "current"


def test_a_check_is_seen_at_once() -> None:
    world = World()
    world.tell(AssetReported(NOW, "base", "", "ann"))
    assert world.state("base")[0] == "current"
    world.tell(CheckReported(NOW, "base", "rows", False, "ann"))
    found = world.healths.of_all(world.store, world.catalog, NOW)["base"]
    assert (found.state, found.reason, found.checks_failed) == ("failing", "check rows failed", ("rows",))


def test_a_check_that_only_warns_is_named_and_makes_nothing_failing() -> None:
    world = World()
    world.tell(AssetReported(NOW, "base", "", "ann"))
    world.tell(CheckReported(NOW, "base", "rows", False, "ann", severity="warn"))
    found = world.healths.of_all(world.store, world.catalog, NOW)["base"]
    assert (found.state, found.checks_failed, found.checks_warned) == ("current", (), ("rows",))
    world.tell(CheckReported(NOW + 1, "base", "rows", True, "ann", severity="warn"))
    assert world.healths.of_all(world.store, world.catalog, NOW + 1)["base"].checks_warned == ()


def test_time_alone_makes_it_late_soon() -> None:
    world = World()
    world.tell(AssetReported(NOW, "base", "", "ann"))
    assert world.healths.of_all(world.store, world.catalog, NOW)["base"].freshness == "fresh"
    assert world.healths.of_all(world.store, world.catalog, NOW + 3700)["base"].freshness == "fail"


def test_another_definition_is_seen_at_once() -> None:
    world = World()
    assert "more" not in world.healths.of_all(world.store, world.catalog, NOW)
    catalog = Catalog()
    catalog.put(Manifest("shop", assets=(AssetSpec("more", step="more"),)))
    assert set(world.healths.of_all(world.store, catalog, NOW)) == {"more"}
