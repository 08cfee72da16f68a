"""Selections over steps and assets: what people type to name some of them, and the part of a graph that is theirs.

    flights            the step or asset of that name        group:raw    tag:daily    owner:ops    kind:check
    +flights  2+flights  with everything (two levels) upstream         flights+  flights+2  downstream
    a, b   a | b   either            a & b   both             a - b   !a   not a   without            (...)

Names may hold `*` and `?`. An asset brings its checks with it.

Rule: a selection is evaluated against a graph, needs being the edges; it never changes one. `cut` makes the part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from partita.core.graph import Binding, DictOf, FirstOf, Graph, Guard, ListOf, Output, Step, Stored, steps_read
from partita.core.manifest import AssetSpec
from partita.errors import SelectionError


def select(expression: str, graph: Graph, assets: Sequence[AssetSpec] = ()) -> tuple[str, ...]:
    """The keys of the steps that a selection names, in the order of the graph.

    Raises `SelectionError` if it cannot be read, or if one of its parts matches nothing.
    """
    field = _Field(graph, assets)
    keys = _Reader(expression, field).read()
    found = tuple(step.key for step in graph.steps if step.key in keys)
    if not found:
        hint = "external assets are made elsewhere; `name+` is what is made of one" if keys else None
        raise SelectionError(f"the selection `{expression}` matches nothing that can be run", hint=hint)
    return found


def cut(graph: Graph, keys: Iterable[str], *, reuse: bool = False) -> Graph:
    """The part of a graph with these steps, and what they cannot do without: bundles and blocking checks.

    Assets outside are read from where they are stored. A task whose value is read must be inside, unless `reuse`: then
    the reads stay as they are, for a run that takes those steps over from an earlier one. Raises `SelectionError`.
    """
    kept = _with_companions(graph, set(keys))
    steps = {step.key: step for step in graph.steps}
    unknown = sorted(kept - set(steps))
    if unknown:
        raise SelectionError(f"there is no step `{unknown[0]}`", hint=_near(unknown[0], steps))
    parts = tuple(_part(step, kept, steps, reuse) for step in graph.steps if step.key in kept)
    used = {axis for step in parts for axis in step.axes}
    axes = tuple(axis for axis in graph.axes if axis.name in used)
    if not reuse:
        for axis in axes:
            missing = [s for source in axis.sources for s in steps_read(source) if s not in kept]
            if missing:
                raise _unreadable(axis.name, missing[0])
    return Graph(graph.name, parts, axes)


# --- the part -----------------------------------------------------------------------------------------------------


def _with_companions(graph: Graph, keys: set[str]) -> set[str]:
    kept = set(keys)
    for step in graph.steps:
        if step.key in keys and step.bundle is not None:
            kept.add(step.bundle)
    assets = {step.asset for step in graph.steps if step.key in kept and step.asset is not None}
    bundled = {step.key for step in graph.steps if step.kind == "member" and step.bundle in keys}
    if bundled - kept and not any(step.key in kept for step in graph.steps if step.bundle in keys):
        kept |= bundled  # a bundle by its own name is all of its members
        assets |= {step.asset for step in graph.steps if step.key in bundled and step.asset is not None}
    for step in graph.steps:
        if step.check is not None and step.check.blocking and step.check.asset in assets:
            kept.add(step.key)
            if step.bundle is not None:
                kept.add(step.bundle)
    return kept


def _part(step: Step, kept: set[str], steps: dict[str, Step], reuse: bool) -> Step:
    needs = tuple(need for need in step.needs if need in kept or reuse)
    guards = tuple(guard for guard in step.guards if guard.step in kept or reuse)
    args = step.args
    if not reuse:
        lost = next((guard for guard in step.guards if guard.step not in kept), None)
        if lost is not None:
            raise _undecided(step, lost)
        if any(s not in kept for _, binding in args for s in steps_read(binding)):
            args = tuple((name, _read_from_store(binding, step, kept, steps)) for name, binding in args)
    if (needs, guards, args) == (step.needs, step.guards, step.args):
        return step
    # Lineage goes on over the cut.
    outside = (steps[need].asset for need in step.needs if need in steps and need not in needs)
    reads = tuple(dict.fromkeys((*step.reads, *(asset for asset in outside if asset is not None))))
    return msgspec.structs.replace(step, needs=needs, guards=guards, args=args, reads=reads)


def _read_from_store(binding: Binding, step: Step, kept: set[str], steps: dict[str, Step]) -> Binding:
    match binding:
        case Output(step=upstream) if upstream not in kept:
            asset = steps[upstream].asset
            if asset is None or binding.path:
                raise _unreadable(step.key, upstream)
            return Stored(asset)
        case FirstOf(steps=upstreams) if any(u not in kept for u in upstreams):
            left = tuple(u for u in upstreams if u in kept)
            if not left:
                raise _unreadable(step.key, upstreams[0])
            return FirstOf(left, binding.path)
        case ListOf(items=items):
            return ListOf(tuple(_read_from_store(item, step, kept, steps) for item in items))
        case DictOf(items=pairs):
            return DictOf(tuple((key, _read_from_store(item, step, kept, steps)) for key, item in pairs))
        case _:
            return binding


def _unreadable(user: str, missing: str) -> SelectionError:
    return SelectionError(
        f"`{user}` reads the result of `{missing}`, which is not selected",
        hint=f"select it too: `{missing}, {user}` or `+{user}`; or rerun from an earlier run, whose results are used",
    )


def _undecided(step: Step, guard: Guard) -> SelectionError:
    return SelectionError(
        f"`{step.key}` stands behind a branch that `{guard.step}` decides, which is not selected",
        hint=f"select it too: `+{step.key}`",
    )


# --- what can be selected -------------------------------------------------------------------------------------------


class _Field:
    """The steps of a graph with their neighbours and attributes."""

    def __init__(self, graph: Graph, assets: Sequence[AssetSpec]) -> None:
        # External assets have no step, but what is downstream of them can be named by them.
        self.steps = {asset.name: _external(asset) for asset in assets if asset.external}
        self.steps.update((step.key, step) for step in graph.steps)
        self._kinds = {asset.name: asset.kinds for asset in assets}
        self._needs: dict[str, tuple[str, ...]] | None = None
        self._users: dict[str, list[str]] | None = None
        self._checks: dict[str, list[str]] = {}
        for step in graph.steps:
            if step.check is not None:
                self._checks.setdefault(step.check.asset, []).append(step.key)

    def named(self, pattern: str) -> set[str]:
        """The steps of a name or pattern, assets with their checks. Raises `SelectionError` if there are none."""
        if not _is_pattern(pattern):
            if pattern not in self.steps:
                members = {key for key, step in self.steps.items() if ".".join(step.group) == pattern}
                if members:
                    return members
                raise SelectionError(f"there is no step or asset `{pattern}`", hint=_near(pattern, self.steps))
            found = {pattern}
        else:
            found = {key for key in self.steps if fnmatchcase(key, pattern)}
            if not found:
                raise SelectionError(
                    f"no step or asset is named like `{pattern}`", hint=_near(pattern.strip("*"), self.steps)
                )
        return self.with_checks(found)

    def having(self, attribute: str, pattern: str) -> set[str]:
        """The steps whose attribute matches. Raises `SelectionError` if there are none."""
        values = {key: _ATTRIBUTES[attribute](step) for key, step in self.steps.items()}
        if attribute == "kind":
            values = {key: {*found, *self._kinds.get(self.steps[key].asset or "", ())} for key, found in values.items()}
        found = {key for key, own in values.items() if any(fnmatchcase(value, pattern) for value in own)}
        if not found:
            known = sorted({value for own in values.values() for value in own if value})
            raise SelectionError(f"nothing has the {attribute} `{pattern}`", hint=_near(pattern, known))
        return found if attribute == "kind" else self.with_checks(found)

    def with_checks(self, keys: set[str]) -> set[str]:
        assets = {self.steps[key].asset for key in keys}
        return keys | {check for asset in assets if asset for check in self._checks.get(asset, ())}

    def upstream(self, keys: Collection[str], depth: int | None) -> set[str]:
        """The keys with what they need, `depth` levels up. The checks that gate what was reached come along."""
        needs = self._all_needs()
        return self._reach(keys, depth, lambda key: needs[key])

    def downstream(self, keys: Collection[str], depth: int | None) -> set[str]:
        """The keys with what needs them, `depth` levels down."""
        if self._users is None:
            self._users = {key: [] for key in self.steps}
            for key, needs in self._all_needs().items():
                for need in needs:
                    self._users[need].append(key)
        users = self._users
        return self.with_checks(self._reach(keys, depth, lambda key: users[key]))

    def _all_needs(self) -> dict[str, tuple[str, ...]]:
        if self._needs is None:
            self._needs = {
                key: tuple(n for n in (*step.needs, *step.reads) if n in self.steps) for key, step in self.steps.items()
            }
        return self._needs

    def _reach(self, keys: Collection[str], depth: int | None, neighbours: Callable[[str], Iterable[str]]) -> set[str]:
        """Level by level. A check is no level of its own: it belongs to its asset."""
        reached = set(keys)
        edge = set(keys)
        level = 0
        while edge and (depth is None or level < depth):
            found: set[str] = set()
            todo = [n for key in edge for n in neighbours(key)]
            while todo:
                key = todo.pop()
                if key in found or key in reached:
                    continue
                found.add(key)
                if self.steps[key].check is not None:
                    todo.extend(neighbours(key))
            reached |= found
            edge = found
            level += 1
        return reached


def _external(asset: AssetSpec) -> Step:
    group = (asset.group,) if asset.group else ()
    return Step(asset.name, kind="asset", asset=asset.name, group=group, owner=asset.owner, tags=asset.tags)


def _groups(step: Step) -> set[str]:
    """The group of an asset, and every group that a task stands in ("etl", "etl.load")."""
    return {".".join(step.group[: i + 1]) for i in range(len(step.group))}


_ATTRIBUTES: dict[str, Callable[[Step], set[str]]] = {
    "group": _groups,
    "tag": lambda step: set(step.tags),
    "owner": lambda step: {step.owner} if step.owner else set(),
    "kind": lambda step: {step.kind, *(("asset",) if step.asset else ()), *(("check",) if step.check else ())},
}


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _near(word: str, known: Iterable[str]) -> str | None:
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return "there is " + ", ".join(f"`{name}`" for name in names) if 0 < len(names) <= 12 else None


# --- reading ------------------------------------------------------------------------------------------------------


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<atom>(?:\d*\+)?(?:(?:group|tag|owner|kind|name|key):)?(?:"[^"]*"|[\w*?./:@][\w*?./:@-]*)(?:\+\d*)?)
      | (?P<op>[,|&()!\\-]))""",
    re.VERBOSE,
)
_ATOM = re.compile(
    r"""(?:(?P<up>\d*)\+)?(?:(?P<attribute>group|tag|owner|kind|name|key):)?(?P<text>"[^"]*"|[\w*?./:@][\w*?./:@-]*)"""
    r"""(?:\+(?P<down>\d*))?"""
)
_WORDS = {"or": "|", "and": "&", "not": "!", "minus": "-"}


class _Reader:
    """Recursive descent: either ("," "|"), then both ("&") and without ("-"), then not ("!"), then atoms."""

    def __init__(self, text: str, field: _Field) -> None:
        self._text = text
        self._field = field
        self._tokens = self._split(text)
        self._at = 0

    def read(self) -> set[str]:
        if not self._tokens:
            raise SelectionError("the selection is empty", hint="name a step, or write `*` for all")
        keys = self._either()
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            raise SelectionError(
                f"the selection `{self._text}` cannot be read at `{self._text[token.at :].strip()}`",
                hint="put `,` (or), `&` (and) or `-` (without) between names",
            )
        return keys

    def _split(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        end = len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise SelectionError(f"the selection `{text}` cannot be read at `{text[at:].strip()}`")
            atom, op = match["atom"], match["op"]
            if atom is not None and atom in _WORDS:
                tokens.append(_Token(_WORDS[atom], atom, match.start("atom")))
            elif atom is not None:
                tokens.append(_Token("atom", atom, match.start("atom")))
            else:
                tokens.append(_Token({",": "|", "\\": "-"}.get(op, op), op, match.start("op")))
            at = match.end()
        return tokens

    def _next_is(self, *kinds: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at].kind in kinds

    def _either(self) -> set[str]:
        keys = self._both()
        while self._next_is("|"):
            self._at += 1
            keys = keys | self._both()
        return keys

    def _both(self) -> set[str]:
        keys = self._one()
        while self._next_is("&", "-"):
            operator = self._tokens[self._at].kind
            self._at += 1
            other = self._one()
            keys = keys & other if operator == "&" else keys - other
        return keys

    def _one(self) -> set[str]:
        if self._at >= len(self._tokens):
            raise SelectionError(f"the selection `{self._text}` ends too early")
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "!":
            return set(self._field.steps) - self._one()
        if token.kind == "(":
            keys = self._either()
            if not self._next_is(")"):
                raise SelectionError(f"the selection `{self._text}` has a `(` without its `)`")
            self._at += 1
            return keys
        if token.kind != "atom":
            raise SelectionError(
                f"the selection `{self._text}` has `{token.text}` where a name should stand",
                hint="write for example `+flights`, `group:raw+` or `tag:daily - kind:check`",
            )
        return self._atom(token.text)

    def _atom(self, text: str) -> set[str]:
        match = _ATOM.fullmatch(text)
        if match is None:
            raise SelectionError(f"`{text}` is no selection")
        name, attribute = match["text"].strip('"'), match["attribute"]
        if attribute in (None, "name", "key"):
            prefix, colon, _ = name.partition(":")
            if colon and name not in self._field.steps and not _is_pattern(name) and "/" not in prefix:
                self._refuse_attribute(prefix, name)
            keys = self._field.named(name)
        else:
            keys = self._field.having(attribute, name)
        found = set(keys)
        if match["up"] is not None:
            found |= self._field.upstream(keys, int(match["up"]) if match["up"] else None)
        if match["down"] is not None:
            found |= self._field.downstream(keys, int(match["down"]) if match["down"] else None)
        return found

    def _refuse_attribute(self, prefix: str, name: str) -> None:
        near = get_close_matches(prefix, _ATTRIBUTES, n=1, cutoff=0.6)
        if near or not any(key.startswith(f"{prefix}:") for key in self._field.steps):
            hint = f"did you mean `{near[0]}:`?" if near else f"there is {', '.join(f'`{a}:`' for a in _ATTRIBUTES)}"
            raise SelectionError(f"`{name}`: nothing can be selected by `{prefix}:`", hint=hint)
