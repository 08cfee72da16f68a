"""Testing a resource: asked for by people, done by the project's evaluator.

Rule: the engine's thread asks and hears; it never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

import msgspec

from partita.core.events import Event
from partita.core.facts import Fact
from partita.core.manifest import Manifest
from partita.engine.active import ActiveRun
from partita.engine.catalog import Catalog
from partita.engine.control import Handler
from partita.errors import DefinitionError, WorldError
from partita.executors.evaluator import Evaluator
from partita.worker import questions
from partita.worker.questions import Answered

_NEVER = float("inf")
# A connection that takes longer does not work.
_TIMEOUT_S = 25.0


class TestResource(msgspec.Struct, frozen=True, tag="test_resource"):
    """Try whether a resource of a project works."""

    # No class of tests, whatever pytest thinks.
    __test__ = False

    project: str
    name: str


class Tested(msgspec.Struct, frozen=True):
    """How the test went; `message` is what it said, or what went wrong."""

    works: bool
    message: str = ""


class Resources:
    """The part of the service that has resources tested."""

    name = "resources"

    def __init__(self, catalog: Catalog, evaluator: Callable[[], Evaluator | None]) -> None:
        self._catalog = catalog
        self._evaluator = evaluator

    def handlers(self) -> Mapping[type, Handler]:
        """What it can be asked."""
        return {TestResource: self._test}

    def loaded(self, manifest: Manifest) -> None:
        """Nothing: the catalog has them."""

    def start(self, now: float) -> None:
        """Nothing is stored."""

    def due_at(self) -> float:
        """Never: it answers."""
        return _NEVER

    def turn(self, now: float) -> None:
        """Nothing is ever due."""

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None:
        """Nothing."""

    def recorded(self, facts: Sequence[Fact]) -> None:
        """Nothing."""

    def _test(self, r: TestResource) -> Future[Tested]:
        manifest = self._catalog.manifests.get(r.project)
        spec = next((s for s in manifest.resources if s.name == r.name), None) if manifest else None
        if spec is None:
            raise DefinitionError(f"there is no resource {r.name!r} in project {r.project!r}", hint="partita resources")
        if not spec.can_test:
            raise DefinitionError(f"resource {r.name!r} has no test", hint="give its class a method `test`")
        evaluator = self._evaluator()
        if evaluator is None:
            raise WorldError("nobody here can test a resource", hint="start the service: partita up")
        tested: Future[Tested] = Future()
        asked = evaluator.ask(r.project, questions.TestResource(spec.call, spec.name), timeout_s=_TIMEOUT_S)
        asked.add_done_callback(lambda done: _tell(done, tested))
        return tested


def _tell(asked: Future[Answered], tested: Future[Tested]) -> None:
    error = asked.exception()
    if error is not None:
        tested.set_result(Tested(False, str(error)))
        return
    answered = asked.result()
    if isinstance(answered.answer, questions.ResourceTested):
        tested.set_result(Tested(answered.answer.works, answered.answer.message))
    else:
        tested.set_result(Tested(False, answered.failure.message if answered.failure else "it did not answer"))
