"""A double of a Kubernetes cluster: objects with versions, watches, a scheduler, and a kubelet that runs pods as local processes.

It is a double and no cluster: no images, no network, no isolation; a container's command is started on this machine, as it is but for
paths of `emptyDir` volumes, which are folders of the double and are replaced by them in the command. Init containers run one after the
other. What it is strict about is what clients get wrong: see a_kubernetes_api.py for the API over it.

Rule: faults are asked for by name (`World.stale_lists`, `evict` ...); without them it behaves.
"""

from __future__ import annotations

import bisect
import contextlib
import copy
import datetime as dt
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .left import MARK

Object = dict[str, Any]
Key = tuple[str, str, str]


class Refusal(Exception):
    """An answer of the API that is no success, as its `Status`."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
            **({"details": details} if details else {}),
        }


@dataclass
class Node:
    name: str
    cpu: float = 8.0
    memory: int = 16 << 30
    labels: dict[str, str] = field(default_factory=dict)
    extended: dict[str, int] = field(default_factory=dict)


class World:
    """All that is in the cluster. Any thread."""

    def __init__(self, folder: Path, *, perform: Callable[[Object], int | None] | None = None) -> None:
        self.folder = folder
        self.nodes = [Node("node-1"), Node("node-2", labels={"disk": "ssd"})]
        # In the place of processes, for many pods at once: the exit code, or None = runs until it is deleted.
        self.perform = perform
        self.changed = threading.Condition(threading.RLock())
        self.objects: dict[Key, Object] = {}
        self.version = 1000
        self.history: list[tuple[int, str, str, Object]] = []
        self.compacted = 0
        self.closed = False
        # Faults.
        self.bad_images: set[str] = {"registry.example/missing:1"}
        self.stale_lists = 0
        self.silent_watches = False
        self.quota: int | None = None
        self.starts: dict[str, int] = {}
        self._stale: tuple[int, list[Object]] | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._fates: dict[str, tuple[str, str, str]] = {}
        self._threads: list[threading.Thread] = []
        for name in ("default", "pipelines"):
            self.put("Namespace", "", name, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            self.put("ServiceAccount", name, "default", {"metadata": {"name": "default", "namespace": name}})

    # --- objects -------------------------------------------------------------------------------------------------------

    def put(self, kind: str, namespace: str, name: str, body: Object, change: str = "") -> Object:
        """Write an object; everybody who watches hears of it."""
        with self.changed:
            known = (kind, namespace, name) in self.objects
            self.version += 1
            body = copy.deepcopy(body)
            metadata = body.setdefault("metadata", {})
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", now())
            metadata["resourceVersion"] = str(self.version)
            self.objects[kind, namespace, name] = body
            self.history.append((self.version, kind, change or ("MODIFIED" if known else "ADDED"), body))
            self.changed.notify_all()
            return body

    def get(self, kind: str, namespace: str, name: str) -> Object:
        with self.changed:
            try:
                return copy.deepcopy(self.objects[kind, namespace, name])
            except KeyError:
                plural = f"{kind.lower()}s"
                details = {"name": name, "kind": plural}
                raise Refusal(404, "NotFound", f'{plural} "{name}" not found', details) from None

    def all(self, kind: str, namespace: str = "") -> list[Object]:
        """As a list gives them: with `stale_lists`, so many lists are of an earlier time."""
        with self.changed:
            found = [
                copy.deepcopy(one)
                for (a, b, _), one in sorted(self.objects.items(), key=lambda item: item[0])
                if a == kind and (not namespace or b == namespace)
            ]
            if kind == "Pod" and self.stale_lists > 0:
                self.stale_lists -= 1
                return copy.deepcopy(self._stale[1]) if self._stale else []
            if kind == "Pod":
                self._stale = (self.version, found)
            return found

    def remove(self, kind: str, namespace: str, name: str) -> None:
        with self.changed:
            body = self.objects.pop((kind, namespace, name), None)
            if body is not None:
                self.version += 1
                body = copy.deepcopy(body)
                body["metadata"]["resourceVersion"] = str(self.version)
                self.history.append((self.version, kind, "DELETED", body))
                self.changed.notify_all()
                self._collect(namespace, body["metadata"]["uid"])

    def _collect(self, namespace: str, owner: str) -> None:
        """What belonged to an object that is gone is deleted."""
        pods = [one for (kind, where, _), one in self.objects.items() if (kind, where) == ("Pod", namespace)]
        for pod in pods if not self.closed else ():
            if any(one["uid"] == owner for one in pod["metadata"].get("ownerReferences", ())):
                self.delete(namespace, pod["metadata"]["name"], None)

    def events(self, kind: str, namespace: str, since: int, until: float) -> Iterator[tuple[str, Object] | None]:
        """Changes after a version, None now and then. Raises `Refusal` 410 when that is too old to be known."""
        while not self.closed:
            with self.changed:
                if since < self.compacted:
                    raise Refusal(410, "Expired", f"too old resource version: {since} ({self.compacted})")
                behind = bisect.bisect_right(self.history, since, key=lambda one: one[0])
                new = [] if self.silent_watches else self.history[behind:]
                if not new:
                    if time.monotonic() >= until or not self.changed.wait(0.1):
                        yield None
                    continue
                since = self.version
            for _, a, change, body in new:
                if a == kind and (not namespace or body["metadata"].get("namespace") == namespace):
                    yield change, copy.deepcopy(body)

    def compact(self) -> None:
        """Forget the past, as etcd does: watches that are behind are told 410."""
        with self.changed:
            self.version += 1
            self.history.clear()
            self.compacted = self.version
            self.changed.notify_all()

    # --- pods ----------------------------------------------------------------------------------------------------------

    def begin(self, pod: Object) -> None:
        """A pod was created: schedule and run it."""
        thread = threading.Thread(target=self._kubelet, args=(_key(pod),), daemon=True)
        self._threads.append(thread)
        thread.start()

    def delete(self, namespace: str, name: str, grace_s: int | None) -> Object:
        """Somebody deletes a pod: SIGTERM, and after the grace SIGKILL; with 0 it is gone at once, whatever runs."""
        with self.changed:
            pod = self.get("Pod", namespace, name)
            grace = pod["spec"].get("terminationGracePeriodSeconds", 30) if grace_s is None else grace_s
            if not pod["spec"].get("nodeName") or pod["status"]["phase"] in ("Succeeded", "Failed") or grace == 0:
                self.remove("Pod", namespace, name)
                self._signal(name, signal.SIGKILL)
                return pod
            pod["metadata"]["deletionTimestamp"] = now(grace)
            pod["metadata"]["deletionGracePeriodSeconds"] = grace
            pod = self.put("Pod", namespace, name, pod)
            self._signal(name, signal.SIGTERM)
            return pod

    def evict(self, namespace: str, name: str, message: str = "The node was low on resource: memory.") -> None:
        self._end_by("Evicted", message, "TerminationByKubelet", namespace, name)

    def kill_for_memory(self, namespace: str, name: str) -> None:
        self._end_by("OOMKilled", "", "", namespace, name)

    def lose_node(self, node: str) -> None:
        """A node stops: what ran there is gone, and nobody tells; after a while its pods are marked as deleted."""
        with self.changed:
            for pod in self.all("Pod"):
                if pod["spec"].get("nodeName") == node:
                    self._fates[pod["metadata"]["name"]] = ("lost", "", "")
                    self._signal(pod["metadata"]["name"], signal.SIGKILL)
                    _condition(
                        pod, "DisruptionTarget", "True", "DeletionByTaintManager", "node.kubernetes.io/unreachable"
                    )
                    pod["metadata"] |= {"deletionTimestamp": now(-120), "deletionGracePeriodSeconds": 30}
                    self.put("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], pod)

    def adopt(self, namespace: str, name: str) -> None:
        """A controller takes the pod for its own."""
        pod = self.get("Pod", namespace, name)
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "web",
            "uid": str(uuid.uuid4()),
            "controller": True,
        }
        pod["metadata"]["ownerReferences"] = [owner]
        self.put("Pod", namespace, name, pod)

    def log(self, name: str, container: str = "") -> Path:
        """The log of a container (of the only one), each line after its instant, as a node keeps it."""
        return self.folder / (f"{name}.{container}.log" if container else f"{name}.log")

    def close(self) -> None:
        self.closed = True
        with self.changed:
            for name in list(self._processes):
                self._signal(name, signal.SIGKILL)
            self.objects.clear()
            self.changed.notify_all()
        for thread in self._threads:
            thread.join(5)

    def _end_by(self, reason: str, message: str, disruption: str, namespace: str, name: str) -> None:
        with self.changed:
            self.get("Pod", namespace, name)
            self._fates[name] = (reason, message, disruption)
            self._signal(name, signal.SIGKILL)
            self.changed.notify_all()

    def _signal(self, name: str, number: int) -> None:
        process = self._processes.get(name)
        if process is not None and process.poll() is None:
            if number == signal.SIGKILL:
                # Of a container everything ends, not its first process alone.
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    def _kubelet(self, key: Key) -> None:
        if not self._schedule(key):
            return
        pod = self.objects.get(key)
        if pod is None:
            return
        self.starts[key[2]] = self.starts.get(key[2], 0) + 1
        inits = pod["spec"].get("initContainers", [])
        for container in (*inits, pod["spec"]["containers"][0]):
            if not self._prepare(key, container):
                return
            pod = self.objects.get(key)
            if pod is None:
                return
            is_init = container in inits
            if self.perform is None:
                code = self._perform(key, pod, container, is_init)
            else:
                code = self._pretend(key, pod, container)
            if code is None:
                return
            if self._ended(key, code, container, is_init):
                return

    def _schedule(self, key: Key) -> bool:
        while not self.closed:
            with self.changed:
                pod = self.objects.get(key)
                if pod is None:
                    return False
                for node in self.nodes:
                    if not (why := _misfit(pod, node)):
                        pod = copy.deepcopy(pod)
                        pod["spec"]["nodeName"] = node.name
                        _condition(pod, "PodScheduled", "True", "", "")
                        self.put(*key, pod)
                        return True
                if not any(one["type"] == "PodScheduled" for one in pod["status"].get("conditions", [])):
                    pod = copy.deepcopy(pod)
                    words = f"0/{len(self.nodes)} nodes are available: {why}."
                    _condition(pod, "PodScheduled", "False", "Unschedulable", words)
                    self.put(*key, pod)
                self.changed.wait(0.2)
        return False

    def _prepare(self, key: Key, container: Object) -> bool:
        """Image and references; False when the pod is gone before."""
        told = ""
        while not self.closed:
            with self.changed:
                pod = self.objects.get(key)
                if pod is None:
                    return False
                reason, message = self._hindrance(pod, container)
                if not reason:
                    return True
                if told != reason:
                    told = reason
                    pod = copy.deepcopy(pod)
                    _container(pod, container, {"waiting": {"reason": reason, "message": message}})
                    self.put(*key, pod)
                if pod["metadata"].get("deletionTimestamp"):
                    self.remove(*key)
                    return False
                self.changed.wait(0.2)
        return False

    def _hindrance(self, pod: Object, container: Object) -> tuple[str, str]:
        if container["image"] in self.bad_images:
            return "ImagePullBackOff", f'Back-off pulling image "{container["image"]}": not found'
        if container["image"].startswith("-") or " " in container["image"]:
            return "InvalidImageName", f"couldn't parse image name {container['image']!r}"
        namespace = pod["metadata"]["namespace"]
        for one in container.get("env", []):
            reference = (one.get("valueFrom") or {}).get("secretKeyRef")
            if reference and ("Secret", namespace, reference["name"]) not in self.objects:
                return "CreateContainerConfigError", f'secret "{reference["name"]}" not found'
        for one in container.get("envFrom", []):
            for kind, where in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
                if where in one and (kind, namespace, one[where]["name"]) not in self.objects:
                    return "CreateContainerConfigError", f'{kind.lower()} "{one[where]["name"]}" not found'
        return "", ""

    def _environment(self, pod: Object, container: Object) -> dict[str, str]:
        namespace = pod["metadata"]["namespace"]
        names = ("PATH", "HOME", "PYTHONPATH", "LANG", MARK)
        found = {name: os.environ[name] for name in names if name in os.environ}
        for one in container.get("envFrom", []):
            for kind, where in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
                if where in one:
                    found |= self.get(kind, namespace, one[where]["name"]).get("stringData", {})
        for one in container.get("env", []):
            reference = (one.get("valueFrom") or {}).get("secretKeyRef")
            if reference:
                found[one["name"]] = self.get("Secret", namespace, reference["name"])["stringData"][reference["key"]]
            else:
                found[one["name"]] = expanded(one.get("value", ""), found)
        return found

    def _pretend(self, key: Key, pod: Object, container: Object) -> int | None:
        assert self.perform is not None
        self._running(key, container, False)
        code = self.perform(pod)
        while code is None and not self.closed:
            with self.changed:
                current = self.objects.get(key)
                if current is None:
                    return None
                if current["metadata"].get("deletionTimestamp"):
                    return 143
                if key[2] in self._fates:
                    return 137
                self.changed.wait(0.2)
        return code

    def _perform(self, key: Key, pod: Object, container: Object, is_init: bool) -> int | None:
        name, folder = key[2], Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{key[2]}-"))
        mounts = self._mounts(pod, container)
        environment = {**self._environment(pod, container), "TMPDIR": str(folder)}
        # The images here have no entrypoint of their own, and `true` for a command.
        words = [*container.get("command", []), *container.get("args", [])] or ["true"]
        command = [_inside(expanded(word, environment), mounts) for word in words]
        only = not pod["spec"].get("initContainers")
        with self.changed:
            if key not in self.objects:
                return None
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    cwd=_inside(container.get("workingDir", str(folder)), mounts), env=environment,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                pod = copy.deepcopy(self.objects[key])
                state = {"reason": "StartError", "exitCode": 128, "message": str(error)}
                _container(pod, container, {"terminated": state})
                pod["status"]["phase"] = "Failed"
                self.put(*key, pod)
                return None
            self._processes[name] = process
        log = self.log(name, "" if only else container["name"])
        log.touch()
        keeper = threading.Thread(target=_keep_log, args=(process.stdout, log), daemon=True)
        keeper.start()
        self._running(key, container, is_init)
        self._wait(key, process, pod["spec"].get("activeDeadlineSeconds"))
        del self._processes[name]
        # Of a container everything ends with its first process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        keeper.join(5)
        code = process.returncode
        return code if code >= 0 else 128 - code

    def _mounts(self, pod: Object, container: Object) -> dict[str, str]:
        """Where in this machine the container's paths of `emptyDir` volumes are."""
        empty = {one["name"] for one in pod["spec"].get("volumes", []) if "emptyDir" in one}
        found = {}
        for one in container.get("volumeMounts", []):
            if one["name"] in empty:
                source = self.folder / f"{pod['metadata']['name']}.volumes" / one["name"] / one.get("subPath", "")
                if not source.exists():
                    source.mkdir(parents=True)
                found[one["mountPath"]] = str(source)
        return found

    def _wait(self, key: Key, process: subprocess.Popen[bytes], deadline_s: int | None) -> None:
        began, terminated_at = time.monotonic(), 0.0
        while process.returncode is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
            pod = self.objects.get(key)
            if deadline_s is not None and time.monotonic() - began > deadline_s and key[2] not in self._fates:
                self._fates[key[2]] = ("DeadlineExceeded", "Pod was active on the node longer than the deadline", "")
                self._signal(key[2], signal.SIGKILL)
            if pod is not None and pod["metadata"].get("deletionTimestamp"):
                terminated_at = terminated_at or time.monotonic()
                if time.monotonic() - terminated_at > pod["metadata"]["deletionGracePeriodSeconds"]:
                    self._signal(key[2], signal.SIGKILL)

    def _running(self, key: Key, container: Object, is_init: bool) -> None:
        with self.changed:
            if key in self.objects:
                pod = copy.deepcopy(self.objects[key])
                pod["status"]["phase"] = "Pending" if is_init else "Running"
                pod["status"].setdefault("startTime", now())
                _container(pod, container, {"running": {"startedAt": now()}})
                self.put(*key, pod)

    def _ended(self, key: Key, code: int, container: Object, is_init: bool) -> bool:
        """A container has ended; whether its pod has."""
        with self.changed:
            reason, message, disruption = self._fates.pop(key[2], ("", "", ""))
            if key not in self.objects or reason == "lost":
                return True
            pod = copy.deepcopy(self.objects[key])
            how = "OOMKilled" if reason == "OOMKilled" else ("Completed" if code == 0 else "Error")
            _container(pod, container, {"terminated": {"reason": how, "exitCode": code, "finishedAt": now()}})
            is_deleted = bool(pod["metadata"].get("deletionTimestamp"))
            if is_init and code == 0 and not reason and not is_deleted:
                self.put(*key, pod)
                return False
            pod["status"]["phase"] = "Succeeded" if code == 0 and not reason and not is_init else "Failed"
            if reason and reason != "OOMKilled":
                pod["status"] |= {"reason": reason, "message": message}
            if disruption:
                _condition(pod, "DisruptionTarget", "True", disruption, message)
            self.put(*key, pod)
            if is_deleted:
                self.remove(*key)
            return True


def _keep_log(source: Any, log: Path) -> None:
    with source, log.open("ab", buffering=0) as file:
        for line in source:
            file.write(f"{instant()} ".encode() + (line if line.endswith(b"\n") else line + b"\n"))


def instant() -> str:
    """An instant as a node's runtime writes it: nanoseconds without zeros at the end."""
    at = time.time_ns()
    whole = dt.datetime.fromtimestamp(at // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at % 10**9:09d}".rstrip("0").rstrip(".") + "Z"


def expanded(text: str, variables: dict[str, str]) -> str:
    """Kubernetes' own syntax in commands and variables: $(NAME) if it is known, $$ for one $."""
    return re.sub(
        r"\$(\$|\(([^)]*)\))",
        lambda found: "$" if found[1] == "$" else variables.get(found[2], found[0]),
        text,
    )


def _inside(word: str, mounts: dict[str, str]) -> str:
    """A word of a command with the folders of this machine for its paths in volumes."""
    if not mounts:
        return word
    paths = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    return re.sub(rf"(?:{paths})(?![\w.-])", lambda found: mounts[found[0]], word)


def now(after_s: float = 0.0) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def quantity(text: str) -> float:
    """A quantity of Kubernetes as a number."""
    for suffix, factor in (
        ("m", 1e-3),
        ("Ki", 2**10),
        ("Mi", 2**20),
        ("Gi", 2**30),
        ("Ti", 2**40),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
    ):
        if str(text).endswith(suffix):
            return float(str(text).removesuffix(suffix)) * factor
    return float(text)


def _misfit(pod: Object, node: Node) -> str:
    for key, value in pod["spec"].get("nodeSelector", {}).items():
        if node.labels.get(key) != value:
            return "node(s) didn't match Pod's node affinity/selector"
    for container in (*pod["spec"].get("initContainers", []), pod["spec"]["containers"][0]):
        for name, amount in container.get("resources", {}).get("requests", {}).items():
            has = {"cpu": node.cpu, "memory": node.memory}.get(name, node.extended.get(name, 0))
            if quantity(amount) > has:
                return f"Insufficient {name}"
    return ""


def _container(pod: Object, container: Object, state: Object) -> None:
    """Write the state of a container; those before it keep theirs, those behind it wait for it."""
    status, inits = pod["status"], pod["spec"].get("initContainers", [])
    waiting = {"waiting": {"reason": "PodInitializing"}}
    for key, containers in (("initContainerStatuses", inits), ("containerStatuses", pod["spec"]["containers"])):
        known = {one["name"]: one["state"] for one in status.get(key, [])} | {container["name"]: state}
        if containers:
            status[key] = [
                {
                    "name": one["name"],
                    "image": one["image"],
                    "imageID": "",
                    "ready": "running" in known.get(one["name"], {}),
                    "restartCount": 0,
                    "state": known.get(one["name"], waiting),
                }
                for one in containers
            ]


def _condition(pod: Object, kind: str, status: str, reason: str, message: str) -> None:
    conditions = pod["status"].setdefault("conditions", [])
    conditions[:] = [one for one in conditions if one["type"] != kind]
    conditions.append(
        {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
    )


def _key(pod: Object) -> Key:
    return "Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]
