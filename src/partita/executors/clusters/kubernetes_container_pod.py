"""The pod of a `pt.container`: the user's image, which knows nothing of Partita, with files in and out.

Without files it is one container. With files there are three, one after the other, over a folder that they share: the executor's own
image brings the inputs in, the user's runs, the executor's takes the outputs out. Before the last, each is an init container: only so
does Kubernetes keep an order, and what failed is followed by nothing.

It belongs to the pod of its job (an owner reference): when that is removed, Kubernetes removes this one.

Rule: as in kubernetes_pod.py, the policy looks at the finished manifest, last. The executor's own variables and secrets are in the
executor's own containers only.
"""

from __future__ import annotations

import copy
import posixpath
import re
from typing import Any, Final

import msgspec

from partita.define.container_beside import Asked
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.container_stage import input_at, output_folder_at
from partita.executors.clusters.kubernetes_pod import (
    KubernetesOptions,
    KubernetesSettings,
    add_volumes,
    begun_pod,
    fill_spec,
    give,
    helper_needs,
    mount,
    needs_of,
    not_allowed,
    our_container,
    privileges,
    problem_of,
    secure,
    set_variables,
)
from partita.executors.clusters.tables import read_options

CONTAINER_OF_LABEL: Final = "partita/container-of"
USERS: Final = "container"
BEFORE, AFTER = "bring-in", "take-out"
_FILES: Final = "partita-files"
_FOLDER: Final = "/partita-files"
_PULL: Final = {"missing": "IfNotPresent", "always": "Always", "never": "Never"}
_USER: Final = re.compile(r"(\d{1,9})(?::(\d{1,9}))?", re.ASCII)


def name_of_container(job: str) -> str:
    """What the pod of a job's container is called.

    >>> name_of_container("pt-5f")
    'pt-5f-c'
    """
    return f"{job}-c"


def container_pod_of(settings: KubernetesSettings, executor: str, job: Job, asked: Asked, owner: str) -> dict[str, Any]:
    """The manifest; `owner` is the uid of the job's own pod. Raises `ValueError` with one sentence if it is refused."""
    # What lies in the exchange may have been written by a pod: it is looked at again.
    if problem := problem_of(settings, job.policies, job.options) or _not_here(asked):
        raise ValueError(problem)
    if problem := not_allowed(settings, KubernetesOptions(image=asked.image)):
        raise ValueError(problem)
    said = read_options(job.options, KubernetesOptions)
    has_files = bool(asked.inputs or asked.outputs)
    pod = begun_pod(settings, said, executor, job)
    name = name_of_container(job.name)
    # The end of the owner is not kept waiting for this pod.
    reference = {"apiVersion": "v1", "kind": "Pod", "name": job.name, "uid": owner, "blockOwnerDeletion": False}
    pod["metadata"] |= {"name": name, "ownerReferences": [reference]}
    pod["metadata"]["labels"][CONTAINER_OF_LABEL] = job.name
    spec = pod["spec"]
    template = (spec.get("containers") or [{}])[0]
    # Without files nothing in there is the executor's, so it needs no account of the executor.
    account = said.service_account or (settings.service_account if has_files else "")
    fill_spec(spec, settings, said, job.policies, account)
    volumes = [*settings.volumes, *said.volumes] if has_files else list(said.volumes)
    add_volumes(spec, volumes)
    users = _users_container(settings, job, asked, said, template)
    mount(users, list(said.volumes), len(volumes) - len(said.volumes))
    if has_files:
        spec["volumes"] = [*spec.get("volumes", []), {"name": _FILES, "emptyDir": {}}]
        users["volumeMounts"] = [*users.get("volumeMounts", []), *_mounts(asked)]
        before, after = (_stage(settings, job, template, way) for way in (BEFORE, AFTER))
        spec["initContainers"] = [*spec.get("initContainers", []), before, users]
        spec["containers"] = [after]
    else:
        spec["containers"] = [users]
    if problem := privileges(settings, spec):
        raise ValueError(problem)
    return pod


def _not_here(asked: Asked) -> str:
    """What a runtime on one's own machine has and Kubernetes has not, in one sentence."""
    if asked.volumes:
        return f"volumes: {asked.volumes[0]!r} is of another machine: use `volumes` of executor_options"
    if asked.network:
        return f"network={asked.network!r}: on Kubernetes a NetworkPolicy says what a pod may reach"
    if asked.user and not _USER.fullmatch(asked.user):
        return f"user={asked.user!r}: Kubernetes takes numbers, as 1000 or 1000:1000"
    return ""


def _users_container(
    settings: KubernetesSettings, job: Job, asked: Asked, said: KubernetesOptions, template: dict[str, Any]
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": USERS, "image": asked.image, "imagePullPolicy": _PULL[asked.pull]}
    if asked.entrypoint:
        container["command"] = [_literal(asked.entrypoint)]
    if asked.args:
        container["args"] = list(map(_literal, asked.args))
    if asked.workdir:
        container["workingDir"] = asked.workdir
    container["securityContext"] = copy.deepcopy(template.get("securityContext", {}))
    secure(container)
    if user := _USER.fullmatch(asked.user or ""):
        container["securityContext"]["runAsUser"] = int(user[1])
        if user[2]:
            container["securityContext"]["runAsGroup"] = int(user[2])
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    set_variables(container, said)
    env = {one["name"]: one for one in container.get("env", [])}
    env |= {name: {"name": name, "value": _literal(value)} for name, value in asked.env.items()}
    if env:
        container["env"] = list(env.values())
    # More memory after it ran out of it is what the attempt knows, and its policies do not.
    policies = msgspec.structs.replace(job.policies, memory_bytes=asked.memory)
    give(container, needs_of(settings, policies, 0))
    return container


def _stage(settings: KubernetesSettings, job: Job, template: dict[str, Any], way: str) -> dict[str, Any]:
    container = copy.deepcopy(template)
    args = ["partita.executors.clusters.container_stage", "--exchange", job.exchange, "--name", job.name]
    module_and_args = [*args, "--folder", _FOLDER, "in" if way == BEFORE else "out"]
    our_container(container, settings, KubernetesOptions(), module_and_args)
    container["name"] = way
    give(container, helper_needs(settings))
    mount(container, list(settings.volumes))
    container["volumeMounts"] = [*container.get("volumeMounts", []), {"name": _FILES, "mountPath": _FOLDER}]
    return container


def _mounts(asked: Asked) -> list[dict[str, Any]]:
    folders = {posixpath.dirname(path): output_folder_at(path) for path in asked.outputs}
    return [
        *({"name": _FILES, "mountPath": target, "subPath": folder} for target, folder in folders.items()),
        *(
            {"name": _FILES, "mountPath": target, "subPath": input_at(number), "readOnly": True}
            for number, target in enumerate(asked.inputs)
        ),
    ]


def _literal(text: str) -> str:
    """A text in which Kubernetes replaces nothing: `$(NAME)` would be the value of a variable."""
    return text.replace("$", "$$")
