"""Secrets: their names, and setting and removing them. There is no way to read one.

Rule: a value comes in, is sealed in this very request, and goes nowhere else: not into the audit, not into an answer.
"""

from __future__ import annotations

import os
from typing import Annotated

import msgspec

from partita.define.secret import problem_of_name
from partita.engine.access import ChangeSecrets, Done
from partita.server import access_objects
from partita.server.calling import Call, Cursor, Limit
from partita.server.objects import Page
from partita.server.problems import Refused, not_found
from partita.server.routing import route
from partita.store import access
from partita.values.sealing import KEY_VARIABLE, make_keys
from partita.worker.secrets import problem_of_value

_SecretName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Namespace = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_EXAMPLE = {
    "name": "WAREHOUSE_PASSWORD",
    "namespace": "sales",
    "changed_at": "2026-11-02T03:00:00.000Z",
    "changed_by": "ann",
}


class SecretValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value to keep."""

    value: Annotated[str, msgspec.Meta(min_length=1, max_length=64 << 10)]

    def __repr__(self) -> str:
        return "SecretValue(...)"


@route("GET", "/secrets", permission="view", summary="Names of secrets", errors=(401,), example={"items": [_EXAMPLE]})
def many(call: Call, cursor: Cursor = "", limit: Limit = 50) -> Page[access_objects.SecretName]:
    """Names, and who set them when."""
    return call.page(
        lambda after, count: access.secrets(call.reader, after=after or ("", ""), limit=count),
        cursor=cursor,
        limit=limit,
        key=lambda row: (row.namespace, row.name),
        shown=access_objects.secret_name,
        namespace_of=lambda row: row.namespace,
        key_type=tuple[str, str],
    )


@route(
    "PUT",
    "/secrets/{namespace}/{secret}",
    permission="admin",
    summary="Set a secret",
    errors=(401, 403, 404, 422),
    body_example={"value": "correct horse battery"},
    example=_EXAMPLE,
)
def put(call: Call, namespace: _Namespace, secret: _SecretName, body: SecretValue) -> access_objects.SecretName:
    """Keep a value, sealed. Steps that ask for it from now on get this one."""
    call.require(namespace, "secret", secret)
    if problem := problem_of_name(secret) or problem_of_value(body.value):
        raise Refused(422, problem)
    keys = make_keys(call.settings.home.key, os.environ.get(KEY_VARIABLE))
    sealed = keys.seal(namespace, secret, body.value.encode())
    change = ChangeSecrets(((namespace, secret, sealed),), keys.current, call.principal.name)
    call.change(change, Done, namespace=namespace, object=f"secret:{secret}")
    row = access.secret(call.reader, namespace, secret)
    assert row is not None
    return access_objects.secret_name(row)


@route(
    "DELETE",
    "/secrets/{namespace}/{secret}",
    permission="admin",
    summary="Remove a secret",
    errors=(401, 403, 404),
    example=_EXAMPLE,
)
def remove(call: Call, namespace: _Namespace, secret: _SecretName) -> access_objects.SecretName:
    """Steps that ask for it from now on fail."""
    call.require(namespace, "secret", secret)
    row = access.secret(call.reader, namespace, secret)
    if row is None:
        raise not_found("secret", secret)
    change = ChangeSecrets(((namespace, secret, None),), "", call.principal.name)
    call.change(change, Done, namespace=namespace, object=f"secret:{secret}")
    return access_objects.secret_name(row)
