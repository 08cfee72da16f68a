"""The version of a user's code: a hash that changes when what runs changes.

Rule: comments, formatting, docstrings, line numbers and our own decorators do not count; the module-level functions,
classes and constants that the function uses do, transitively, within its module. A file is read and parsed once.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any


def code_version(function: Callable[..., Any]) -> str:
    """The hash of a function's code and of what it uses in its module."""
    target: Any = function
    while hasattr(target, "func"):
        target = target.func
    code = getattr(target, "__code__", None)
    if code is None:
        return _hash([f"{getattr(target, '__module__', '')}:{getattr(target, '__qualname__', type(target).__name__)}"])
    source = _source_of(code.co_filename)
    node = source.functions.get((code.co_name, code.co_firstlineno)) if source is not None else None
    if source is None or node is None:
        return _hash([_compiled(code)])
    return source.version(node)


def code_hash(text: bytes) -> str:
    """The hash of a text, in the form of a version."""
    return hashlib.sha256(text).hexdigest()[:16]


class Source:
    """One parsed file."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: dict[tuple[str, int], ast.AST] = {}
        self._globals: dict[str, list[ast.AST]] = {}
        self._texts: dict[int, tuple[str, frozenset[str]]] = {}
        # Names under which the file knows Partita: their decorators are policy, not code.
        self._ours: set[str] = set()
        for node in tree.body:
            self._take(node)
        for inner in ast.walk(tree):
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min((d.lineno for d in inner.decorator_list), default=inner.lineno)
                self.functions[inner.name, first] = inner

    def version(self, node: ast.AST) -> str:
        """The hash of a function with all that it uses of this file."""
        text, names = self._described(node)
        seen: dict[str, str] = {}
        open_names = sorted(names)
        while open_names:
            name = open_names.pop()
            if name in seen or name not in self._globals:
                continue
            parts = [self._described(used) for used in self._globals[name] if used is not node]
            seen[name] = "".join(part for part, _ in parts)
            open_names.extend(n for _, more in parts for n in more)
        return _hash([text, *(f"{name}={seen[name]}" for name in sorted(seen))])

    def _take(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._globals.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                self._globals.setdefault(name, []).append(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                origin = module or alias.name
                if origin == "partita" or origin.startswith("partita."):
                    self._ours.add((alias.asname or alias.name).partition(".")[0])
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for inner in ast.iter_child_nodes(node):
                if isinstance(inner, ast.stmt):
                    self._take(inner)

    def _described(self, node: ast.AST) -> tuple[str, frozenset[str]]:
        found = self._texts.get(id(node))
        if found is None:
            names: set[str] = set()
            found = ("".join(self._dump(node, names)), frozenset(names))
            self._texts[id(node)] = found
        return found

    def _dump(self, node: ast.AST, names: set[str]) -> Iterator[str]:
        """The node's canonical text. Not `ast.dump`, whose form differs between versions of Python."""
        yield type(node).__name__
        yield "("
        for field in node._fields:
            value = getattr(node, field, None)
            if value is None or value == [] or field in _NO_CODE:
                continue
            if field == "decorator_list":
                value = [d for d in value if not self._is_ours(d)]
            elif field == "body" and isinstance(value, list):
                value = _without_docstring(node, value)
            yield from self._dump_value(value, names)
            yield ","
        yield ")"
        if isinstance(node, ast.Name):
            names.add(node.id)

    def _dump_value(self, value: Any, names: set[str]) -> Iterator[str]:
        if isinstance(value, ast.AST):
            yield from self._dump(value, names)
        elif isinstance(value, list):
            yield "["
            for item in value:
                yield from self._dump_value(item, names)
            yield "]"
        else:
            yield repr(value)

    def _is_ours(self, decorator: ast.expr) -> bool:
        root: ast.expr = decorator
        while isinstance(root, ast.Call | ast.Attribute):
            root = root.func if isinstance(root, ast.Call) else root.value
        return isinstance(root, ast.Name) and root.id in self._ours


_NO_CODE = frozenset({"ctx", "type_comment", "kind", "type_params"})


def _without_docstring(node: ast.AST, body: list[Any]) -> list[Any]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return body
    first = body[0]
    is_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if is_doc else body


def _source_of(file: str) -> Source | None:
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return _parsed(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _parsed(file: str, mtime_ns: int, size: int) -> Source | None:
    try:
        with open(file, "rb") as opened:
            return Source(ast.parse(opened.read()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _compiled(code: Any) -> str:
    """What the compiler made of a function whose source is not there (a lambda, a notebook, exec)."""
    constants = [_compiled(c) if hasattr(c, "co_code") else repr(c) for c in code.co_consts]
    return repr((sys.version_info[:2], code.co_code, constants, code.co_names, code.co_varnames))


def _hash(parts: list[str]) -> str:
    return code_hash("\0".join(parts).encode("utf-8", "backslashreplace"))
