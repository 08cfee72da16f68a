"""`partita secrets`: their names, setting, removing and rotating. Nothing here shows a value.

Rule: a value comes from the terminal (unseen) or from stdin, never from the command line, which others can read.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import many
from partita.errors import DefinitionError
from partita.store import opening

if TYPE_CHECKING:
    from partita.settings import Settings
    from partita.store.access import SecretRow
    from partita.values.sealing import Keys

Name = Annotated[str, Argument("NAME", "The secret, such as WAREHOUSE_PASSWORD")]
Namespace = Annotated[str, Option(("--namespace",), "Of this namespace, else the project's", "NAME")]
# Shorter ones are found in too many lines that have nothing to do with them.
_SHORT = 6


def secrets(json: options.Json = False, folder: options.Project = None) -> int:
    """List the secrets that are kept here: names, and who set them when."""
    from partita.server import access_objects

    settings = project.settings_of(folder)
    rows = _rows(settings)
    if json:
        import msgspec

        terminal.print_json([msgspec.to_builtins(access_objects.secret_name(row)) for row in rows])
        return 0
    if not rows:
        terminal.note("no secret is kept here")
        terminal.hint("keep one: partita secrets set NAME")
        return 0
    columns = (Column("name", flexible=True), Column("namespace"), Column("set at"), Column("set by"))
    cells = [[row.name, row.namespace, access_objects.instant(row.at)[:19].replace("T", " "), row.by] for row in rows]
    print_table(terminal.out(), columns, cells)
    return 0


def secrets_set(name: Name, namespace: Namespace = "", folder: options.Project = None) -> int:
    """Keep a secret, sealed. The value is asked for, or read from stdin: partita secrets set NAME < file"""
    from partita.cli.changing import change, me
    from partita.define.secret import problem_of_name
    from partita.engine.access import ChangeSecrets
    from partita.values.sealing import KEY_VARIABLE, make_keys
    from partita.worker.secrets import problem_of_value

    settings = project.settings_of(folder)
    if problem := problem_of_name(name):
        raise DefinitionError(problem)
    value = asked_for(f"value of {name}: ")
    if problem := problem_of_value(value):
        raise DefinitionError(problem)
    where = namespace or namespace_of(settings)
    keys = make_keys(settings.home.key, os.environ.get(KEY_VARIABLE))
    sealed = keys.seal(where, name, value.encode("utf-8", "surrogateescape"))
    request = ChangeSecrets(((where, name, sealed),), keys.current, me())
    change(settings, request, "secrets.set", f"secret:{name}", where)
    terminal.out().line(("✓ ", "green"), f"secret {name} is kept for namespace {where}")
    if len(value) < _SHORT:
        terminal.hint("it is short: it will be masked wherever these characters stand")
    return 0


def secrets_remove(name: Name, namespace: Namespace = "", folder: options.Project = None) -> int:
    """Remove a secret: steps that ask for it from now on fail."""
    from partita.cli.changing import change, me
    from partita.engine.access import ChangeSecrets

    settings = project.settings_of(folder)
    where = namespace or namespace_of(settings)
    request = ChangeSecrets(((where, name, None),), "", me())
    if not change(settings, request, "secrets.remove", f"secret:{name}", where):
        raise DefinitionError(f"there is no secret {name} in namespace {where}", hint="partita secrets lists them")
    terminal.out().line(("✓ ", "green"), f"secret {name} of namespace {where} is removed")
    return 0


def secrets_rotate(folder: options.Project = None) -> int:
    """Make a new key, seal all secrets with it, and forget the old one. Steps go on meanwhile."""
    from partita.cli.changing import change, me
    from partita.engine.access import ChangeSecrets
    from partita.values.sealing import KEY_VARIABLE, make_keys, write_keys

    settings = project.settings_of(folder)
    if os.environ.get(KEY_VARIABLE):
        raise DefinitionError(
            f"the key is in {KEY_VARIABLE}, which only you can change",
            hint="put a new line (id, space, 32 bytes in base64) in front, and set each secret again",
        )
    # Both keys are there until all secrets are sealed with the new one: a crash in between loses nothing.
    keys = make_keys(settings.home.key).with_new()
    write_keys(settings.home.key, keys)
    count = 0
    # What others set meanwhile may still be sealed with the old key.
    while stale := [row for row in _rows(settings) if row.key_id != keys.current]:
        resealed = tuple((r.namespace, r.name, _resealed(keys, r)) for r in stale)
        change(settings, ChangeSecrets(resealed, keys.current, me()), "secrets.rotate", "secrets")
        count = max(count, len(stale))
    write_keys(settings.home.key, keys.only_current())
    terminal.out().line(("✓ ", "green"), f"{many(count, 'secret')} sealed with the new key {keys.current}")
    return 0


def namespace_of(settings: Settings) -> str:
    """The namespace that the project's pyproject.toml names."""
    from partita.define.project import read_config
    from partita.errors import LoadError

    try:
        return read_config(settings.project).namespace
    except LoadError:
        return settings.namespace


def asked_for(prompt: str) -> str:
    """What is typed unseen, or comes over stdin (without the newline at its end)."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(prompt)
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _resealed(keys: Keys, row: SecretRow) -> bytes:
    return keys.seal(row.namespace, row.name, keys.open(row.namespace, row.name, row.sealed, row.key_id))


def _rows(settings: Settings) -> list[SecretRow]:
    from partita.store.access import every_secret

    if not opening.exists(settings.home):
        return []
    reader = project.open_memory(settings)
    try:
        return list(every_secret(reader))
    finally:
        reader.close()
