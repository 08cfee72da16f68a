"""The crews of an executor: for each project the one of its newest version, and those whose versions still have runs.

A run ends on the version that it began with. So when a project is loaded anew, the crew before it stays for as long as
somebody wants its version, and a version that has no crew any more (the engine was restarted) gets one over its kept files.

Rule: which crew, and nothing about tickets.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from partita.errors import ExecutorError
from partita.executors import control
from partita.executors.crew import Crew
from partita.executors.loading import HostConnection

Source = Callable[[str, str], HostConnection | None]
"""Starts a host for a project's version that has none: (project, code). None: wait, it is being loaded.

Raises `LookupError` when the version is not kept: its runs go on with the newest one."""


class Crews:
    """Crews by project and version. Iterating over `values` gives all of them."""

    def __init__(self, connections: Mapping[str, HostConnection], source: Source | None) -> None:
        self._numbers: Iterator[int] = itertools.count(1)
        self._source = source
        self._newest = {name: Crew(name, connection, self._numbers) for name, connection in connections.items()}
        self._older: dict[tuple[str, str], Crew] = {}
        # Nobody's version any more; they go when their last tickets have ended.
        self._unwanted: list[Crew] = []
        self._all = list(self._newest.values())

    def __getitem__(self, project: str) -> Crew:
        return self._newest[project]

    def values(self) -> list[Crew]:
        return self._all

    def of(self, project: str, code: str) -> tuple[Crew | None, bool]:
        """The crew for a version, and whether it was only made now. None: there is none yet.

        Raises `ExecutorError` for a project that nobody can load.
        """
        newest = self._newest.get(project)
        if newest is not None and (not code or not newest.code or newest.code == code):
            return newest, False
        known = self._older.get((project, code))
        if known is not None:
            return known, False
        if self._source is None:
            if newest is None:
                raise ExecutorError(f"no host for project {project!r}", hint="was it loaded by this engine?")
            return newest, False
        try:
            connection = self._source(project, code)
        except LookupError:
            # Better on with another version than not at all: so it is after `partita run`, which keeps none.
            return newest, False
        if connection is None:
            return None, False
        made = self._older[project, code] = Crew(project, connection, self._numbers)
        made.code = code
        self._count()
        return made, True

    def put(self, project: str, code: str, connection: HostConnection, kept: Path | None) -> Crew:
        """A newly loaded version takes the place of the one before it, which stays until it is let go.

        `kept`: the folder with the version's files, for when its host dies.
        """
        before = self._newest.pop(project, None)
        if before is not None and before.code == code:
            self._unwanted.append(before)
        elif before is not None:
            _pin(before)
            self._older[project, before.code] = before
        same = self._older.pop((project, code), None)
        if same is not None:
            self._unwanted.append(same)
        crew = self._newest[project] = Crew(project, connection, self._numbers)
        crew.code, crew.kept = code, kept
        self._count()
        return crew

    def pin(self, project: str) -> None:
        """The project's folder has other files than those that are served: nobody is to import these."""
        if project in self._newest:
            _pin(self._newest[project])

    def let_go(self, project: str, wanted: set[str]) -> None:
        """Only these older versions of the project are wanted still."""
        for name, code in [key for key in self._older if key[0] == project and key[1] not in wanted]:
            self._unwanted.append(self._older.pop((name, code)))

    def remove(self, project: str) -> None:
        """A project is served no more."""
        crew = self._newest.pop(project, None)
        if crew is not None:
            self._unwanted.append(crew)
        self.let_go(project, set())

    def idle_unwanted(self) -> list[Crew]:
        """Crews that nobody wants and that have nothing left to do; they are forgotten here."""
        gone = [crew for crew in self._unwanted if not any(worker.count for worker in crew.workers())]
        if gone:
            self._unwanted = [crew for crew in self._unwanted if crew not in gone]
            self._count()
        return gone

    def codes(self, project: str) -> set[str]:
        """The older versions of a project that have a crew."""
        return {code for name, code in self._older if name == project}

    def _count(self) -> None:
        self._all = [*self._newest.values(), *self._older.values(), *self._unwanted]


def _pin(crew: Crew) -> None:
    """Whoever imports for this crew takes the kept files, not what lies in the project's folder."""
    if crew.kept is not None and crew.settings.source is None:
        crew.settings = replace(crew.settings, source=crew.kept)
        crew.connection.send(control.Source(str(crew.kept)))
