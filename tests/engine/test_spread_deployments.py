"""Projects that are brought to schedulers of which each leads a namespace: the first into a new one, moves, take-overs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partita.core.facts.deployments import DeploymentBegun
from partita.core.plain import pack as packed
from partita.engine import deploying
from partita.engine.asking import Submit
from partita.engine.deployments import Deploy
from partita.engine.limits import ListLimits, SetLimit
from partita.engine.realm import Realm
from partita.engine.service import Closing, Service
from partita.engine.spreading import Spreading
from partita.engine.whom import whom
from partita.errors import DefinitionError, Fenced, StoreLocked, WorldError
from partita.executors import bundle
from partita.executors.kept import forget
from partita.executors.processes import ProcessExecutor
from partita.settings import Home, Settings
from partita.store import deployments as rows
from partita.store import versions
from partita.store.leases import shard_of
from partita.store.schedules import all_schedules
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore

CODE = """
import time
from pathlib import Path
import partita as pt

deadline = time.monotonic() + 60
while {file!r} and not Path({file!r}).exists() and time.monotonic() < deadline:
    time.sleep(0.005)

@pt.task
def say() -> str:
    return "{word}"

@pt.pipeline(schedule=pt.every("1h"))
def {name}_daily():
    say()

@pt.task(retries=5, retry_delay="0s")
def note(file: str) -> None:
    deadline = time.monotonic() + 60
    while not Path(file).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    Path("noted").write_text("{word}")

@pt.pipeline
def {name}_held(file: str):
    note(file)
"""


def project(folder: Path, *, namespace: str, word: str = "first", file: str = "") -> Path:
    """A project called as its folder; its code waits at its import until `file` is there."""
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.py").write_text(CODE.format(file=file, word=word, name=folder.name))
    (folder / "pyproject.toml").write_text(
        f'[tool.partita]\nname = "{folder.name}"\nnamespace = "{namespace}"\n[tool.partita.pools]\nw = 2\n'
    )
    return folder


class Scheduler:
    """One of `partita up --spread`, for a namespace ("" = all others), turned by the test; `told` is what its supervisor hears."""

    def __init__(
        self, store: Any, home: Path, values: Path, namespace: str = "", *, spread: bool = True, folders: Any = ()
    ) -> None:
        self.store = SqlStore(store._db, clock=store._clock)
        self.namespace = namespace
        self.told: list[list[str]] = []
        self.home = Home(home, values=values.as_uri()).of_namespace(namespace)
        self.home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        base = Settings.of(home, home=self.home, workers=1)
        self.executor = ProcessExecutor(
            {},
            home=self.home,
            source=lambda *key: self.service.projects.host_of(*key),
            patient=True,  # type: ignore[union-attr]
        )
        spreading = Spreading(self.store, lambda event: self.told.append(event["names"])) if spread else None
        holder = f"of {namespace} in {home.name}"
        if spreading is not None and not namespace:
            self.store.acquire("engine", holder, 10.0)
            spreading.begin(holder)
        self.service = Service(
            self.store,
            self.executor,
            settings=base,
            holder=holder,
            namespace=namespace,
            projects=[Settings.of(folder, home=self.home, workers=1) for folder in folders],
            deployments=True,
            spread=spreading if not namespace else None,
        )
        self.handlers = self.service.handlers()
        self.service.start()

    def until(self, is_done: Callable[[], bool]) -> None:
        for _ in range(2000):
            if is_done():
                return
            self.service.turn(0.5)
        raise AssertionError("it does not come")

    def ask(self, request: Any) -> Any:
        asked = self.service.engine.post(lambda: self.handlers[type(request)](request))
        self.until(asked.done)
        answer = asked.result()
        if hasattr(answer, "done"):
            self.until(answer.done)
            answer = answer.result()
        return answer

    def request(self, folder: Path, namespace: str) -> Deploy:
        made = bundle.pack(folder, into=folder.parent / "bundles")
        deploying.put_bundle(self.home, folder.name, made.digest, made.path.read_bytes())
        return Deploy(folder.name, namespace, made.digest, made.size, "ann")

    def bring(self, folder: Path, namespace: str) -> int:
        """Begin a deployment of a folder; its number."""
        return int(self.ask(self.request(folder, namespace)).no)

    def ended(self, project: str, no: int) -> rows.DeploymentRow:
        self.until(lambda: self.row(project, no).state != "trying")
        return self.row(project, no)

    def row(self, project: str, no: int) -> rows.DeploymentRow:
        found = rows.deployment(self.store, project, no)
        assert found is not None
        return found

    def serves(self, project: str) -> str:
        manifest = self.service.catalog.manifests.get(project)
        return manifest.code if manifest is not None else ""

    def end(self) -> None:
        """Let its threads and processes go, and commit nothing."""
        for part in self.service.parts:
            if isinstance(part, Closing):
                part.close()
        self.executor.close(kill=True)

    def die(self) -> None:
        """As a kill leaves it: nothing is committed any more, and its lease has run out."""
        self.end()
        lease = self.store.lease(shard_of(self.namespace))
        if lease is not None:
            self.store.release(lease)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.made = folder, open_in_memory(), list[Scheduler]()

    def scheduler(self, namespace: str = "", *, machine: str = "one", **more: Any) -> Scheduler:
        made = Scheduler(self.store, self.folder / machine, self.folder / "values", namespace, **more)
        self.made.append(made)
        return made

    def deployed(self, rest: Scheduler, name: str = "shop", namespace: str = "team") -> rows.DeploymentRow:
        """A first deployment, taken, and its namespace given out."""
        taken = rest.ended(name, rest.bring(project(self.folder / name, namespace=namespace), namespace))
        assert taken.state == "taken", taken.error
        rest.until(lambda: namespace in rest.store.given_out())
        return taken


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    for scheduler in made.made:
        # A host that has just come is let go by whoever takes it in.
        with contextlib.suppress(Fenced, StoreLocked, OSError):
            scheduler.until(lambda: not scheduler.service.projects.is_loading)  # type: ignore[union-attr]  # noqa: B023
        scheduler.end()
    made.store.close()


# --- the first in a namespace -----------------------------------------------------------------------------------------


def test_the_first_deployment_into_a_namespace_gives_it_out_and_its_own_scheduler_serves_it(world: World) -> None:
    rest = world.scheduler()
    epoch = rest.service.engine.epoch
    request = rest.request(project(world.folder / "shop", namespace="team"), "team")
    assert whom(rest.store, request) == [""], "nobody else could be asked"
    taken = rest.ended("shop", rest.ask(request).no)
    rest.until(lambda: rest.told[-1:] == [["team"]])
    # It goes on in its epoch, without the namespace, and serves nothing of it.
    rest.service.turn(0.0)
    assert rest.service.engine.epoch == epoch
    assert not rest.service.engine.realm.has("team")
    assert rest.service.engine.realm.has("other")
    assert rest.serves("shop") == ""
    assert whom(rest.store, request) == ["team"]

    own = world.scheduler("team")
    own.until(lambda: own.serves("shop") == taken.code)
    row = versions.project(world.store, "shop")
    assert row is not None
    assert (row.namespace, row.active, row.code) == ("team", True, taken.code)
    assert own.service.engine.epoch > epoch
    # The next one is the business of that scheduler.
    second = own.ended("shop", own.bring(project(world.folder / "shop", namespace="team", word="second"), "team"))
    own.until(lambda: own.serves("shop") == second.code)
    assert list(world.store.audit()) == []


def test_many_first_deployments_leave_the_scheduler_of_all_others_at_work(world: World) -> None:
    rest = world.scheduler()
    epoch = rest.service.engine.epoch
    for n in range(4):
        world.deployed(rest, f"p{n}", f"n{n}")
    assert rest.service.engine.epoch == epoch
    assert rest.told[-1] == ["n0", "n1", "n2", "n3"]


def test_a_deployment_that_is_refused_gives_nothing_out(world: World) -> None:
    rest = world.scheduler()
    refused = rest.ended("shop", rest.bring(project(world.folder / "shop", namespace="team"), "typo"))
    assert "for namespace 'team', not 'typo'" in refused.error
    rest.service.turn(0.0)
    assert rest.store.given_out() == frozenset()


def test_a_namespace_is_given_out_when_no_other_project_is_being_tried_in_it(world: World) -> None:
    rest, go = world.scheduler(), world.folder / "go"
    slow = rest.bring(project(world.folder / "slow", namespace="team", file=str(go)), "team")
    quick = rest.ended("quick", rest.bring(project(world.folder / "quick", namespace="team"), "team"))
    rest.service.turn(0.0)
    assert rest.row("slow", slow).state == "trying"
    assert rest.store.given_out() == frozenset(), "its trial would have been in vain"
    # Nor may the project be brought to another namespace meanwhile.
    with pytest.raises(DefinitionError, match="is in namespace 'team'"):
        rest.bring(project(world.folder / "quick", namespace="other"), "other")
    go.touch()
    other = rest.ended("slow", slow)
    rest.until(lambda: "team" in rest.store.given_out())
    own = world.scheduler("team")
    own.until(lambda: (own.serves("quick"), own.serves("slow")) == (quick.code, other.code))


def test_a_namespace_that_was_led_with_all_others_ends_their_epoch_when_it_is_given_out(world: World) -> None:
    plain = world.scheduler(spread=False, folders=[project(world.folder / "old", namespace="team")])
    plain.until(lambda: plain.serves("old") != "")
    plain.ask(Submit(target="old_daily", by="ann"))
    plain.die()
    # Nothing was deployed into it, so there is nothing to give out yet: what is left of it is led with all others.
    rest = world.scheduler(machine="two")
    assert [run.run.namespace for run in rest.service.engine.active.values()] == ["team"]
    assert rest.store.given_out() == frozenset()
    taken = rest.ended("shop", rest.bring(project(world.folder / "shop", namespace="team"), "team"))
    with pytest.raises(Fenced, match="was led with all others before"):
        rest.until(lambda: False)
    rest.die()
    again, own = world.scheduler(machine="two"), world.scheduler("team", machine="two")
    assert again.told == [["team"]]
    own.until(lambda: own.serves("shop") == taken.code)
    assert not again.service.engine.realm.has("team")
    assert list(world.store.audit()) == []


def test_what_was_deployed_before_is_given_out_when_spread_schedulers_begin(world: World) -> None:
    plain = world.scheduler(spread=False)
    taken = plain.ended("shop", plain.bring(project(world.folder / "shop", namespace="team"), "team"))
    plain.until(lambda: plain.serves("shop") == taken.code)
    plain.die()
    rest = world.scheduler()
    assert (rest.told, rest.store.given_out()) == ([["team"]], {"team"})
    own = world.scheduler("team")
    own.until(lambda: own.serves("shop") == taken.code)
    rest.service.turn(0.0)
    assert rest.serves("shop") == ""


def test_a_crash_between_a_deployment_and_the_giving_out_loses_nothing(world: World) -> None:
    rest = world.scheduler()
    no = rest.bring(project(world.folder / "shop", namespace="team"), "team")
    # Turns without chores: it is taken, and nobody comes to give its namespace out.
    for _ in range(2000):
        rest.service.engine.turn(0.5, chores=False)
        if rest.row("shop", no).state != "trying":
            break
    assert rest.row("shop", no).state == "taken"
    assert rest.store.given_out() == frozenset()
    rest.die()
    assert world.scheduler(machine="two").told == [["team"]]


def test_one_that_stands_by_tells_its_supervisor_of_what_is_given_out_elsewhere(world: World) -> None:
    rest, told = world.scheduler(), list[list[str]]()
    waits = Spreading(SqlStore(world.store._db, clock=world.store._clock), lambda event: told.append(event["names"]))
    waits.look()
    world.deployed(rest)
    waits.look()
    waits.look()
    assert told == [[], ["team"]]


def test_only_who_leads_all_others_gives_out(world: World) -> None:
    rest = world.scheduler()
    with pytest.raises(Fenced, match="another scheduler leads"):
        Spreading(rest.store, lambda event: None).begin("somebody else")


# --- whose a project is -----------------------------------------------------------------------------------------------


def test_a_project_keeps_its_namespace_while_each_has_a_scheduler_of_its_own(world: World) -> None:
    rest = world.scheduler()
    world.deployed(rest)
    world.deployed(rest, "other", "sales")
    own, sales = world.scheduler("team"), world.scheduler("sales")
    own.until(lambda: own.serves("shop") != "")
    moved = project(world.folder / "shop", namespace="sales")
    for scheduler, namespace in ((sales, "sales"), (rest, "unheard-of")):
        with pytest.raises(DefinitionError, match="project shop is in namespace 'team'"):
            scheduler.ask(msgspec.structs.replace(scheduler.request(moved, namespace), rollback=True))
    assert own.serves("shop") != ""
    assert rows.last_no(world.store, "shop") == 1


def test_a_project_moves_while_its_namespaces_are_led_together_and_has_its_schedule_in_one(world: World) -> None:
    plain = world.scheduler(spread=False)
    code = ""
    for namespace in ("team", "sales"):
        folder = project(world.folder / "shop", namespace=namespace)
        code = plain.ended("shop", plain.bring(folder, namespace)).code
        plain.until(lambda: plain.serves("shop") == code)  # noqa: B023
    plain.service.turn(0.0)
    assert {row.namespace: row.active for row in all_schedules(world.store)} == {"team": False, "sales": True}
    plain.die()
    assert world.scheduler().told == [["sales"]]
    own = world.scheduler("sales")
    own.until(lambda: own.serves("shop") == code)


def test_of_two_schedulers_that_are_asked_for_one_project_at_once_one_tries_it(world: World) -> None:
    rest = world.scheduler()
    world.deployed(rest, "a", "team")
    world.deployed(rest, "b", "sales")
    own, sales = world.scheduler("team"), world.scheduler("sales")
    folder = world.folder / "shop"
    of_team = own.request(project(folder, namespace="team"), "team")
    of_sales = sales.request(project(folder, namespace="sales"), "sales")
    # Both have looked before either has committed.
    assert own.handlers[Deploy](of_team).no == sales.handlers[Deploy](of_sales).no == 1
    own.until(lambda: rows.last_no(own.store, "shop") == 1)
    taken = own.ended("shop", 1)
    sales.until(lambda: not sales.service.engine.turn(0.0))
    assert (taken.namespace, taken.state) == ("team", "taken")
    own.until(lambda: own.serves("shop") == taken.code)
    sales.service.turn(0.0)
    assert sales.serves("shop") == ""
    # It is not busy with what it never began.
    with pytest.raises(DefinitionError, match="is in namespace 'team'"):
        sales.ask(of_sales)


def test_one_that_was_asked_in_the_moment_of_the_giving_out_says_so(world: World) -> None:
    rest = world.scheduler()
    world.deployed(rest)
    with pytest.raises(WorldError, match="given a scheduler of its own in this moment"):
        rest.bring(project(world.folder / "second", namespace="team"), "team")


def test_a_name_that_is_a_path_is_refused(world: World) -> None:
    rest = world.scheduler()
    with pytest.raises(DefinitionError, match="no name of a namespace"):
        rest.ask(Deploy("shop", "a/../../b", "0" * 64, 1, "ann"))
    assert Home(Path("/home")).of_namespace("a/../../b").root.parent == Path("/home/schedulers")


# --- when one dies ----------------------------------------------------------------------------------------------------


def test_another_machine_takes_a_namespace_over_with_its_deployed_projects(world: World) -> None:
    rest = world.scheduler()
    taken = world.deployed(rest)
    own = world.scheduler("team")
    own.until(lambda: own.serves("shop") == taken.code)
    left = DeploymentBegun(1.0, "shop", 2, "team", "ab" * 32, 1, "ann")
    own.service.engine.record(left)
    own.until(lambda: rows.last_no(world.store, "shop") == 2)
    own.die()

    heir = world.scheduler("team", machine="two")
    row = versions.project(world.store, "shop")
    assert row is not None
    assert row.active, "it has not gone: it lies elsewhere"
    heir.until(lambda: heir.serves("shop") == taken.code)
    assert "ended before it was tried" in heir.row("shop", 2).error
    assert (deploying.folder_of(heir.home, "shop") / "pipelines.py").exists()
    # A rollback and the next version are its business now.
    second = heir.ended("shop", heir.bring(project(world.folder / "shop", namespace="team", word="second"), "team"))
    heir.until(lambda: heir.serves("shop") == second.code)
    back = msgspec.structs.replace(heir.request(world.folder / "shop", "team"), digest=taken.digest, rollback=True)
    third = heir.ended("shop", heir.ask(back).no)
    heir.until(lambda: heir.serves("shop") == taken.code)
    assert (third.rollback, third.code) == (True, taken.code)
    assert list(world.store.audit()) == []


def test_a_run_that_another_machine_takes_over_ends_on_the_version_that_it_began_with(world: World) -> None:
    rest, go = world.scheduler(), world.folder / "go"
    first = world.deployed(rest)
    own = world.scheduler("team")
    own.until(lambda: own.serves("shop") == first.code)
    run = own.ask(Submit(target="shop_held", by="ann", params=packed({"file": str(go)}))).run
    own.until(lambda: any(i.open for r in own.service.engine.active.values() for i in r.machine.instances()))
    second = own.ended("shop", own.bring(project(world.folder / "shop", namespace="team", word="second"), "team"))
    own.until(lambda: own.serves("shop") == second.code)
    own.die()
    go.touch()
    heir = world.scheduler("team", machine="two")
    heir.until(lambda: run not in heir.service.engine.active)
    row = world.store.run(run)
    assert row is not None
    assert (row.state, row.code, heir.serves("shop")) == ("succeeded", first.code, second.code)
    assert (deploying.folder_of(heir.home, "shop") / "noted").read_text() == "first"


# --- what they have in common -----------------------------------------------------------------------------------------


def test_a_limit_is_told_by_the_scheduler_of_its_namespace_alone(world: World) -> None:
    rest = world.scheduler()
    rest.ask(SetLimit("team", "pipeline", "shop_daily", 3, "ann"))
    taken = world.deployed(rest)
    own = world.scheduler("team")
    own.until(lambda: own.serves("shop") == taken.code)
    assert [(state.name, state.slots) for state in own.ask(ListLimits())] == [("shop_daily", 3), ("w", 2)]
    assert rest.ask(ListLimits()) == []
    assert Realm.of(own.store, "team").has("team")


def test_a_scheduler_forgets_kept_versions_of_its_own_projects_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for n in range(30):
        for name in ("shop", "of-others"):
            (home.code / f"{name}-{n:016x}").mkdir(parents=True)
    forget(home, {("shop", "0" * 16)}, {"shop"})
    left = [path.name.rpartition("-")[0] for path in home.code.iterdir()]
    assert (left.count("shop"), left.count("of-others")) == (21, 30)
