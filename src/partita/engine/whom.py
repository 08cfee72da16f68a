"""Which scheduler a request is for, where namespaces have schedulers of their own; and what several answers make together.

A request is for the namespace that it names, or for that of the run, the project, the pipeline or the backfill that it names.
What belongs to no namespace is for the scheduler of all others.

Rule: asking only. While nothing was given out, nothing is looked up.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from partita.engine.control import Answer, tag_of
from partita.engine.pulse import Pulse
from partita.store import backfills, messages, versions
from partita.store.reading import SqlReader

# Users, tokens, secrets, answers that are kept, keeping house.
_OF_NOBODY: Final = frozenset(
    {
        "set_user", "issue_token", "revoke_token", "open_session", "exchange_link", "sign_in_elsewhere", "change_secrets", "note",
        "keep_answer", "vacuum", "tidy_now",
    }
)  # fmt: skip
# Answered by all of them together.
_OF_ALL: Final = frozenset(
    {"status", "take_pulse", "ask_places", "list_limits", "sensors_now", "reload", "look_around"}
)


def whom(reader: SqlReader, request: msgspec.Struct) -> list[str]:
    """The namespaces whose schedulers are to be asked; "" = that of all others."""
    given_out = reader.given_out()
    if not given_out:
        return [""]
    tag, fields = tag_of(type(request)), msgspec.to_builtins(request, builtin_types=(bytes,))
    if tag == "carried":
        tag, inner = fields["request"], msgspec.msgpack.decode(fields["body"])
        fields = {**fields, **inner}
    if tag in _OF_NOBODY:
        return [""]
    found = _namespace(reader, fields)
    if found is None:
        return ["", *sorted(given_out)] if tag in _OF_ALL else [""]
    return [found if found in given_out else ""]


def together(answers: Sequence[Any]) -> Any:
    """One answer of those of several schedulers."""
    first = answers[0]
    if len(answers) == 1:
        return first
    if isinstance(first, Answer):
        return Answer(
            any(a.found for a in answers),
            next((a.explanation for a in answers if a.explanation is not None), None),
            tuple(line for a in answers for line in a.lines),
        )
    if isinstance(first, Pulse):
        summed = {name: sum(getattr(a, name) for a in answers) for name in Pulse.__struct_fields__}
        summed["slowest_s"] = max(a.slowest_s for a in answers)
        return Pulse(**{**summed, "blocked": bool(summed["blocked"])})
    return type(first)(row for a in answers for row in a)


def _namespace(reader: SqlReader, fields: Mapping[str, Any]) -> str | None:
    """The namespace that the fields of a request name; None if they name none."""
    for name, look in _LOOK.items():
        value = fields.get(name)
        if value and (found := look(reader, value)) is not None:
            return found
    return None


def _of_run(reader: SqlReader, run: str) -> str | None:
    row = reader.run(run)
    return row.namespace if row is not None else None


def _of_token(reader: SqlReader, token: str) -> str | None:
    """That of the run of a gate: whether the token is genuine is the scheduler's to see."""
    head = token.partition("_")[2].partition(".")[0]
    try:
        run, _, _ = msgspec.msgpack.decode(
            base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)), type=tuple[str, str, str]
        )
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None
    return _of_run(reader, run)


def _of_project(reader: SqlReader, project: str) -> str | None:
    row = versions.project(reader, project)
    return row.namespace if row is not None else None


def _of_target(reader: SqlReader, target: str) -> str | None:
    """That of the project which has a pipeline or asset of this name, or is named before the slash."""
    head, _, bare = target.rpartition("/")
    for manifest in reader.manifests():
        named = {p.name for p in manifest.pipelines} | {a.name for a in manifest.assets if not a.external}
        if target in named or (head == manifest.project and bare):
            return manifest.namespace
    return None


def _of_spec(reader: SqlReader, spec: Mapping[str, Any]) -> str | None:
    return _of_target(reader, spec["target"])


def _of_backfill(reader: SqlReader, name: str) -> str | None:
    row = backfills.backfill(reader, name)
    return row.namespace if row is not None else None


def _of_message(reader: SqlReader, key: str) -> str | None:
    row = messages.message(reader, key)
    return row.namespace if row is not None else None


# In this order: what names a thing goes before what may only belong to it.
_LOOK: Final[dict[str, Callable[[SqlReader, Any], str | None]]] = {
    "namespace": lambda reader, namespace: namespace,
    "run": _of_run,
    "token": _of_token,
    "project": _of_project,
    "target": _of_target,
    "asset": _of_target,
    "spec": _of_spec,
    "id": _of_backfill,
    "key": _of_message,
}
