"""The few calls of Kubernetes' API that pods of ours need, as plain data.

Rule: the only file that knows lightkube, and only when the API is used. What a later try can mend is an `ExecutorError`, what the API refuses is
`Refused`, in its own words.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from partita.errors import ExecutorError
from partita.executors.clusters.kubernetes_pod import CONTAINER, JOB_LABEL, KubernetesSettings

if TYPE_CHECKING:
    from lightkube import ApiError, Client

T = TypeVar("T")

ROLE: Final = "the scheduler's role needs get, list, watch, create and delete of pods, and get of pods/log"
_ANSWER_S: Final = 30.0
_TAIL_LINES: Final = 20


class Refused(Exception):
    """The API says no: its code, its reason and its words."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.status.message or str(error))
        self.code = error.status.code or 0
        self.reason = error.status.reason or ""


class Api:
    """Pods of one namespace. Any thread."""

    def __init__(self, client: Client, labels: dict[str, Any]) -> None:
        self._client = client
        self._labels = labels

    @property
    def address(self) -> str:
        return f"{self._client.config.cluster.server}, namespace {self._client.namespace}"

    def list(self) -> tuple[dict[str, dict[str, Any]], str]:
        """Our pods by name, and the version of the list. Raises `ExecutorError` also where they may not be listed."""
        from lightkube.resources.core_v1 import Pod

        try:
            with _reaching("list pods"):
                listed = self._client.list(Pod, labels=self._labels, chunk_size=500)
                pods = [pod.to_dict() for pod in listed]
        except Refused as error:
            raise ExecutorError(f"Kubernetes does not list pods: {error}", hint=ROLE) from None
        return {name: pod for pod in pods if (name := job_of(pod))}, listed.resourceVersion

    def get(self, name: str) -> dict[str, Any] | None:
        """A pod, or None."""
        from lightkube.resources.core_v1 import Pod

        return _unless_missing("get a pod", lambda: self._client.get(Pod, name).to_dict())

    def create(self, manifest: dict[str, Any]) -> None:
        """Create a pod. Raises `Refused`."""
        from lightkube.resources.core_v1 import Pod

        pod: Any = Pod.from_dict(manifest)
        with _reaching("create a pod"):
            self._client.create(pod)

    def delete(self, name: str, grace_s: int) -> bool:
        """Delete a pod; whether there was one."""
        from lightkube.resources.core_v1 import Pod

        def delete() -> bool:
            self._client.delete(Pod, name, grace_period=grace_s)
            return True

        return _unless_missing("delete a pod", delete) is True

    def log(self, name: str, container: str, since_s: int | None) -> tuple[str, ...] | None:
        """The lines of a container's log, each after its instant; None while there is none. Of the last seconds only.

        Raises `ExecutorError` when it cannot be read.
        """

        try:
            with _reaching("read a log"):
                lines = self._client.log(name, container=container, since=since_s, timestamps=True, newlines=False)
                return tuple(lines)
        except Refused as error:
            # 400: the container has not begun yet. 404: the pod is gone.
            if error.code in (400, 404):
                return None
            raise ExecutorError(f"Kubernetes does not give the log: {error}", hint=ROLE) from None

    def last_lines(self, name: str, container: str = CONTAINER) -> str:
        """The end of a container's log, if there is one."""
        import httpx2
        from lightkube import ApiError

        try:
            return "".join(self._client.log(name, container=container, tail_lines=_TAIL_LINES)).strip()
        except (ApiError, httpx2.HTTPError):
            # Its node may be gone, or the container never was.
            return ""

    def watch(self, version: str, seconds: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens to our pods after a version. Raises what a broken connection or the server raises."""
        from lightkube.resources.core_v1 import Pod

        for kind, pod in self._client.watch(Pod, labels=self._labels, server_timeout=seconds, resource_version=version):
            yield kind, pod.to_dict()

    def close(self) -> None:
        """End the connections; a watch ends with them."""
        self._client.close()


def open_api(settings: KubernetesSettings, labels: dict[str, Any]) -> Api:
    """The API that the configuration names. Nothing is asked yet. Raises `ExecutorError`."""
    try:
        import httpx2
        from lightkube import Client, KubeConfig
        from lightkube.core.exceptions import ConfigError
    except ImportError:
        raise ExecutorError(
            "the package lightkube is not installed", hint="pip install 'partita[kubernetes]'"
        ) from None
    try:
        config = KubeConfig.from_file(settings.kubeconfig) if settings.kubeconfig else KubeConfig.from_env()
        single = config.get(settings.context or None)
        client = Client(single, namespace=settings.namespace or None, timeout=httpx2.Timeout(_ANSWER_S))
    except (ConfigError, OSError, KeyError, ValueError) as error:
        raise ExecutorError(
            f"no way to a Kubernetes cluster: {error}",
            hint="set `kubeconfig` and `context` of the executor, or KUBECONFIG; in a pod its service account is used",
        ) from None
    return Api(client, labels)


def job_of(pod: dict[str, Any]) -> str:
    """Which job a pod is; "" if none of ours."""
    metadata = pod.get("metadata") or {}
    name = str(metadata.get("name") or "")
    # By its name, not by what somebody wrote into a label of another pod.
    return name if (metadata.get("labels") or {}).get(JOB_LABEL) == name else ""


def lost_field(template: dict[str, Any]) -> str:
    """What is in a template and in no pod, in one sentence; "" if nothing is."""
    try:
        from lightkube.resources.core_v1 import Pod
    except ImportError:
        # Said when the executor is used; the API's own validation comes in any case.
        return ""
    # What every pod must have is filled in later.
    whole = copy.deepcopy(template)
    for container in whole.setdefault("spec", {}).setdefault("containers", []):
        container.setdefault("name", CONTAINER)
    try:
        where = _lost(template, Pod.from_dict(whole).to_dict(), "template")
    except (TypeError, ValueError, AttributeError) as error:
        return f"template: this is no pod: {error}"
    return f"{where}: a pod has no such field" if where else ""


def _lost(given: Any, kept: Any, path: str) -> str:
    """The first path of what is given that does not come through."""
    if isinstance(given, dict):
        if not isinstance(kept, dict):
            return path
        return next((one for key in given if (one := _lost(given[key], kept.get(key), f"{path}.{key}"))), "")
    if isinstance(given, list):
        if not isinstance(kept, list) or len(kept) != len(given):
            return path
        return next((one for no, item in enumerate(given) if (one := _lost(item, kept[no], f"{path}[{no}]"))), "")
    return "" if kept is not None or given is None else path


@contextmanager
def _reaching(what: str) -> Iterator[None]:
    import httpx2
    from lightkube import ApiError

    try:
        yield
    except ApiError as error:
        code = error.status.code or 0
        if code in (401, 408, 429) or code >= 500:
            raise ExecutorError(f"Kubernetes could not {what}: {error.status.message or error}") from None
        raise Refused(error) from None
    except httpx2.HTTPError as error:
        raise ExecutorError(f"Kubernetes cannot be reached: {error or type(error).__name__}") from None


def _unless_missing(what: str, ask: Callable[[], T]) -> T | None:
    try:
        with _reaching(what):
            return ask()
    except Refused as error:
        if error.code == 404:
            return None
        raise ExecutorError(f"Kubernetes could not {what}: {error}", hint=ROLE) from None
