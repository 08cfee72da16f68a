"""The HTTP API over the double of a Kubernetes cluster, as strict as a real server about what it is handed.

Bodies are validated against the published schemas (unknown fields are refused, as with `fieldValidation=Strict`), names by RFC 1123,
what must not change does not change, a second object of a name is a 409. Versions, watches with bookmarks and 410, lists in chunks,
tables for kubectl, logs that are followed.

Run by itself, for a look with kubectl:  python -m tests.executors.a_kubernetes_api
"""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import functools
import json
import re
import select
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import kubernetes_validate.utils as schemas
from referencing import Registry, Resource

from .a_kubernetes import Object, Refusal, World, quantity

VERSION = "1.31.0"
_KINDS = {
    "pods": "Pod",
    "namespaces": "Namespace",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "events": "Event",
    "serviceaccounts": "ServiceAccount",
    "jobs": "Job",
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PATH = re.compile(r"/(?:api|apis/batch)/v1(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?(?:/(log|status))?")


class Server:
    """The API on a free port of loopback, from `start` to `close`."""

    def __init__(self, world: World) -> None:
        self.world = world
        # Faults: so many of the next requests with this method and path fail with a code, or after having been carried out.
        self.failures: list[tuple[str, str, int]] = []
        self.requests: list[str] = []
        self.paused = threading.Event()
        self._http = _Http(("127.0.0.1", 0), functools.partial(_Handler, self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> Server:
        self._thread.start()
        return self

    def kubeconfig(self, path: Path, namespace: str = "pipelines") -> Path:
        """A configuration for clients of this server."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "clusters": [{"name": "double", "cluster": {"server": self.address}}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "namespace": namespace, "user": "me"}}],
            "users": [{"name": "me", "user": {}}],
        }
        path.write_text(json.dumps(config))
        return path

    def fail_next(self, method: str, path: str, code: int, times: int = 1) -> None:
        """Answer so with the next ones; a code of 0 carries the request out and then breaks the connection."""
        self.failures += [(method, path, code)] * times

    def close(self) -> None:
        self.world.close()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away when they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are written apart: together they would wait 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def __init__(self, server: Server, *rest: Any) -> None:
        self.api = server
        super().__init__(*rest)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        if self.api.world.closed:
            # A server that is gone answers nothing more, also not on connections that are open.
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length) if length else b""
        self.api.requests.append(f"{method} {url.path}")
        failure = self._failure(method, url.path)
        try:
            if failure is not None and failure >= 400:
                raise Refusal(failure, "InternalError", "the double was asked to fail")
            answer = self._route(method, url.path, query, data)
            if failure == 0:
                self.close_connection = True
                self.connection.close()
                return
            if answer is not None:
                self._send(201 if method == "POST" else 200, answer)
        except Refusal as refusal:
            self._send(refusal.status["code"], refusal.status)

    def _failure(self, method: str, path: str) -> int | None:
        for one in self.api.failures:
            if one[0] == method and re.fullmatch(one[1], path):
                self.api.failures.remove(one)
                return one[2]
        return None

    def _route(self, method: str, path: str, query: dict[str, str], data: bytes) -> Object | None:
        if method == "GET" and (found := _DISCOVERY.get(path)):
            return found
        match = _PATH.fullmatch(path)
        if match is None or match[2] not in _KINDS:
            # /namespaces/NAME itself reads like a kind below a namespace.
            if name := re.fullmatch(r"/api/v1/namespaces/([^/]+)", path):
                return self.api.world.get("Namespace", "", name[1])
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        namespace, kind, name, part = match[1] or "", _KINDS[match[2]], match[3], match[4]
        if kind == "Namespace" and name:
            namespace = ""
        if part == "log":
            return self._log(namespace, name, query)
        if method == "GET":
            return self._one(kind, namespace, name) if name else self._many(kind, namespace, query)
        return self._change(method, kind, namespace, name, query, data)

    # --- reading -------------------------------------------------------------------------------------------------------

    def _one(self, kind: str, namespace: str, name: str) -> Object:
        body = self.api.world.get(kind, namespace, name)
        return _table([body]) if self._wants_table(kind) else body

    def _many(self, kind: str, namespace: str, query: dict[str, str]) -> Object | None:
        if query.get("watch") in ("true", "1"):
            self._watch(kind, namespace, query)
            return None
        world = self.api.world
        found = [one for one in world.all(kind, namespace) if _selected(one, query)]
        start, limit = int(query.get("continue") or 0), int(query.get("limit") or 0)
        rest = found[start:]
        metadata = {"resourceVersion": str(world.version)}
        if limit and len(rest) > limit:
            rest = rest[:limit]
            metadata["continue"] = str(start + limit)
        if self._wants_table(kind):
            return {**_table(rest), "metadata": metadata}
        return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": rest}

    def _watch(self, kind: str, namespace: str, query: dict[str, str]) -> None:
        world = self.api.world
        until = time.monotonic() + float(query.get("timeoutSeconds") or 300)
        self._begin_chunks("application/json")
        since = int(query.get("resourceVersion") or 0)
        if since == 0:
            with world.changed:
                since = world.version
                now = [one for one in world.all(kind, namespace) if _selected(one, query)]
            for one in now:
                self._chunk({"type": "ADDED", "object": one})
        try:
            for event in world.events(kind, namespace, since, until):
                if event is not None and _selected(event[1], query):
                    self._chunk({"type": event[0], "object": event[1]})
                if time.monotonic() >= until:
                    break
                if self._gone_away():
                    return
            if query.get("allowWatchBookmarks"):
                bookmark = {"kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": str(world.version)}}
                self._chunk({"type": "BOOKMARK", "object": bookmark})
        except Refusal as refusal:
            self._chunk({"type": "ERROR", "object": refusal.status})
        self._chunk(None)

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> None:
        world = self.api.world
        pod = world.get("Pod", namespace, name)
        inits, mains = pod["spec"].get("initContainers", []), pod["spec"]["containers"]
        asked = query.get("container") or mains[0]["name"]
        if asked not in [one["name"] for one in (*inits, *mains)]:
            raise Refusal(400, "BadRequest", f"container {asked} is not valid for pod {name}")
        seconds = query.get("sinceSeconds")
        if seconds is not None and int(seconds) <= 0:
            raise Refusal(422, "Invalid", f"sinceSeconds: Invalid value: {seconds}: must be greater than 0")
        log = world.log(name, asked if inits else "")
        if not log.exists():
            statuses = (
                *(pod["status"].get("initContainerStatuses") or ()),
                *(pod["status"].get("containerStatuses") or ()),
            )
            state = next((one["state"] for one in statuses if one["name"] == asked), {})
            why = state.get("waiting", {}).get("reason", "ContainerCreating")
            raise Refusal(400, "BadRequest", f'container "{asked}" in pod "{name}" is waiting to start: {why}')
        at = log.stat().st_size
        lines = log.read_bytes()[:at].splitlines(keepends=True)
        if seconds:
            since = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(seconds))).isoformat()
            lines = [line for line in lines if line.decode(errors="replace")[:19] >= since[:19]]
        if tail := query.get("tailLines"):
            lines = lines[-int(tail) :]
        shown = query.get("timestamps") in ("true", "1")
        self._begin_chunks("text/plain")
        self._piece(_log_text(lines, shown))
        while query.get("follow") in ("true", "1") and not world.closed and not self._gone_away():
            ended = world.objects.get(("Pod", namespace, name), {}).get("status", {}).get("phase") != "Running"
            with log.open("rb") as file:
                file.seek(at)
                new = file.read()
            at += len(new)
            self._piece(_log_text(new.splitlines(keepends=True), shown))
            if ended and not new:
                break
            with world.changed:
                world.changed.wait(0.05)
        self._chunk(None)

    # --- writing -------------------------------------------------------------------------------------------------------

    def _change(
        self, method: str, kind: str, namespace: str, name: str | None, query: dict[str, str], data: bytes
    ) -> Object:
        world = self.api.world
        body = _decoded(data)
        if method == "DELETE" and name:
            options = query.get("gracePeriodSeconds") or body.get("gracePeriodSeconds")
            if kind == "Pod":
                return world.delete(namespace, name, None if options is None else int(options))
            gone = world.get(kind, namespace, name)
            world.remove(kind, namespace, name)
            return gone
        if method == "POST" and not name:
            return self._create(kind, namespace, query, body)
        if method in ("PUT", "PATCH") and name:
            known = world.get(kind, namespace, name)
            new = _merged(known, body) if method == "PATCH" else body
            version = new["metadata"].get("resourceVersion")
            if version and version != known["metadata"]["resourceVersion"]:
                words = f'Operation cannot be fulfilled on {kind.lower()}s "{name}": the object has been modified'
                raise Refusal(409, "Conflict", words)
            _validate(new)
            _unchanged(kind, known, new)
            return world.put(kind, namespace, name, new)
        raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _create(self, kind: str, namespace: str, query: dict[str, str], body: Object) -> Object:
        world = self.api.world
        _validate(body)
        metadata = body.setdefault("metadata", {})
        if body.get("kind") != kind:
            raise Refusal(400, "BadRequest", f"{body.get('kind')} in the path of {kind}")
        if metadata.setdefault("namespace", namespace) != namespace:
            raise Refusal(
                400,
                "BadRequest",
                "the namespace of the provided object does not match the namespace sent on the request",
            )
        if metadata.get("resourceVersion"):
            raise Refusal(400, "BadRequest", "resourceVersion should not be set on objects to be created")
        with world.changed:
            if ("Namespace", "", namespace) not in world.objects:
                raise Refusal(
                    404, "NotFound", f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"}
                )
            if (kind, namespace, metadata["name"]) in world.objects:
                plural = f"{kind.lower()}s"
                raise Refusal(409, "AlreadyExists", f'{plural} "{metadata["name"]}" already exists', {"kind": plural})
            if kind == "Pod":
                self._admit(namespace, body)
                if "dryRun" in query:
                    return body
                body["status"] = {"phase": "Pending", "qosClass": "Burstable"}
            made = world.put(kind, namespace, metadata["name"], body)
        if kind == "Pod":
            world.begin(made)
        return copy.deepcopy(made)

    def _admit(self, namespace: str, pod: Object) -> None:
        world, name = self.api.world, pod["metadata"]["name"]
        for owner in pod["metadata"].get("ownerReferences") or []:
            there = world.objects.get((owner["kind"], namespace, owner["name"]))
            if there is None or there["metadata"]["uid"] != owner["uid"]:
                # A server takes it, and collects it at once: here it is said.
                raise _invalid(pod, "metadata.ownerReferences", f"{owner['kind']} {owner['name']} is not there")
        account = pod["spec"].setdefault("serviceAccountName", "default")
        if ("ServiceAccount", namespace, account) not in world.objects:
            words = f'pods "{name}" is forbidden: error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise Refusal(403, "Forbidden", words)
        living = [
            one for one in world.all("Pod", namespace) if one["status"]["phase"] not in ("Succeeded", "Failed")
        ] if world.quota is not None else []  # fmt: skip
        if world.quota is not None and len(living) >= world.quota:
            words = f'pods "{name}" is forbidden: exceeded quota: pods, requested: pods=1, used: pods={len(living)}, limited: pods={world.quota}'
            raise Refusal(403, "Forbidden", words)

    # --- bytes ---------------------------------------------------------------------------------------------------------

    def _wants_table(self, kind: str) -> bool:
        return kind == "Pod" and "as=Table" in (self.headers.get("Accept") or "")

    def _send(self, code: int, body: Object) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin_chunks(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, body: Object | None) -> None:
        if body is None:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self._piece(json.dumps(body).encode() + b"\n")

    def _piece(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _gone_away(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable)


def _decoded(data: bytes) -> Object:
    try:
        body = json.loads(data or b"{}")
    except ValueError as error:
        raise Refusal(400, "BadRequest", f"the object provided is unrecognized: {error}") from None
    if not isinstance(body, dict):
        raise Refusal(400, "BadRequest", "the object provided is unrecognized")
    return body


@functools.cache
def _validator(kind: str, api: str) -> jsonschema.Draft202012Validator:
    folder = f"kubernetes-json-schema/v{VERSION}-local-strict"
    schema = schemas.schema_contents(f"{folder}/{kind.lower()}-{api.replace('/', '-')}.json", VERSION)
    definitions = schemas.schema_contents(f"{folder}/_definitions.json", VERSION)
    registry = Resource.from_contents(definitions) @ (Resource.from_contents(schema) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


def _validate(body: Object) -> None:
    kind, api = str(body.get("kind")), str(body.get("apiVersion"))
    try:
        validator = _validator(kind, api)
    except (OSError, KeyError):
        raise Refusal(400, "BadRequest", f'no kind "{kind}" is registered for version "{api}"') from None
    for error in validator.iter_errors(body):
        where = ".".join(str(part) for part in error.absolute_path)
        if error.validator == "additionalProperties":
            unknown = ", ".join(
                f'unknown field "{where}.{one}"' for one in re.findall(r"'(\w+)' (?:was|were)", error.message)
            )
            raise Refusal(400, "BadRequest", f"strict decoding error: {unknown or error.message}")
        if error.validator == "required":
            raise _invalid(body, where, f"Required value: {error.message}")
        raise Refusal(
            400, "BadRequest", f"{kind} in version {api!r} cannot be handled as a {kind}: {where}: {error.message}"
        )
    _validate_metadata(body)
    if kind == "Pod":
        _validate_pod(body)


def _validate_metadata(body: Object) -> None:
    metadata = body.get("metadata") or {}
    name = metadata.get("name") or ""
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise _invalid(
            body,
            "metadata.name",
            f'Invalid value: "{name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters',
        )
    for key, value in (metadata.get("labels") or {}).items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise _invalid(
                body,
                "metadata.labels",
                f'Invalid value: "{key}={value}": a valid label must be an empty string or consist of alphanumeric characters',
            )
    for key in metadata.get("annotations") or {}:
        if not _LABEL_KEY.fullmatch(key):
            raise _invalid(body, "metadata.annotations", f'Invalid value: "{key}"')


def _validate_pod(pod: Object) -> None:
    spec = pod["spec"]
    if spec.get("restartPolicy", "Always") not in ("Always", "OnFailure", "Never"):
        raise _invalid(pod, "spec.restartPolicy", f'Unsupported value: "{spec["restartPolicy"]}"')
    for field in ("activeDeadlineSeconds", "terminationGracePeriodSeconds"):
        if field in spec and not 0 < spec[field] < 1 << 31:
            raise _invalid(pod, f"spec.{field}", f"Invalid value: {spec[field]}: must be between 1 and 2147483647")
    volumes = [one["name"] for one in spec.get("volumes") or []]
    if len(set(volumes)) != len(volumes):
        raise _invalid(pod, "spec.volumes", "Duplicate value")
    for path, container in _containers(pod):
        if not container.get("image"):
            raise _invalid(pod, f"{path}.image", "Required value")
        for one in container.get("env") or []:
            if not re.fullmatch(r"[-._a-zA-Z][-._a-zA-Z0-9]*", one["name"]):
                raise _invalid(pod, f"{path}.env.name", f'Invalid value: "{one["name"]}"')
        for mount in container.get("volumeMounts") or []:
            if mount["name"] not in volumes:
                raise _invalid(pod, f"{path}.volumeMounts.name", f'Not found: "{mount["name"]}"')
            part = mount.get("subPath", "")
            if part.startswith("/") or ".." in part.split("/"):
                raise _invalid(pod, f"{path}.volumeMounts.subPath", f'Invalid value: "{part}": must be a relative path')
        places = [mount["mountPath"] for mount in container.get("volumeMounts") or []]
        if len(set(places)) != len(places):
            raise _invalid(pod, f"{path}.volumeMounts.mountPath", "Invalid value: must be unique")
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for name, asked in (resources.get("requests") or {}).items():
            if name in limits and quantity(asked) > quantity(limits[name]):
                raise _invalid(
                    pod,
                    f"{path}.resources.requests",
                    f'Invalid value: "{asked}": must be less than or equal to {name} limit',
                )
            if "/" in name and limits.get(name) != asked:
                raise _invalid(
                    pod,
                    f"{path}.resources.limits",
                    f"Required value: limit must be set for non overcommitable resource {name}",
                )


def _containers(pod: Object) -> Iterator[tuple[str, Object]]:
    """All of a pod, each with its path; a name is there once."""
    names: set[str] = set()
    for key in ("initContainers", "containers"):
        for no, container in enumerate(pod["spec"].get(key) or []):
            path = f"spec.{key}[{no}]"
            if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", container["name"]):
                raise _invalid(pod, f"{path}.name", f'Invalid value: "{container["name"]}": a lowercase RFC 1123 label')
            if container["name"] in names:
                raise _invalid(pod, f"{path}.name", f'Duplicate value: "{container["name"]}"')
            names.add(container["name"])
            if container.get("restartPolicy") or (key == "containers" and no > 0):
                raise Refusal(501, "NotImplemented", "the double runs one container after the other")
            yield path, container


def _log_text(lines: list[bytes], shown: bool) -> bytes:
    """Lines of a log as they are asked for: with the instant of each, or without."""
    return b"".join(lines if shown else (line.partition(b" ")[2] for line in lines))


def _invalid(body: Object, where: str, why: str) -> Refusal:
    kind, name = body.get("kind"), (body.get("metadata") or {}).get("name") or ""
    details = {"name": name, "kind": kind, "causes": [{"reason": "FieldValueInvalid", "message": why, "field": where}]}
    return Refusal(422, "Invalid", f'{kind} "{name}" is invalid: {where}: {why}', details)


def _unchanged(kind: str, known: Object, new: Object) -> None:
    if kind != "Pod":
        return
    before, after = copy.deepcopy(known["spec"]), copy.deepcopy(new["spec"])
    for spec in (before, after):
        spec.pop("activeDeadlineSeconds", None)
        spec.pop("tolerations", None)
        for container in spec["containers"]:
            container.pop("image", None)
    if before != after:
        raise _invalid(
            new,
            "spec",
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, `spec.tolerations`",
        )


def _merged(known: Any, patch: Any) -> Any:
    if isinstance(known, dict) and isinstance(patch, dict):
        found = dict(known)
        for key, value in patch.items():
            if value is None:
                found.pop(key, None)
            elif not key.startswith("$"):
                found[key] = _merged(known.get(key), value)
        return found
    if (
        isinstance(known, list)
        and isinstance(patch, list)
        and all(isinstance(one, dict) and "name" in one for one in patch)
    ):
        by_name = {one["name"]: one for one in known}
        return list((by_name | {one["name"]: _merged(by_name.get(one["name"], {}), one) for one in patch}).values())
    return patch


def _selected(body: Object, query: dict[str, str]) -> bool:
    labels = body["metadata"].get("labels") or {}
    for part in filter(None, (query.get("labelSelector") or "").split(",")):
        key, _, value = part.replace("==", "=").partition("=")
        if labels.get(key) != value:
            return False
    for part in filter(None, (query.get("fieldSelector") or "").split(",")):
        key, _, value = part.replace("==", "=").partition("=")
        found: Any = body
        for step in key.split("."):
            found = found.get(step, "") if isinstance(found, dict) else ""
        if found != value:
            return False
    return True


def _table(pods: list[Object]) -> Object:
    columns = [
        ("Name", "string"),
        ("Ready", "string"),
        ("Status", "string"),
        ("Restarts", "integer"),
        ("Age", "string"),
    ]
    rows = []
    for pod in pods:
        state = (pod["status"].get("containerStatuses") or [{}])[0].get("state") or {}
        reason = pod["status"].get("reason") or next(
            (one.get("reason") for one in state.values() if one.get("reason")), None
        )
        shown = "Terminating" if pod["metadata"].get("deletionTimestamp") else reason or pod["status"]["phase"]
        cells = [pod["metadata"]["name"], f"{int('running' in state)}/1", shown, 0, "1s"]
        rows.append(
            {
                "cells": cells,
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": pod["metadata"],
                },
            }
        )
    definitions = [
        {"name": name, "type": kind, "format": "", "description": "", "priority": 0} for name, kind in columns
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _resources(group: str, *plurals: str) -> Object:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    listed = [
        {"name": one, "singularName": one[:-1], "namespaced": one != "namespaces", "kind": _KINDS[one], "verbs": verbs, "shortNames": {"pods": ["po"]}.get(one, [])}
        for one in plurals
    ]  # fmt: skip
    if "pods" in plurals:
        listed.append(
            {
                "name": "pods/log",
                "singularName": "",
                "namespaced": True,
                "kind": "Pod",
                "verbs": ["get"],
                "shortNames": [],
            }
        )
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": listed}


def _openapi() -> Object:
    """As much as kubectl asks for before it leaves the validation to the server."""
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    operation = {
        "parameters": parameters,
        "x-kubernetes-group-version-kind": {"group": "", "version": "v1", "kind": "Pod"},
        "responses": {},
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes (double)", "version": VERSION},
        "paths": {"/api/v1/namespaces/{namespace}/pods/{name}": {"patch": operation}},
    }


_BATCH: Object = {"groupVersion": "batch/v1", "version": "v1"}
_DISCOVERY: dict[str, Object] = {
    "/version": {"major": "1", "minor": "31", "gitVersion": f"v{VERSION}", "gitCommit": "double", "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.23", "compiler": "gc", "platform": "linux/amd64"},
    "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH}]},
    "/api/v1": _resources("v1", "pods", "namespaces", "secrets", "configmaps", "events", "serviceaccounts"),
    "/openapi/v3": {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}},
    "/openapi/v3/api/v1": _openapi(),
    "/apis/batch/v1": _resources("batch/v1", "jobs"),
}  # fmt: skip


@contextlib.contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """A double that is up."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(World(folder, **options)).start()
    try:
        yield server
    finally:
        server.close()


if __name__ == "__main__":
    with serving(Path(tempfile.mkdtemp(prefix="partita-double-"))) as server:
        print(f"kubectl --kubeconfig {server.kubeconfig(server.world.folder / 'config')} get pods")
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
