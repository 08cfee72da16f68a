"""`pt.setup_teardown`: something is created, used by the steps inside, and removed whatever becomes of them.

Rule: the teardown needs every step inside, not only the last ones, for a step that could not run has ended while its
siblings may still be at work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from partita.define.handles import Ordered, StandIn, ends
from partita.define.tracer import Tracer, current_tracer
from partita.define.where import wrong


class setup_teardown:
    """The steps made inside run after `setup`; then `teardown(setup)` runs, if the setup succeeded.

    A failed teardown does not fail the run unless `counts`.

    >>> with pt.setup_teardown(create_cluster(), delete_cluster) as cluster:  # doctest: +SKIP
    ...     train(cluster)
    """

    def __init__(self, setup: Any, teardown: Callable[..., Any], *, counts: bool = False) -> None:
        self._setup = setup
        self._teardown = teardown
        self._counts = counts
        self._tracer = current_tracer()
        if self._tracer is None:
            return
        self._count = len(self._tracer.drafts)
        if not isinstance(setup, Ordered):
            raise wrong(
                f"pt.setup_teardown: {setup!r} is no step", hint="call a task: pt.setup_teardown(create(), delete)"
            )
        if not callable(teardown) or isinstance(teardown, Ordered):
            raise wrong(
                "pt.setup_teardown: the teardown must be a task or a function of the setup's result",
                hint="write pt.setup_teardown(create(), delete) or lambda c: delete(c)",
            )

    def __enter__(self) -> Any:
        return self._setup

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._tracer is None:
            self._teardown(self._setup)
        elif kind is None:
            self._close(self._tracer)

    def _close(self, tracer: Tracer) -> None:
        inside = tracer.made_since(self._count)
        for first in tracer.ends_of(inside)[0]:
            for key in ends(self._setup, "_lasts"):
                tracer.order(key, first)
        end = tracer.keeping(lambda: self._teardown(self._setup))
        if isinstance(end, StandIn):
            return
        if not isinstance(end, Ordered):
            raise wrong("pt.setup_teardown: the teardown made no step", hint="return what the teardown's task returns")
        tracer.make_teardown(end, self._setup, self._counts)
        for key in end._firsts:
            for other in inside:
                tracer.order(other, key)
