"""The version of a user's code: a hash that changes when what runs changes.

Rule: comments, formatting, docstrings, line numbers and our own decorators do not count. What the function uses does:
the module-level functions, classes and constants of its module, transitively, the project's other modules whole, and
the values that it closed over.
A file is read and parsed once.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from partita.core.plain import NotPlain, pack
from partita.define.where import project_root


def code_version(function: Callable[..., Any]) -> str:
    """The hash of a function's code and of what it uses of the project."""
    return _hash(_texts_of_function(function, set()))


def _texts_of_function(function: Any, seen: set[int]) -> list[str]:
    """The canonical texts of a function's code, and the values that were bound to it when it was made."""
    if id(function) in seen:
        return []
    seen.add(id(function))
    if hasattr(function, "func"):  # functools.partial
        bound = [_text_of_value(value, seen) for value in (*function.args, *sorted(function.keywords.items()))]
        return [*_texts_of_function(function.func, seen), *bound]
    code = getattr(function, "__code__", None)
    if code is None:
        return [f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', type(function).__name__)}"]
    source = _source_of(code.co_filename)
    node = source.functions.get((code.co_name, code.co_firstlineno)) if source is not None else None
    if source is None or node is None:
        texts = [_compiled(code)]
    else:
        texts = source.texts_of(node, str(getattr(function, "__module__", "")))
    # A factory makes functions of one text that differ in what they closed over.
    cells = zip(code.co_freevars, function.__closure__ or (), strict=False)
    texts += [f"{name}={_text_of_cell(cell, seen)}" for name, cell in cells]
    texts += [_text_of_value(value, seen) for value in function.__defaults__ or ()]
    texts += [_text_of_value(value, seen) for value in sorted((function.__kwdefaults__ or {}).items())]
    return texts


def _text_of_cell(cell: Any, seen: set[int]) -> str:
    try:
        return _text_of_value(cell.cell_contents, seen)
    except ValueError:  # not filled yet: a function that calls itself while it is being made
        return ""


def _text_of_value(value: Any, seen: set[int]) -> str:
    """Plain data as it is, functions by their code, anything else by its type."""
    if hasattr(value, "__code__"):
        return "\0".join(_texts_of_function(value, seen))
    try:
        return pack(value).hex()
    except (NotPlain, RecursionError):
        return f"{type(value).__module__}.{type(value).__qualname__}"


def code_hash(text: bytes) -> str:
    """The hash of a text, in the form of a version."""
    return hashlib.sha256(text).hexdigest()[:16]


def canonical_text(file: str) -> bytes:
    """What a file says to Python, without comments, formatting and docstrings; as it is if that is not Python.

    Raises `OSError`.
    """
    source = _source_of(file) if file.endswith(".py") else None
    if source is not None:
        with suppress(RecursionError):
            return source.whole().encode("utf-8", "surrogatepass")
    with open(file, "rb") as opened:
        return opened.read()


class _Import(NamedTuple):
    """`from module import name`, `level` dots before it; or `import module`."""

    module: str
    name: str
    level: int


class Source:
    """One parsed file."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions: dict[tuple[str, int], ast.AST] = {}
        self._tree = tree
        self._globals: dict[str, list[ast.AST]] = {}
        self._imports: dict[str, _Import] = {}
        self._texts: dict[int, tuple[str, frozenset[str]]] = {}
        # Names under which the file knows Partita: their decorators are policy, not code.
        self._ours: set[str] = set()
        for node in tree.body:
            self._take(node)
        for function in _functions_in(tree.body):
            first = min((d.lineno for d in function.decorator_list), default=function.lineno)
            self.functions[function.name, first] = function

    def texts_of(self, node: ast.AST, module: str) -> list[str]:
        """The canonical texts of a function and of all that it uses; `module` is the name of the file's module."""
        text, names = self._described(node)
        used: dict[str, str] = {}
        imported: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in self._imports:
                imported |= set(_files_of(self._imports[name], module))
            if name in used or name not in self._globals:
                continue
            parts = [self._described(other) for other in self._globals[name] if other is not node]
            used[name] = "".join(part for part, _ in parts)
            todo.extend(n for _, more in parts for n in more)
        texts = [text, *(f"{name}={used[name]}" for name in sorted(used))]
        for file in sorted(imported):
            texts.extend(_texts_of_file(file, set()))
        return texts

    def whole(self) -> str:
        """The canonical text of the file."""
        return self._described(self._tree)[0]

    def files_imported(self, module: str) -> set[str]:
        """The files of the project's modules that this one imports."""
        return {file for entry in self._imports.values() for file in _files_of(entry, module)}

    def _take(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self._globals.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)):
                self._globals.setdefault(name, []).append(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._take_import(node)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for inner in ast.iter_child_nodes(node):
                if isinstance(inner, ast.stmt):
                    self._take(inner)

    def _take_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                entry = _Import(node.module or "", alias.name, node.level)
            else:
                entry = _Import(alias.name, "", 0)
            local = (alias.asname or alias.name).partition(".")[0]
            if not entry.level and (entry.module == "partita" or entry.module.startswith("partita.")):
                self._ours.add(local)
            else:
                self._imports[local] = entry

    def _described(self, node: ast.AST) -> tuple[str, frozenset[str]]:
        found = self._texts.get(id(node))
        if found is None:
            names: set[str] = set()
            into: list[str] = []
            self._dump(node, names, into)
            found = ("".join(into), frozenset(names))
            self._texts[id(node)] = found
        return found

    def _dump(self, node: ast.AST, names: set[str], into: list[str]) -> None:
        """Write the node's canonical text. Not `ast.dump`, whose form differs between versions of Python."""
        kind = type(node)
        if kind is ast.Name:
            names.add(node.id)  # type: ignore[attr-defined]
        into.append(kind.__name__ + "(")
        for field in node._fields:
            value = getattr(node, field, None)
            if value is None or field in _NO_CODE:
                continue
            if isinstance(value, ast.AST):
                self._dump(value, names, into)
            elif isinstance(value, list):
                if value:
                    self._dump_list(node, field, value, names, into)
            else:
                into.append(repr(value))
            into.append(",")
        into.append(")")

    def _dump_list(self, node: ast.AST, field: str, items: list[Any], names: set[str], into: list[str]) -> None:
        if field == "decorator_list":
            items = [d for d in items if not self._is_ours(d)]
        elif field == "body":
            items = _without_docstring(node, items)
        into.append("[")
        for item in items:
            if isinstance(item, ast.AST):
                self._dump(item, names, into)
            else:
                into.append(repr(item))
            into.append(";")
        into.append("]")

    def _is_ours(self, decorator: ast.expr) -> bool:
        root: ast.expr = decorator
        while isinstance(root, ast.Call | ast.Attribute):
            root = root.func if isinstance(root, ast.Call) else root.value
        return isinstance(root, ast.Name) and root.id in self._ours


_NO_CODE = frozenset({"ctx", "type_comment", "kind", "type_params"})
_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _functions_in(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function among statements, however deep; expressions hold none but lambdas."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        for block in _BLOCKS:
            inner = getattr(node, block, None)
            if inner:
                yield from _functions_in(inner)


_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def _without_docstring(node: ast.AST, body: list[Any]) -> list[Any]:
    if not isinstance(node, _DOCUMENTED) or not body:
        return body
    first = body[0]
    is_doc = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_doc else body


# --- the project's other modules ------------------------------------------------------------------------------------


def _files_of(entry: _Import, importer: str) -> list[str]:
    """The files of the project that an import reads; none for what is installed."""
    root = project_root.get()
    if not root:
        return []
    base = entry.module
    if entry.level:
        package = str(getattr(sys.modules.get(importer), "__package__", "") or "")
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - entry.level + 1], *([entry.module] if entry.module else [])])
    candidates = [f"{base}.{entry.name}", base] if entry.name else [base]
    for name in candidates:
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and file.startswith(root + os.sep) and "site-packages" not in file:
            return [file]
    return []


def _texts_of_file(file: str, seen: set[str]) -> list[str]:
    """The text of a module and of those that it imports, each once."""
    if file in seen:
        return []
    seen.add(file)
    source = _source_of(file)
    if source is None:
        return []
    module = next((n for n, m in list(sys.modules.items()) if getattr(m, "__file__", None) == file), "")
    texts = [source.whole()]
    for other in sorted(source.files_imported(module)):
        texts.extend(_texts_of_file(other, seen))
    return texts


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
    return repr((sys.version_info[:2], code.co_code.hex(), constants, code.co_names, code.co_varnames))


def _hash(parts: list[str]) -> str:
    return code_hash("\0".join(parts).encode("utf-8", "backslashreplace"))
