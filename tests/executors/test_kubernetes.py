"""Kubernetes as a cluster, against a double of the API server (a_kubernetes.py). It has never run on a cluster."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from partita.core.policies import Policies
from partita.errors import DefinitionError, ExecutorError
from partita.executors.clusters.cluster import Finished, Gone, Job, News, Runs, Waits
from partita.executors.clusters.kubernetes import KubernetesCluster, make
from partita.executors.clusters.kubernetes_pod import pod_of

from .a_kubernetes import Object, World
from .a_kubernetes_api import Server, _validate, serving
from .jobs import Stand, a_job, end_of, moments, told_until
from .needed import needs
from .whole import NewCluster, Whole

NAMESPACE = "pipelines"
SETTINGS = {"image": "img:1", "namespace": NAMESPACE, "memory_overhead": "1MiB"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "cluster") as server:
        yield server


@pytest.fixture
def world(server: Server) -> World:
    return server.world


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "stand")


def connected(server: Server, stand: Stand | None = None, **table: object) -> KubernetesCluster:
    settings: dict[str, object] = {**SETTINGS, "kubeconfig": str(server.kubeconfig(server.world.folder / "config"))}
    if stand is not None:
        settings["python"] = str(stand.python)
    cluster = make("k8s", {**settings, **table})
    cluster.connect()
    return cluster


@pytest.fixture
def cluster(server: Server, stand: Stand) -> Iterator[KubernetesCluster]:
    cluster = connected(server, stand)
    yield cluster
    cluster.close()


@pytest.fixture
def impatient(server: Server, stand: Stand) -> Iterator[KubernetesCluster]:
    cluster = connected(server, stand, unschedulable="500ms", image_pull="500ms", resync="200ms")
    yield cluster
    cluster.close()


def pods(world: World) -> list[str]:
    return [pod["metadata"]["name"] for pod in world.all("Pod")]


def fatal(news: list[News]) -> list[Waits]:
    return [one for one in news if isinstance(one, Waits) and one.fatal]


class TestJobs:
    def test_a_job_is_a_pod_that_runs_once_ends_and_is_removed(
        self, world: World, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = a_job(stand.exchange)
        cluster.submit([job])
        assert isinstance(end_of(cluster, job), Finished)
        assert cluster.poll(0.2) == []
        assert stand.started(job) == 1
        cluster.forget([job.name])
        assert pods(world) == []

    def test_it_is_told_on_which_node_a_job_runs(self, cluster: KubernetesCluster, stand: Stand) -> None:
        job = stand.let(a_job(stand.exchange, node_selector={"disk": "ssd"}), "sleep 60")
        cluster.submit([job])
        told = told_until(cluster, lambda news: any(isinstance(one, Runs) for one in news))
        assert any(isinstance(one, Runs) and "node-2" in one.where for one in told)

    def test_a_job_that_is_handed_over_twice_runs_once(
        self, server: Server, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = stand.let(a_job(stand.exchange), "sleep 0.5")
        cluster.submit([job])
        later = connected(server, stand)
        later.submit([job])
        assert isinstance(end_of(later, job), Finished)
        assert stand.started(job) == 1
        later.close()

    def test_a_submission_whose_answer_was_lost_is_found_again(
        self, server: Server, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = a_job(stand.exchange)
        server.fail_next("POST", ".*/pods", 0)
        with pytest.raises(ExecutorError):
            cluster.submit([job])
        cluster.submit([job])
        assert isinstance(end_of(cluster, job), Finished)
        assert stand.started(job) == 1

    def test_a_pod_of_somebody_else_with_the_name_is_left_alone(
        self, world: World, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = a_job(stand.exchange)
        theirs = pod_of(cluster._settings, "k8s", job, 0)
        theirs["metadata"]["labels"] = {"app": "theirs"}
        theirs["status"] = {"phase": "Running"}
        world.put("Pod", NAMESPACE, job.name, theirs)
        cluster.submit([job])
        assert "not ours" in fatal(cluster.poll(1.0))[0].why

    def test_a_later_scheduler_finds_what_runs_and_what_has_ended(
        self, server: Server, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        ended, running = a_job(stand.exchange, 1), stand.let(a_job(stand.exchange, 2), "sleep 60")
        cluster.submit([ended, running])
        end_of(cluster, ended)
        told_until(cluster, lambda news: stand.started(running) == 1)
        cluster.close()
        later = connected(server, stand)
        news = later.find([ended.name, running.name, "pt-never"])
        assert [type(one) for one in news] == [Finished, Runs, Gone]
        later.stop(running.name, 0.0)
        assert isinstance(end_of(later, running), Gone)
        later.close()

    def test_secrets_and_variables_reach_the_pod(
        self, world: World, server: Server, stand: Stand, tmp_path: Path
    ) -> None:
        world.put("Secret", NAMESPACE, "store", {"metadata": {"namespace": NAMESPACE}, "stringData": {"key": "k"}})
        cluster = connected(server, stand, secrets={"KEY": "store/key"}, env={"PLAIN": "p"})
        job = stand.let(a_job(stand.exchange), f'echo "$KEY $PLAIN" >{tmp_path}/seen')
        cluster.submit([job])
        assert isinstance(end_of(cluster, job), Finished)
        assert (tmp_path / "seen").read_text() == "k p\n"
        cluster.close()


class TestDeaths:
    def test_a_cancel_is_polite_first(
        self, world: World, cluster: KubernetesCluster, stand: Stand, tmp_path: Path
    ) -> None:
        ready, polite = tmp_path / "ready", tmp_path / "polite"
        does = f"trap 'touch {polite}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
        job = stand.let(a_job(stand.exchange), does)
        cluster.submit([job])
        told_until(cluster, lambda news: ready.exists())
        cluster.stop(job.name, 5.0)
        assert isinstance(end_of(cluster, job), Finished | Gone)
        assert polite.exists()
        assert pods(world) == []

    def test_a_pod_that_waits_for_a_node_is_cancelled_at_once(
        self, world: World, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = a_job(stand.exchange, policies=Policies(cpu=1000))
        cluster.submit([job])
        told_until(cluster, lambda news: bool(news))
        cluster.stop(job.name, 5.0)
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert end.begun == "no"

    def test_an_eviction_is_said(self, world: World, cluster: KubernetesCluster, stand: Stand) -> None:
        job = self.running(cluster, stand)
        world.evict(NAMESPACE, job.name)
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert "evicted on node-1: The node was low on resource: memory." in end.death.note

    def test_out_of_memory_is_said_with_the_limit(self, world: World, cluster: KubernetesCluster, stand: Stand) -> None:
        job = self.running(cluster, stand, policies=Policies(memory_bytes=64 << 20))
        world.kill_for_memory(NAMESPACE, job.name)
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert (end.death.over_memory, end.death.memory_limit) == (64 << 20, 64 << 20)

    def test_an_end_without_outcome_says_the_last_lines(self, cluster: KubernetesCluster, stand: Stand) -> None:
        job = stand.let(a_job(stand.exchange), "echo 'No module named partita' >&2; exit 1")
        cluster.submit([job])
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert "exit code 1" in end.death.note
        assert end.death.last_lines == "No module named partita"

    def test_a_python_that_is_not_there_is_said_and_nothing_has_begun(self, server: Server, stand: Stand) -> None:
        cluster = connected(server, python="/nowhere/python")
        job = a_job(stand.exchange)
        cluster.submit([job])
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert end.begun == "no"
        assert "`python` of the executor" in end.death.note
        cluster.close()

    def test_a_pod_that_somebody_deletes_is_said(self, world: World, cluster: KubernetesCluster, stand: Stand) -> None:
        job = self.running(cluster, stand)
        world.delete(NAMESPACE, job.name, 0)
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
        assert "deleted by somebody else" in end.death.note

    def test_a_lost_node_is_said_though_it_never_confirms_the_end(
        self, world: World, impatient: KubernetesCluster, stand: Stand
    ) -> None:
        job = self.running(impatient, stand)
        world.lose_node("node-1")
        end = end_of(impatient, job)
        assert isinstance(end, Gone)
        assert "DeletionByTaintManager" in end.death.note
        assert pods(world) == []

    def test_a_pod_that_a_controller_adopts_is_still_ours(
        self, world: World, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = stand.let(a_job(stand.exchange), "sleep 0.5")
        cluster.submit([job])
        told_until(cluster, lambda news: stand.started(job) == 1)
        world.adopt(NAMESPACE, job.name)
        assert isinstance(end_of(cluster, job), Finished)

    @staticmethod
    def running(cluster: KubernetesCluster, stand: Stand, **more: Any) -> Job:
        job = stand.let(a_job(stand.exchange, **more), "sleep 60")
        cluster.submit([job])
        told_until(cluster, lambda news: any(isinstance(one, Runs) for one in news))
        return job


class TestNonStarts:
    """Each of them is told while it lasts, and given up with its reason when its time is over."""

    @pytest.mark.parametrize(
        ("options", "policies", "says"),
        [
            ({"image": "registry.example/missing:1"}, Policies(), "its image cannot be pulled: Back-off pulling image"),
            (
                {},
                Policies(cpu=1000),
                "no node has room for it: Unschedulable: 0/2 nodes are available: Insufficient cpu",
            ),
            ({"node_selector": {"disk": "tape"}}, Policies(), "didn't match Pod's node affinity/selector"),
            ({"secrets": {"KEY": "missing/key"}}, Policies(), 'secret "missing" not found'),
            ({}, Policies(gpu=1), "Insufficient nvidia.com/gpu"),
        ],
    )
    def test_what_cannot_start_is_given_up_with_its_reason(
        self, world: World, server: Server, stand: Stand, options: dict[str, Any], policies: Policies, says: str
    ) -> None:
        cluster = connected(
            server, stand, unschedulable="1s", image_pull="1s", resync="200ms", allow_images=["*"], allow_secrets=["*"]
        )
        job = a_job(stand.exchange, policies=policies, **options)
        assert cluster.check(policies, options) == ""
        cluster.submit([job])
        told = told_until(cluster, lambda news: bool(fatal(news)))
        assert says in fatal(told)[0].why
        assert any(isinstance(one, Waits) and not one.fatal for one in told)
        cluster.stop(job.name, 0.0)
        cluster.forget([job.name])
        assert pods(world) == []
        assert stand.started(job) == 0
        cluster.close()

    def test_an_image_of_an_init_container_that_cannot_be_pulled_is_said(self, server: Server, stand: Stand) -> None:
        template = {"spec": {"initContainers": [{"name": "net", "image": "registry.example/missing:1"}]}}
        cluster = connected(server, stand, template=template, image_pull="500ms", resync="200ms")
        cluster.submit([a_job(stand.exchange)])
        told = told_until(cluster, lambda news: bool(fatal(news)))
        assert "its image cannot be pulled: Back-off pulling image" in fatal(told)[0].why
        cluster.close()

    def test_an_image_without_a_valid_name_is_given_up_at_once(self, server: Server, stand: Stand) -> None:
        cluster = connected(server, stand, image="not an image")
        cluster.submit([a_job(stand.exchange)])
        told = told_until(cluster, lambda news: bool(fatal(news)))
        assert "no valid name" in fatal(told)[0].why
        cluster.close()

    def test_a_full_quota_is_waited_for_and_then_given_up(
        self, world: World, impatient: KubernetesCluster, stand: Stand
    ) -> None:
        first, second, third = (stand.let(a_job(stand.exchange, no), "sleep 60") for no in (1, 2, 3))
        world.quota = 1
        impatient.submit([first, second])
        assert impatient.room() == 0
        told_until(impatient, lambda news: any(isinstance(one, Waits) and "quota" in one.why for one in news))
        impatient.stop(first.name, 0.0)
        told_until(impatient, lambda news: any(isinstance(one, Runs) and one.name == second.name for one in news))
        impatient.submit([third])
        told = told_until(impatient, lambda news: bool(fatal(news)))
        assert (fatal(told)[0].name, "exceeded quota" in fatal(told)[0].why) == (third.name, True)

    @pytest.mark.parametrize(
        ("table", "says"),
        [
            ({"namespace": "nowhere"}, 'namespaces "nowhere" not found'),
            ({"service_account": "nobody"}, 'serviceaccount "nobody" not found'),
            (
                {"template": {"spec": {"restartPolicy": "Always", "volumes": [{"name": "a"}, {"name": "a"}]}}},
                "Duplicate value",
            ),
        ],
    )
    def test_what_the_api_refuses_is_given_up_in_its_own_words(
        self, server: Server, stand: Stand, table: dict[str, Any], says: str
    ) -> None:
        cluster = connected(server, stand, **table)
        cluster.submit([a_job(stand.exchange)])
        assert says in fatal(cluster.poll(1.0))[0].why
        cluster.close()


class TestFaults:
    def test_a_watch_that_is_too_old_or_silent_costs_no_news(
        self, world: World, impatient: KubernetesCluster, stand: Stand
    ) -> None:
        for break_it in (world.compact, lambda: setattr(world, "silent_watches", True)):
            job = stand.let(a_job(stand.exchange, step=repr(break_it)), "sleep 0.3")
            impatient.submit([job])
            told_until(impatient, lambda news, job=job: stand.started(job) == 1)  # type: ignore[misc]
            break_it()
            assert isinstance(end_of(impatient, job), Finished)

    def test_a_list_of_an_earlier_time_does_not_make_a_pod_gone(
        self, world: World, server: Server, impatient: KubernetesCluster, stand: Stand
    ) -> None:
        impatient.poll(0.3)
        world.silent_watches = True
        job = stand.let(a_job(stand.exchange), "sleep 1")
        impatient.submit([job])
        world.stale_lists = 3
        assert isinstance(end_of(impatient, job), Finished)
        assert world.stale_lists == 0

    def test_an_api_that_is_away_is_said_and_nothing_is_given_up(
        self, server: Server, impatient: KubernetesCluster, stand: Stand
    ) -> None:
        job = stand.let(a_job(stand.exchange), "sleep 1")
        impatient.submit([job])
        server.fail_next("GET", ".*/pods", 503, times=8)
        said: list[str] = []
        for _ in moments():
            try:
                if any(isinstance(one, Finished) for one in impatient.poll(0.1)):
                    break
            except ExecutorError as error:
                said.append(str(error))
        assert said
        assert all("could not list pods" in one for one in said)

    def test_what_could_not_be_removed_is_removed_later(
        self, world: World, server: Server, impatient: KubernetesCluster, stand: Stand
    ) -> None:
        job = a_job(stand.exchange)
        impatient.submit([job])
        end_of(impatient, job)
        server.fail_next("DELETE", ".*", 500, times=2)
        impatient.forget([job.name])
        assert pods(world) == [job.name]
        told_until(impatient, lambda news: pods(world) == [])

    def test_pods_that_no_scheduler_asks_for_are_swept(self, world: World, server: Server, stand: Stand) -> None:
        cluster = connected(server, stand, resync="100ms", keep_ended="0s")
        job = a_job(stand.exchange)
        other = connected(server, stand)
        other.submit([job])
        assert isinstance(end_of(other, job), Finished)
        told_until(cluster, lambda news: pods(world) == [])
        for one in (cluster, other):
            one.close()

    def test_it_says_what_it_is(self, server: Server, cluster: KubernetesCluster) -> None:
        assert cluster.describe()[0] == f"Kubernetes at {server.address}, namespace pipelines"

    def test_a_configuration_that_is_not_there_is_one_clear_error(self) -> None:
        cluster = make("k8s", {"image": "img:1", "kubeconfig": "/nowhere/config"})
        with pytest.raises(ExecutorError, match="no way to a Kubernetes cluster"):
            cluster.connect()


def _seeded_fates(count: int, tmp_path: Path, seed: int, patience_s: float) -> tuple[Counter[str], Counter[str]]:
    """Many attempts whose pods meet every fault by chance; how they ended, and what was broken."""
    chance = random.Random(seed)
    fates = {
        no: chance.choices(("good", "fails", "oom", "evicted", "deleted", "hangs"), (70, 10, 5, 5, 5, 5))[0]
        for no in range(count)
    }
    jobs = {job.name: no for no in range(count) for job in [a_job(tmp_path / "exchange", no)]}
    names = {no: name for name, no in jobs.items()}
    lock = threading.Lock()
    todo: list[tuple[str, str]] = []

    def perform(pod: Object) -> int | None:
        name = pod["metadata"]["name"]
        fate = fates[jobs[name]]
        if fate not in ("good", "fails"):
            with lock:
                todo.append((fate, name))
        return {"good": 0, "fails": 3}.get(fate)

    ends: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with serving(tmp_path / "cluster", perform=perform) as server:
        world = server.world
        cluster = connected(server, resync="300ms", max_jobs=60)
        waiting = list(range(count))
        until = time.monotonic() + patience_s
        while waiting or cluster._live:
            assert time.monotonic() < until, f"{len(waiting)} wait; these have not ended: {sorted(cluster._live)}"
            if chance.random() < 0.02:
                world.compact()
            if chance.random() < 0.02:
                world.stale_lists = 1
            if chance.random() < 0.05:
                server.fail_next(chance.choice(("POST", "GET", "DELETE")), ".*", chance.choice((500, 429, 0)))
            batch = waiting[: min(20, cluster.room())]
            try:
                cluster.submit([a_job(tmp_path / "exchange", no) for no in batch])
                del waiting[: len(batch)]
                news = cluster.poll(0.05)
            except ExecutorError:
                continue
            with lock:
                # A pod may run whose making was not answered: nothing meets it before it is the cluster's.
                acts = [one for one in todo if one[1] in cluster._live]
                todo = [one for one in todo if one[1] not in cluster._live]
            for fate, name in acts:
                _meet(world, cluster, fate, name)
            for one in news:
                if isinstance(one, Finished | Gone):
                    ends[one.name] += 1
                    kinds[f"{fates[jobs[one.name]]}: {type(one).__name__}"] += 1
                    cluster.forget([one.name])
        told_until(cluster, lambda news: pods(world) == [])
        assert all(world.starts[names[no]] == 1 for no in range(count))
        cluster.close()
    assert set(ends) == set(jobs)
    return ends, kinds


def _meet(world: World, cluster: KubernetesCluster, fate: str, name: str) -> None:
    if fate == "oom":
        world.kill_for_memory(NAMESPACE, name)
    elif fate == "evicted":
        world.evict(NAMESPACE, name)
    elif fate == "deleted":
        world.delete(NAMESPACE, name, 0)
    elif fate == "hangs":
        for _ in moments():
            try:
                cluster.stop(name, 1.0)
                return
            except ExecutorError:
                continue
        raise AssertionError(f"{name} could not be stopped")


@pytest.mark.parametrize(
    ("count", "patience_s"),
    [(200, 120.0), pytest.param(5000, 800.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_whatever_fails_every_attempt_ends_once_and_no_pod_is_left(
    tmp_path: Path, count: int, patience_s: float
) -> None:
    ends, kinds = _seeded_fates(count, tmp_path, seed=7, patience_s=patience_s)
    assert set(ends.values()) == {1}, kinds
    assert kinds["good: Finished"] > count / 2
    assert not any(kinds[f"{fate}: Finished"] for fate in ("fails", "oom", "evicted"))


class TestWhole(Whole):
    @pytest.fixture
    def new_cluster(self, server: Server) -> NewCluster:
        config = server.kubeconfig(server.world.folder / "config")
        table = {**SETTINGS, "memory_overhead": "128MiB", "kubeconfig": str(config), "python": sys.executable}
        return lambda: make("grid", table)


class TestManifest:
    def test_the_manifest_is_valid_and_restarts_nothing(self, tmp_path: Path) -> None:
        cluster = make(
            "k8s",
            {
                **SETTINGS,
                "resources": {"fpga": "vendor.example/fpga"},
                "tolerations": [{"key": "batch", "operator": "Exists"}],
                "volumes": [
                    {"path": "/scratch", "empty": "10GiB"},
                    {"path": "/data", "claim": "data", "read_only": True},
                ],
                "env_from": ["secret/store", "config_map/common"],
                "secrets": {"KEY": "store/key"},
                "template": {
                    "metadata": {"annotations": {"example.org/team": "etl"}},
                    "spec": {"containers": [{"name": "x", "env": [{"name": "A", "value": "1"}], "workingDir": "/tmp"}]},
                },
            },
        )
        policies = Policies(cpu=0.5, memory_bytes=1 << 30, gpu=1, resources=(("fpga", 1.0),), timeout_s=60, grace_s=5)
        options = {"env": {"A": "2"}, "labels": {"team": "etl"}, "tolerations": [{"key": "x", "operator": "Exists"}]}
        assert cluster.check(policies, options) == ""
        pod = pod_of(cluster._settings, "k8s", a_job(tmp_path, policies=policies, **options), 0)
        _validate(pod)
        spec, container = pod["spec"], pod["spec"]["containers"][0]
        assert (spec["restartPolicy"], spec["automountServiceAccountToken"]) == ("Never", False)
        assert spec["activeDeadlineSeconds"] > 60
        assert container["resources"]["requests"]["cpu"] == "500m"
        assert container["resources"]["limits"]["vendor.example/fpga"] == "1"
        assert "cpu" not in container["resources"]["limits"]
        assert {"name": "A", "value": "2"} in container["env"]
        assert container["workingDir"] == "/tmp"
        assert container["securityContext"]["allowPrivilegeEscalation"] is False

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"image": "evil:1"}, "'evil:1' is not in `allow_images`"),
            ({"secrets": {"A": "other/key"}}, "'other' is not in `allow_secrets`"),
            ({"env_from": ["secret/other"]}, "'other' is not in `allow_secrets`"),
            ({"volumes": [{"path": "/x", "secret": "other"}]}, "'other' is not in `allow_secrets`"),
            ({"volumes": [{"path": "/x", "claim": "other"}]}, "`allow_claims`"),
            ({"volumes": [{"path": "/x", "hostPath": "/"}]}, "hostPath"),
            ({"volumes": [{"path": "/../x", "empty": "1GiB"}]}, "no absolute path"),
            ({"service_account": "admin"}, "'service_account' is not allowed"),
            ({"namespace": "kube-system"}, "there is no 'namespace'"),
            ({"labels": {"partita/job": "pt-x"}}, "what Partita sets itself"),
            ({"env": {"A=B": "c"}}, "no name of a variable"),
            ({"env": {"A": 1}}, "Expected `str`"),
        ],
    )
    def test_what_a_step_may_not_ask_for_is_refused(self, options: dict[str, Any], says: str) -> None:
        cluster = make("k8s", {**SETTINGS, "allow_secrets": ["store"], "allow_images": ["registry.example/team/*"]})
        assert says in cluster.check(Policies(), options)
        assert cluster.check(Policies(), {"image": "registry.example/team/etl:2", "secrets": {"A": "store/key"}}) == ""

    @pytest.mark.parametrize(
        ("table", "says"),
        [
            ({"image": ""}, "say `image`"),
            ({"imgae": "x"}, "did you mean 'image'"),
            ({"template": {"spec": {"hostNetwork": True}}}, "hostNetwork is not allowed"),
            ({"template": {"spec": {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}}}, "hostPath"),
            (
                {"template": {"spec": {"containers": [{"name": "a", "securityContext": {"privileged": True}}]}}},
                "privileged",
            ),
            ({"template": {"spec": {"nodeSelectr": {}}}}, "template.spec.nodeSelectr: a pod has no such field"),
            ({"template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}, "one container"),
            ({"allow": ["namespace"]}, "there is no option 'namespace'"),
            ({"unschedulable": "soon"}, "no duration"),
        ],
    )
    def test_settings_are_read_strictly(self, table: dict[str, Any], says: str) -> None:
        with pytest.raises(DefinitionError, match=says):
            make("k8s", {**SETTINGS, **table})


@needs(shutil.which("kubectl") is not None, "kubectl (apt-get install kubernetes-client)")
class TestKubectl:
    """The real kubectl against the double: what it takes for a server is one."""

    POD = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"}, "spec": {"restartPolicy": "Never", "containers": [{"name": "step", "image": "img:1", "command": ["echo", "hi"]}]}}'

    @pytest.fixture
    def kubectl(self, server: Server, tmp_path: Path) -> Any:
        config = server.kubeconfig(tmp_path / "config")

        def run(*command: str, body: str = "") -> subprocess.CompletedProcess[str]:
            whole = ["kubectl", "--kubeconfig", str(config), "--cache-dir", str(tmp_path / "cache"), *command]
            environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
            return subprocess.run(whole, input=body, capture_output=True, text=True, timeout=30, env=environment)

        return run

    def test_it_applies_shows_reads_and_deletes(self, kubectl: Any) -> None:
        assert kubectl("apply", "-f", "-", body=self.POD).stdout == "pod/hello created\n"
        assert kubectl("apply", "-f", "-", body=self.POD).stdout == "pod/hello unchanged\n"
        for _ in moments():
            if (phase := kubectl("get", "pod/hello", "-o", "jsonpath={.status.phase}").stdout) == "Succeeded":
                break
        assert phase == "Succeeded"
        assert "Completed" in kubectl("get", "pods").stdout
        assert kubectl("logs", "-f", "hello").stdout == "hi\n"
        assert "deleted" in kubectl("delete", "pod", "hello").stdout
        assert "No resources found" in kubectl("get", "pods").stderr

    def test_the_double_refuses_what_a_server_refuses(self, kubectl: Any) -> None:
        for wrong, says in [
            (self.POD.replace("restartPolicy", "restartPolice"), 'unknown field "spec.restartPolice"'),
            (self.POD.replace('"hello"', '"Hello_1"'), "RFC 1123"),
            (self.POD.replace('"Never"', '"Sometimes"'), "Unsupported value"),
            (self.POD.replace('["echo", "hi"]', '"echo"'), "cannot be handled as a Pod"),
        ]:
            assert says in kubectl("create", "-f", "-", body=wrong).stderr
        kubectl("create", "-f", "-", body=self.POD)
        assert "AlreadyExists" in kubectl("create", "-f", "-", body=self.POD).stderr
        changed = self.POD.replace("hi", "there")
        assert "pod updates may not change fields" in kubectl("apply", "-f", "-", body=changed).stderr

    def test_it_shows_our_pods_and_its_delete_is_heard(
        self, kubectl: Any, cluster: KubernetesCluster, stand: Stand
    ) -> None:
        job = stand.let(a_job(stand.exchange), "echo working; exec sleep 60")
        cluster.submit([job])
        told_until(cluster, lambda news: any(isinstance(one, Runs) for one in news))
        assert job.name in kubectl("get", "pods", "-l", "app.kubernetes.io/managed-by=partita").stdout
        assert kubectl("logs", job.name).stdout == "working\n"
        kubectl("delete", "pod", job.name, "--grace-period=1")
        end = end_of(cluster, job)
        assert isinstance(end, Gone)
