"""The pod of an attempt: settings, what a step may say, and the manifest.

Three layers, each over the one before: the operator's template, the executor's settings, the step's own options as far as the
allow-lists let them. What belongs to Partita (command, labels, restart policy, grace) is laid over all of them.

Rule: pure, and the policy looks at the finished manifest, last: whatever asked for it, what a step could use to leave its
container (privileges, the host's network, files or processes) is refused unless the operator allows it with `privileged = true`.
"""

from __future__ import annotations

import copy
import fnmatch
import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from partita.core.policies import Policies
from partita.define.durations import size
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.tables import read_options

CONTAINER: Final = "step"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
JOB_LABEL: Final = "partita/job"
EXECUTOR_LABEL: Final = "partita/executor"
# Of the pod of a container step: where its exchange is.
CONTAINER_ANNOTATION: Final = "partita/container"
# From the end of a step's own time to the kubelet's: pulling the image counts as well.
_DEADLINE_MARGIN_S: Final = 900
# For the outcome and the rest of the log after the polite end.
GRACE_MARGIN_S: Final = 10
_STEP_KEYS: Final = (
    "image",
    "service_account",
    "node_selector",
    "tolerations",
    "env",
    "secrets",
    "env_from",
    "volumes",
    "labels",
    "annotations",
    "priority_class",
)
_DNS_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOST_FIELDS: Final = ("hostNetwork", "hostPID", "hostIPC")


class Volume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A volume and where it is seen: exactly one of `claim`, `secret`, `config_map`, `empty`."""

    path: str
    claim: str = ""
    secret: str = ""
    config_map: str = ""
    # A fresh folder for this attempt, of at most this size ("10GiB"); "memory" for one in memory.
    empty: str = ""
    read_only: bool = False


class KubernetesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[tool.partita.executors.<name>]` with `kind = "kubernetes"`."""

    # Partita, the project's packages and its Python are in it.
    image: str = ""
    python: str = "python"
    image_pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    # "" = of the configuration: KUBECONFIG, ~/.kube/config, or the service account of the scheduler's own pod.
    namespace: str = ""
    kubeconfig: str = ""
    context: str = ""
    # What every pod gets.
    service_account: str = ""
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, object], ...] = ()
    env: dict[str, str] = {}
    # Variables out of secrets: {"AWS_SECRET_ACCESS_KEY": "object-store/secret-key"}.
    secrets: dict[str, str] = {}
    # All variables of these: ["secret/object-store", "config_map/common"].
    env_from: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    priority_class: str = ""
    # A pod's own words ({"metadata": ..., "spec": ...}) under all of it.
    template: dict[str, Any] = {}
    # What steps may set by `executor_options`, and to what (patterns such as "registry.example/team/*").
    allow: tuple[str, ...] = (
        "image",
        "node_selector",
        "tolerations",
        "env",
        "secrets",
        "env_from",
        "volumes",
        "labels",
        "annotations",
    )
    allow_images: tuple[str, ...] = ()
    allow_service_accounts: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    allow_config_maps: tuple[str, ...] = ()
    allow_claims: tuple[str, ...] = ()
    privileged: bool = False
    gpu_resource: str = "nvidia.com/gpu"
    # Custom resources of steps: {"fpga": "vendor.example/fpga"}.
    resources: dict[str, str] = {}
    memory_overhead: str | int = "128MiB"
    # Of Partita's own process beside a `pt.container`, which has a pod of its own.
    helper_cpu: float = 0.1
    helper_memory: str | int = "256MiB"
    # How long a pod may wait for a node, and for its image, secrets and volumes, before it is given up with the reason.
    unschedulable: str | float = "10m"
    image_pull: str | float = "3m"
    # How often all pods are asked for, whatever the watch tells.
    resync: str | float = "30s"
    # Ended pods that no scheduler asks for any more are removed after this time.
    keep_ended: str | float = "1h"
    max_jobs: int = 500


class KubernetesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`executor_options` of a step."""

    image: str = ""
    service_account: str = ""
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, object], ...] = ()
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}
    env_from: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    priority_class: str = ""


def settings_problem(settings: KubernetesSettings) -> str:
    """What is wrong with the settings, in one sentence; "" if nothing is."""
    for key in settings.allow:
        if key not in _STEP_KEYS:
            return f"allow: there is no option {key!r}; there are {', '.join(_STEP_KEYS)}"
    spec = settings.template.get("spec", {})
    containers = spec.get("containers", [])
    if set(settings.template) - {"metadata", "spec", "apiVersion", "kind"}:
        return "template: a pod has `metadata` and `spec`, nothing else"
    if len(containers) > 1:
        return "template: one container, the step's; others go into initContainers (with restartPolicy Always, if they stay)"
    if not settings.image and not (containers and containers[0].get("image")):
        return "say `image`: one with Partita and the project's packages in it"
    said = KubernetesOptions(
        env=settings.env, secrets=settings.secrets, env_from=settings.env_from, volumes=settings.volumes
    )
    return _badly_formed(said) or privileges(settings, settings.template.get("spec", {}))


def problem_of(settings: KubernetesSettings, policies: Policies, options: dict[str, object]) -> str:
    """What is wrong with a step's resources and options, in one sentence; "" if nothing is."""
    try:
        said = read_options(options, KubernetesOptions)
    except ValueError as error:
        return str(error)
    for key in options:
        if key not in settings.allow:
            return f"executor_options: {key!r} is not allowed for steps here; add it to `allow` of the executor"
    if problem := _badly_formed(said) or not_allowed(settings, said):
        return f"executor_options: {problem}"
    for resource, _ in policies.resources:
        if resource not in settings.resources:
            return (
                f"resource {resource!r} is nothing that these nodes have: name it under `resources` of the executor, "
                f'as resources = {{{resource} = "vendor.example/{resource}"}}'
            )
    if policies.gpu and policies.gpu != int(policies.gpu):
        return f"gpu={policies.gpu:g}: Kubernetes gives whole ones"
    return ""


def pod_of(settings: KubernetesSettings, executor: str, job: Job, overhead_bytes: int) -> dict[str, Any]:
    """The manifest of a job's pod. Raises `ValueError` with one sentence if the policy forbids it."""
    said = read_options(job.options, KubernetesOptions)
    needs = needs_of(settings, job.policies, overhead_bytes)
    is_container = job.brief.kind == "container"
    if is_container:
        if said.image:
            raise ValueError("executor_options: `image` is what pt.container says itself")
        # What the step says is for its container, which has a pod of its own.
        said = KubernetesOptions(labels=said.labels, annotations=said.annotations)
        needs = helper_needs(settings)
    pod = begun_pod(settings, said, executor, job)
    pod["metadata"]["name"] = job.name
    pod["metadata"]["labels"][JOB_LABEL] = job.name
    if is_container:
        pod["metadata"]["annotations"][CONTAINER_ANNOTATION] = job.exchange
    spec = pod["spec"]
    fill_spec(spec, settings, said, job.policies, said.service_account or settings.service_account)
    container = (spec.get("containers") or [{}])[0]
    args = ["partita.executors.clusters.job", "--exchange", job.exchange, "--name", job.name]
    if is_container:
        args.append("--beside")
    our_container(container, settings, said, args)
    give(container, needs)
    volumes = [*settings.volumes, *said.volumes]
    add_volumes(spec, volumes)
    mount(container, volumes)
    spec["containers"] = [container]
    if problem := privileges(settings, spec):
        raise ValueError(problem)
    return pod


def begun_pod(settings: KubernetesSettings, said: KubernetesOptions, executor: str, job: Job) -> dict[str, Any]:
    """The operator's template with the labels and annotations of a job; its name, spec and containers are to come."""
    pod = copy.deepcopy(settings.template)
    pod |= {"apiVersion": "v1", "kind": "Pod"}
    metadata = pod.setdefault("metadata", {})
    if settings.namespace:
        metadata["namespace"] = settings.namespace
    metadata["labels"] = {**metadata.get("labels", {}), **settings.labels, **said.labels, **_labels(executor, job)}
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        **settings.annotations,
        **said.annotations,
        "partita/run": job.brief.run,
        "partita/step": f"{job.brief.pipeline}/{job.brief.step}{f'[{job.ticket.index}]' if job.ticket.index else ''}",
        "partita/attempt": str(job.ticket.attempt),
    }
    pod.setdefault("spec", {})
    return pod


def selector_of(executor: str) -> dict[str, Any]:
    """The labels by which an executor's pods are found."""
    return {MANAGED_BY: "partita", EXECUTOR_LABEL: label_value(executor)}


def label_value(text: str) -> str:
    """Some text as the value of a label.

    >>> label_value("daily/load [eu]"), label_value("--")
    ('daily-load--eu', '')
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:63].strip("-_.")


def _labels(executor: str, job: Job) -> dict[str, str]:
    return {
        MANAGED_BY: "partita",
        EXECUTOR_LABEL: label_value(executor),
        "partita/pipeline": label_value(job.brief.pipeline),
        "partita/task": label_value(job.brief.step),
    }


def fill_spec(
    spec: dict[str, Any], settings: KubernetesSettings, said: KubernetesOptions, policies: Policies, account: str
) -> None:
    """What is of the pod and not of its containers."""
    spec["restartPolicy"] = "Never"
    spec["terminationGracePeriodSeconds"] = math.ceil(policies.grace_s) + GRACE_MARGIN_S
    spec["enableServiceLinks"] = False
    if policies.timeout_s is not None:
        spec["activeDeadlineSeconds"] = math.ceil(policies.timeout_s + policies.grace_s) + _DEADLINE_MARGIN_S
    if account:
        spec["serviceAccountName"] = account
    elif "serviceAccountName" not in spec:
        # A step has no business with the API server unless somebody says so.
        spec["automountServiceAccountToken"] = False
    if priority := said.priority_class or settings.priority_class:
        spec["priorityClassName"] = priority
    if selector := {**spec.get("nodeSelector", {}), **settings.node_selector, **said.node_selector}:
        spec["nodeSelector"] = selector
    if tolerations := [*spec.get("tolerations", []), *settings.tolerations, *said.tolerations]:
        spec["tolerations"] = tolerations
    if pulls := [*spec.get("imagePullSecrets", []), *({"name": name} for name in settings.image_pull_secrets)]:
        spec["imagePullSecrets"] = pulls


def our_container(
    container: dict[str, Any], settings: KubernetesSettings, said: KubernetesOptions, module_and_args: list[str]
) -> None:
    """A container of the executor's image in which a module of Partita runs."""
    module, *args = module_and_args
    container["name"] = CONTAINER
    container["image"] = said.image or settings.image or container["image"]
    if settings.image_pull_policy:
        container["imagePullPolicy"] = settings.image_pull_policy
    container["command"] = [settings.python, "-m", module]
    container["args"] = args
    # The last lines of the log, where the container itself left no message.
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    secure(container)
    set_variables(container, settings, said)


def secure(container: dict[str, Any]) -> None:
    """No more privileges than it was started with, unless the template says so."""
    security = {"allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}}
    container["securityContext"] = {**security, **container.get("securityContext", {})}


def set_variables(container: dict[str, Any], *layers: KubernetesSettings | KubernetesOptions) -> None:
    """The variables of these layers over those that are there: plain, out of secrets, all of a source."""
    env = {one["name"]: one for one in container.get("env", [])}
    for layer in layers:
        env |= {name: {"name": name, "value": value} for name, value in layer.env.items()}
        env |= {name: _from_secret(name, where) for name, where in layer.secrets.items()}
    if env:
        container["env"] = list(env.values())
    if sources := [*container.get("envFrom", []), *(_source(one) for layer in layers for one in layer.env_from)]:
        container["envFrom"] = sources


def add_volumes(spec: dict[str, Any], volumes: list[Volume]) -> None:
    """Let the pod have these volumes."""
    if found := [*spec.get("volumes", []), *(_volume(f"partita-{no}", one) for no, one in enumerate(volumes))]:
        spec["volumes"] = found


def mount(container: dict[str, Any], volumes: list[Volume], first: int = 0) -> None:
    """Let a container see these volumes of the pod, of which the first has the number `first`."""
    mounts = [_mount(f"partita-{no}", one) for no, one in enumerate(volumes, first)]
    if mounts := [*container.get("volumeMounts", []), *mounts]:
        container["volumeMounts"] = mounts


def give(container: dict[str, Any], needs: dict[str, str]) -> None:
    """Requests, and limits but for the processor: what is free there may be used."""
    if needs:
        given = container.get("resources", {})
        container["resources"] = {
            **given,
            "requests": {**given.get("requests", {}), **needs},
            "limits": {**given.get("limits", {}), **{name: one for name, one in needs.items() if name != "cpu"}},
        }


def helper_needs(settings: KubernetesSettings) -> dict[str, str]:
    """What Partita's own process beside a container is given."""
    memory = size(settings.helper_memory)
    return {"cpu": f"{math.ceil(settings.helper_cpu * 1000)}m", "memory": str(memory)}


def needs_of(settings: KubernetesSettings, policies: Policies, overhead_bytes: int) -> dict[str, str]:
    """What a step's policies ask of a node."""
    found = {}
    if policies.cpu:
        found["cpu"] = f"{math.ceil(policies.cpu * 1000)}m"
    if policies.memory_bytes:
        found["memory"] = str(policies.memory_bytes + overhead_bytes)
    if policies.gpu:
        found[settings.gpu_resource] = str(int(policies.gpu))
    for resource, count in policies.resources:
        found[settings.resources[resource]] = str(math.ceil(count))
    return found


def _from_secret(name: str, where: str) -> dict[str, Any]:
    secret, _, key = where.partition("/")
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _source(text: str) -> dict[str, Any]:
    kind, _, name = text.partition("/")
    return {"secretRef" if kind == "secret" else "configMapRef": {"name": name}}


def _volume(name: str, volume: Volume) -> dict[str, Any]:
    if volume.claim:
        return {"name": name, "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": volume.read_only}}
    if volume.secret:
        return {"name": name, "secret": {"secretName": volume.secret}}
    if volume.config_map:
        return {"name": name, "configMap": {"name": volume.config_map}}
    if volume.empty == "memory":
        return {"name": name, "emptyDir": {"medium": "Memory"}}
    return {"name": name, "emptyDir": {"sizeLimit": volume.empty.replace("iB", "i")}}


def _mount(name: str, volume: Volume) -> dict[str, Any]:
    return {"name": name, "mountPath": volume.path, "readOnly": volume.read_only}


def _badly_formed(said: KubernetesOptions) -> str:
    for name in (*said.env, *said.secrets):
        if not _ENV_NAME.fullmatch(name):
            return f"{name!r} is no name of a variable"
    for name, where in said.secrets.items():
        secret, _, key = where.partition("/")
        if not _DNS_NAME.fullmatch(secret) or not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
            return f'secrets: {name} = {where!r} is not "SECRET/KEY"'
    for text in said.env_from:
        kind, _, name = text.partition("/")
        if kind not in ("secret", "config_map") or not _DNS_NAME.fullmatch(name):
            return f'env_from: {text!r} is neither "secret/NAME" nor "config_map/NAME"'
    for volume in said.volumes:
        if sum(map(bool, (volume.claim, volume.secret, volume.config_map, volume.empty))) != 1:
            return f"volumes: {volume.path}: say one of claim, secret, config_map, empty"
        if not volume.path.startswith("/") or ":" in volume.path or ".." in volume.path:
            return f"volumes: {volume.path!r} is no absolute path"
        if volume.empty and not re.fullmatch(r"memory|\d+(\.\d+)?([KMGT]i?B?)?", volume.empty):
            return f'volumes: {volume.path}: empty = {volume.empty!r} is neither a size nor "memory"'
    for key in (*said.labels, *said.annotations):
        if key.partition("/")[0] in ("partita", "app.kubernetes.io"):
            return f"the label or annotation {key!r} is what Partita sets itself"
    for key, value in said.labels.items():
        if label_value(value) != value:
            return f"labels: {key} = {value!r} is no value of a label"
    return ""


def not_allowed(settings: KubernetesSettings, said: KubernetesOptions) -> str:
    """The one place where what a step asks for meets the allow-lists."""
    for key, name, allowed in _asked(settings, said):
        if name and not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed):
            return f"{name!r} is not in `{key}` of the executor ({', '.join(allowed) or 'nothing is'})"
    return ""


def _asked(settings: KubernetesSettings, said: KubernetesOptions) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield "allow_images", said.image, (*settings.allow_images, settings.image)
    yield "allow_service_accounts", said.service_account, settings.allow_service_accounts
    for where in said.secrets.values():
        yield "allow_secrets", where.partition("/")[0], settings.allow_secrets
    for text in said.env_from:
        kind, _, name = text.partition("/")
        secret = kind == "secret"
        yield (
            "allow_secrets" if secret else "allow_config_maps",
            name,
            settings.allow_secrets if secret else settings.allow_config_maps,
        )
    for volume in said.volumes:
        yield "allow_secrets", volume.secret, settings.allow_secrets
        yield "allow_config_maps", volume.config_map, settings.allow_config_maps
        yield "allow_claims", volume.claim, settings.allow_claims


def privileges(settings: KubernetesSettings, spec: dict[str, Any]) -> str:
    """What in a finished pod could leave its container, in one sentence; "" if nothing can."""
    if settings.privileged:
        return ""
    hint = "the operator can allow it with `privileged = true`"
    for field in _HOST_FIELDS:
        if spec.get(field):
            return f"{field} is not allowed: {hint}"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            return f"the volume {volume.get('name')!r} is a hostPath, which is not allowed: {hint}"
    for container in (*spec.get("containers", []), *spec.get("initContainers", [])):
        security = container.get("securityContext", {})
        if security.get("privileged") or security.get("allowPrivilegeEscalation"):
            return f"a privileged container is not allowed: {hint}"
        if (security.get("capabilities") or {}).get("add"):
            return f"capabilities.add is not allowed: {hint}"
        if security.get("procMount") not in (None, "Default"):
            return f"procMount is not allowed: {hint}"
    return ""
