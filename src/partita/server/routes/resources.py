"""Resources that projects declare, and testing one in a worker's process.

Rule: the server knows their names and schemas; what they hold is known to workers only.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from partita.core.manifest import Manifest, ResourceSpec
from partita.engine.resources import Tested, TestResource
from partita.server import access_objects
from partita.server.calling import Call, Cursor, Limit, page_of
from partita.server.objects import Page
from partita.server.problems import Refused, not_found
from partita.server.routing import route

_ResourceName = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
_EXAMPLE = {
    "name": "warehouse",
    "of": "Warehouse",
    "project": "shop",
    "namespace": "default",
    "description": "Where the reports read from",
    "secrets": ["WAREHOUSE_PASSWORD"],
    "can_test": True,
    "schema": {"type": "object", "properties": {"url": {"type": "string"}}},
    "written_at": "pipelines.py:4",
}


@route("GET", "/resources", permission="view", summary="Resources", errors=(401,), example={"items": [_EXAMPLE]})
def many(call: Call, cursor: Cursor = "", limit: Limit = 50) -> Page[access_objects.Resource]:
    """What the projects declare."""
    manifests = call.visible(call.catalog.manifests.values(), lambda manifest: manifest.namespace)
    found = [access_objects.resource(m, spec) for m in manifests for spec in m.resources]
    return page_of(sorted(found, key=lambda r: (r.name, r.project)), cursor, limit)


@route("GET", "/resources/{resource}", permission="view", summary="A resource", errors=(401, 404), example=_EXAMPLE)
def one(call: Call, resource: _ResourceName) -> access_objects.Resource:
    """One resource, by its name or "project/name"."""
    return access_objects.resource(*_found(call, resource))


@route(
    "POST",
    "/resources/{resource}/test",
    permission="secret.use",
    summary="Try whether a resource works",
    errors=(401, 403, 404, 409, 503),
    example={"name": "warehouse", "works": True, "message": "PostgreSQL 18.1"},
)
def test(call: Call, resource: _ResourceName) -> access_objects.ResourceTest:
    """Run its `test()` in a process of its project, and say how it went."""
    manifest, spec = _found(call, resource)
    if not spec.can_test:
        raise Refused(409, f"resource {spec.name!r} has no test", hint="give its class a method `test`")
    tested = call.change(
        TestResource(manifest.project, spec.name), Tested, namespace=manifest.namespace, object=f"resource:{spec.name}"
    )
    return access_objects.ResourceTest(spec.name, tested.works, tested.message)


def _found(call: Call, name: str) -> tuple[Manifest, ResourceSpec]:
    project, _, bare = name.rpartition("/")
    for manifest in call.catalog.manifests.values():
        for spec in manifest.resources:
            if spec.name == bare and project in ("", manifest.project) and call.sees(manifest.namespace, "view"):
                call.require(manifest.namespace, "resource", name)
                return manifest, spec
    raise not_found("resource", name)
