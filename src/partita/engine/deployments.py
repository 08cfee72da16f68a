"""Deployments: bundles that people bring are tried, and what is well is served from then on.

A deployment is begun with a row, tried in a thread, and ends taken or refused. What is served of a project is the newest that
was taken; a rollback is one more deployment, of an earlier bundle. Runs that are under way end on the version they began with,
as after an edit in a folder.

Where namespaces have schedulers of their own, the first deployment into a new one is tried by the scheduler of all others, which
then gives that namespace out and serves nothing of it (`engine.spreading`).

Rule: one at a time for each project. What is to be served is in the store first; the folder follows, also after a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.facts.deployments import DeploymentBegun, DeploymentRefused, DeploymentTaken
from partita.core.manifest import Manifest
from partita.define.names import name_problem
from partita.engine import deploying
from partita.engine.active import ActiveRun
from partita.engine.control import Handler
from partita.engine.deploying import Tried, folder_of
from partita.engine.loop import Engine
from partita.engine.projects import Projects
from partita.engine.spreading import Spreading
from partita.errors import DefinitionError, PartitaError, WorldError
from partita.settings import Settings
from partita.store import deployments as rows
from partita.store import versions
from partita.store.writing import SqlStore

_NEVER = float("inf")
_problems = msgspec.msgpack.Encoder()
_BROKEN_OFF = "the scheduler ended before it was tried; deploy it again"


class Deploy(msgspec.Struct, frozen=True, tag="deploy"):
    """Serve a bundle that lies on the shelf. `over`: only if this one is what is served now ("" = nothing; None = whatever is)."""

    project: str
    namespace: str
    digest: str
    size: int
    by: str
    reason: str = ""
    over: str | None = None
    anyway: bool = False
    rollback: bool = False


class Deploying(msgspec.Struct, frozen=True):
    """It is being tried: its number."""

    no: int


class Deployments:
    """The part of the service that deployed projects are brought to."""

    name = "deployments"

    def __init__(
        self,
        engine: Engine,
        store: SqlStore,
        projects: Projects,
        settings: Settings,
        spread: Spreading | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._projects = projects
        # How projects are served here; each has its own folder.
        self._base = replace(settings, source=None)
        # Who gives namespaces out; None: what is taken here is served here.
        self._spread = spread
        # Namespaces in which something was taken, to be given out.
        self._leaving: set[str] = set()
        # Projects whose deployment is being tried, and in which namespace.
        self._trying: dict[str, str] = {}
        # Staged in this turn: they are tried when that is durable.
        self._asked: dict[tuple[str, int], Deploy] = {}
        self._ended = threading.Event()
        # Taken in this turn: they are served when that is durable.
        self._taken: dict[tuple[str, int], str] = {}

    def handlers(self) -> Mapping[type, Handler]:
        """What it can be asked."""
        return {Deploy: self._deploy}

    def loaded(self, manifest: Manifest) -> None:
        """Nothing: versions are the projects' matter."""

    def start(self, now: float) -> None:
        """Serve what was deployed, and end what was left in the middle."""
        for row in rows.open_deployments(self._store):
            if self._engine.realm.has(row.namespace):
                self._engine.record(DeploymentRefused(now, row.project, row.no, _BROKEN_OFF))
        after = ""
        while page := rows.deployed(self._store, after=after, limit=500):
            after = page[-1].project
            for row in page:
                if self._engine.realm.has(row.namespace):
                    self._take_on(row.project, row.namespace, row.digest)

    def due_at(self) -> float:
        """At once, if a namespace can be given out; else never: it answers."""
        return 0.0 if self._can_leave() else _NEVER

    def turn(self, now: float) -> None:
        """Give out namespaces in which something was taken. Raises `Fenced` if this engine led one of them before."""
        for namespace in sorted(self._can_leave()):
            assert self._spread is not None
            self._engine.realm = self._spread.give_out(namespace, epoch=self._engine.epoch)
            self._leaving.discard(namespace)

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Nothing."""

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Try what was begun, serve what was taken."""
        for fact in facts:
            if isinstance(fact, DeploymentBegun) and (asked := self._asked.pop((fact.project, fact.no), None)):
                self._begin(asked, fact.no)
            if isinstance(fact, DeploymentTaken) and (digest := self._taken.pop((fact.project, fact.no), None)):
                row = rows.deployment(self._store, fact.project, fact.no)
                assert row is not None, "it was recorded"
                self._take_on(fact.project, row.namespace, digest)

    def close(self) -> None:
        """Let no trial come in any more."""
        self._ended.set()

    # --- a deployment -------------------------------------------------------------------------------------------------

    def _deploy(self, asked: Deploy) -> Deploying:
        self._refuse(asked)
        now, no = self._engine.clock.now(), rows.last_no(self._store, asked.project) + 1
        self._engine.record(
            DeploymentBegun(
                now,
                asked.project,
                no,
                asked.namespace,
                asked.digest,
                asked.size,
                asked.by,
                asked.reason,
                asked.rollback,
            )
        )
        self._trying[asked.project] = asked.namespace
        self._asked[asked.project, no] = asked
        return Deploying(no)

    def _begin(self, asked: Deploy, no: int) -> None:
        """It is in the store: try it."""
        row = rows.deployment(self._store, asked.project, no)
        if row is None or (row.namespace, row.digest) != (asked.namespace, asked.digest):
            # The scheduler of another namespace was asked for the same project in the same moment, and was first.
            self._trying.pop(asked.project, None)
            return
        threading.Thread(
            target=self._try, args=(asked, no), name=f"partita-deploy-{asked.project}", daemon=True
        ).start()

    def _refuse(self, asked: Deploy) -> None:
        """Raise for what cannot be begun."""
        project = asked.project
        for name, what in ((project, "project"), (asked.namespace, "namespace")):
            if problem := name_problem(name) or ("it is a path" if ".." in name.split("/") else None):
                raise DefinitionError(f"{name!r} is no name of a {what}: {problem}")
        if project in self._trying:
            raise DefinitionError(
                f"another deployment of {project} is being tried", hint="wait for its end, then again"
            )
        folder = self._projects.folder_of(project)
        if folder is not None and folder != folder_of(self._base.home, project):
            raise DefinitionError(
                f"project {project} is served from the folder {folder}",
                hint="end `partita up` there, or deploy under another name: name = ... under [tool.partita]",
            )
        self._refuse_elsewhere(asked)
        served = rows.deployed_project(self._store, project)
        now = served.digest if served is not None else ""
        if asked.over is not None and asked.over != now:
            by = f", brought by {served.by}" if served is not None else ""
            raise DefinitionError(
                f"{project} has another version by now: {now[:12] or 'none'}{by}",
                hint="look at what it changes, then deploy again",
            )

    def _refuse_elsewhere(self, asked: Deploy) -> None:
        """Raise if another scheduler leads the namespace, or serves the project in another one."""
        if not self._engine.realm.has(asked.namespace):
            raise WorldError(
                f"namespace {asked.namespace!r} was given a scheduler of its own in this moment", hint="deploy it again"
            )
        known = versions.project(self._store, asked.project)
        last = next(iter(rows.deployments(self._store, asked.project, limit=1)), None)
        in_namespaces = {row.namespace for row in (rows.deployed_project(self._store, asked.project),) if row}
        in_namespaces |= {known.namespace} if known is not None and known.active else set()
        in_namespaces |= {last.namespace} if last is not None and last.state == "trying" else set()
        for other in sorted(in_namespaces - {asked.namespace}):
            if self._spread is not None or not self._engine.realm.has(other):
                raise DefinitionError(
                    f"project {asked.project} is in namespace {other!r}, and another scheduler leads that one",
                    hint=f"it keeps its namespace while each has its own scheduler; give it another name in {asked.namespace}",
                )

    def _try(self, asked: Deploy, no: int) -> None:
        """In a thread."""
        try:
            tried = deploying.try_out(self._base, asked.project, asked.namespace, asked.digest, anyway=asked.anyway)
        except Exception as error:  # whatever it is, the deployment is to end
            tried = Tried(error=f"it could not be tried: {type(error).__name__}: {error}")
        if not self._ended.is_set():
            self._engine.post(lambda: self._tried(asked, no, tried))

    def _tried(self, asked: Deploy, no: int, tried: Tried) -> None:
        now, project = self._engine.clock.now(), asked.project
        self._trying.pop(project, None)
        if tried.error:
            problems = _problems.encode(tried.problems) if tried.problems else b""
            self._engine.record(DeploymentRefused(now, project, no, tried.error, problems))
            return
        self._taken[project, no] = asked.digest
        self._engine.record(DeploymentTaken(now, project, no, tried.code, tried.lock, tried.warnings))

    def _take_on(self, project: str, namespace: str, digest: str) -> None:
        """Serve it; or have its namespace be given out, and whoever leads that then serves it."""
        if self._spread is not None:
            self._leaving.add(namespace)
        else:
            self._serve(project, digest)

    def _can_leave(self) -> set[str]:
        """Namespaces to be given out in which nothing is being tried: a trial is not to be in vain."""
        return self._leaving - set(self._trying.values()) if self._leaving else self._leaving

    def _serve(self, project: str, digest: str) -> None:
        home = self._base.home
        digests = [row.digest for row in rows.deployments(self._store, project, limit=100) if row.state == "taken"]

        def prepare() -> None:
            deploying.lay_out(home, project, digest)
            try:
                deploying.prune(home, project, [digest, *digests])
            except PartitaError:
                return  # what lies there too long does no harm

        def earlier(code: str) -> Callable[[], None] | None:
            known = rows.deployments(self._store, project, limit=100)
            digest = next((row.digest for row in known if row.state == "taken" and row.code == code), "")
            return (lambda: deploying.keep_version(home, project, code, digest)) if digest else None

        self._projects.serve(project, replace(self._base, project=folder_of(home, project)), prepare, earlier)
