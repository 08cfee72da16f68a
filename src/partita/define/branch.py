"""`pt.branch`: which steps run depends on a value that is known when the pipeline runs.

Rule: all arms are in the graph; the steps of each stand behind a guard, and those not chosen are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from partita.core.graph import FirstOf, Guard
from partita.define.binding import packed
from partita.define.handles import GroupHandle, Handle
from partita.define.tracer import Tracer, current_tracer, whole_step
from partita.define.where import wrong

Arm = Any
_SCALARS = (str, int, float, bool, bytes, type(None))


def branch(on: Any, arms: Mapping[Any, Arm], *, default: Arm = ..., name: str = "branch") -> Any:
    """Run the arm whose key equals the value, else `default`; the result is that of the arm that ran.

    An arm is a function (a task, a group, a lambda) called without arguments, or a plain value.

    >>> pt.branch(kind(x), {"full": lambda: rebuild(x), "delta": lambda: update(x)})  # doctest: +SKIP
    """
    tracer = current_tracer()
    if tracer is None:
        if on not in arms and default is ...:
            return None
        arm = arms.get(on, default)
        return arm() if callable(arm) else arm
    return tracer.keeping(lambda: _traced(tracer, on, arms, default, name))


def _traced(tracer: Tracer, on: Any, arms: Mapping[Any, Arm], default: Arm, name: str) -> Handle:
    decider = _decider(tracer, on, name)
    if not isinstance(arms, Mapping) or not arms:
        raise wrong("pt.branch needs a dict of arms", hint='write pt.branch(value, {"a": task_a, "b": task_b})')
    keys = {_choice(key): (key, arm) for key, arm in arms.items()}
    results: list[str] = []
    made: list[str] = []
    for choice, (key, arm) in keys.items():
        count = len(tracer.drafts)
        results += _arm(tracer, arm, Guard(decider, (choice,)), f"{name}_{key}")
        made += tracer.made_since(count)
    if default is not ...:
        count = len(tracer.drafts)
        results += _arm(tracer, default, Guard(decider, tuple(keys), unless=True), f"{name}_default")
        made += tracer.made_since(count)
    firsts, _ = tracer.ends_of(made)
    steps = tuple(dict.fromkeys(results))
    return Handle(tracer, FirstOf(steps), tracer.scope, firsts=firsts, lasts=steps)


def _decider(tracer: Tracer, on: Any, name: str) -> str:
    """The step whose result decides."""
    if not isinstance(on, Handle):
        raise wrong(
            f"pt.branch decides by a value that is known now ({on!r}): use a plain `if`",
            hint="or give it the result of a task, or a parameter of the pipeline",
        )
    if tracer.rank(on) > 0:
        raise wrong(
            f"pt.branch decides by one value, and {on!r} is mapped",
            hint="put the branch into a @pt.group function and map that: each element then decides for itself",
        )
    tracer.readable(on, "the value of pt.branch")
    step = whole_step(on) or tracer.same(on, f"{name}_on")._lasts[0]
    tracer.drafts[step].reports_choice = True
    return step


def _choice(key: Any) -> bytes:
    if not isinstance(key, _SCALARS):
        raise wrong(f"pt.branch: {key!r} is no plain value", hint="use texts, numbers, True, False or None as keys")
    return packed(key, "a key of pt.branch")


def _arm(tracer: Tracer, arm: Arm, guard: Guard, name: str) -> list[str]:
    """Build an arm behind its guard; the steps that hold its result."""
    label = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
    with tracer.inside(guard=guard):
        count = len(tracer.drafts)
        result = _called(arm) if callable(arm) else arm
        made = tracer.made_since(count)
        if isinstance(result, GroupHandle) or (result is None and made):
            # No value: whoever comes after the branch comes after the arm's last steps.
            return list(tracer.ends_of(made)[1])
        if isinstance(result, Handle):
            step = whole_step(result)
            if step in made and tracer.drafts[step].axes == tracer.scope:
                return [step]
        passed = tracer.same(result, label)
        return list(passed._lasts)


def _called(arm: Callable[[], Any]) -> Any:
    try:
        return arm()
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise wrong(
                f"an arm of pt.branch is called without arguments: {error}", hint="write `lambda: task(value)`"
            ) from None
        raise
