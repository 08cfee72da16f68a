"""The files in deploy/: the chart is linted and rendered by Helm's own library and holds to the schemas of Kubernetes, the Compose
file to what Compose says of it; each starts programs that exist, with options that they have. None was ever run on a cluster.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

kubernetes_validate = pytest.importorskip("kubernetes_validate")
yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "partita"
ALL = {
    "image": {"repository": "registry.internal/partita", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "pull"}],
    "values": "s3://bucket/partita",
    "schedulers": {"replicas": 3, "workers": 8, "spread": True},
    "web": {"replicas": 1, "auth": "oidc"},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"a/b": "c"}},
    "shared": {"existingClaim": "mine"},
    "kubernetesExecutor": {"enabled": True},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn"}},
    "env": [{"name": "AWS_REGION", "value": "eu-central-1"}],
    "nodeSelector": {"pool": "flows"},
    "tolerations": [{"key": "flows", "operator": "Exists"}],
    "podAnnotations": {"checksum": "1"},
}


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    pytest.importorskip("helm_python")
    command = [sys.executable, str(Path(__file__).with_name("render_chart.py")), str(CHART)]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def objects(values: dict[str, Any]) -> list[dict[str, Any]]:
    manifests = rendered(values)["manifests"]
    texts = [text for name, text in manifests.items() if name.endswith(".yaml")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


@pytest.mark.parametrize("values", [{}, ALL], ids=["as it is", "all of it"])
def test_the_chart_is_clean_and_its_manifests_hold_to_the_schemas(values: dict[str, Any]) -> None:
    found = rendered(values)
    assert "error" not in found, found
    severe = [
        f for f in found["findings"].get("messages", []) if str(f.get("severity", "")).upper() in ("ERROR", "WARNING")
    ]
    assert severe == []
    kinds = []
    for manifest in objects(values):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        kinds.append(manifest["kind"])
    assert kinds.count("Deployment") == 2
    assert ("Ingress" in kinds) == bool(values)
    assert ("PersistentVolumeClaim" in kinds) == (not values)
    assert ("Role" in kinds) == bool(values)
    assert kinds.count("PodDisruptionBudget") == (1 if values else 2)


@pytest.mark.parametrize(
    "values",
    [{"schedulers": {"replicas": 0}}, {"values": "ftp://x"}, {"web": {"auth": "local"}}, {"repicas": 1}],
    ids=repr,
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any]) -> None:
    assert "error" in rendered(values)


def test_pods_are_selected_by_what_they_are_and_may_do_little() -> None:
    found = objects({})
    pods = {m["metadata"]["name"]: m["spec"]["template"] for m in found if m["kind"] == "Deployment"}
    (service,) = [m for m in found if m["kind"] == "Service"]
    chosen = [n for n, p in pods.items() if service["spec"]["selector"].items() <= p["metadata"]["labels"].items()]
    assert chosen == ["release-partita-web"]
    for pod in pods.values():
        (container,) = pod["spec"]["containers"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


def commands() -> list[list[str]]:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    found = [s["command"] for s in compose["services"].values() if "command" in s]
    found += [
        container["args"]
        for values in ({}, ALL)
        for m in objects(values)
        if m["kind"] == "Deployment"
        for container in m["spec"]["template"]["spec"]["containers"]
    ]
    image = (DEPLOY / "Containerfile.server").read_text()
    found.append(json.loads(re.search(r"^CMD (\[.*\])$", image, re.MULTILINE)[1]))  # type: ignore[index]
    return found


def test_what_is_started_exists_with_these_options() -> None:
    seen = set()
    for command in commands():
        if command[0] == "partita":
            asked = [sys.executable, "-m", "partita.cli.main", command[1], "--help"]
        else:
            assert command[:3] == ["python", "-P", "-m"]
            asked = [sys.executable, "-m", command[3], "--help"]
        page = subprocess.run(asked, capture_output=True, text=True, timeout=60)
        assert page.returncode == 0, page.stderr
        for option in (word for word in command if word.startswith("--")):
            assert option.replace("--no-", "--") in page.stdout, (option, command)
        seen.add(command[0])
    assert seen == {"partita", "python"}
    spread = ["--spread" in command for command in commands() if command[:2] == ["partita", "up"]]
    # The chart as it is, the chart with all of it, the image.
    assert spread == [False, True, False]


def test_the_compose_file_is_one(tmp_path: Path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) == {"postgres", "scheduler", "standby", "web"}
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"], name
        for needed in service.get("depends_on", {}):
            assert "healthcheck" in compose["services"][needed], name
    assert compose["services"]["web"]["ports"] == ["127.0.0.1:4400:4400"]
    compose_spec = pytest.importorskip("compose_spec")
    text = (DEPLOY / "compose.yaml").read_text()
    parsed = compose_spec.ComposeSpecification.model_validate(yaml.safe_load(text))
    assert parsed is not None


def test_containers_of_one_installation_share_what_they_must(tmp_path: Path) -> None:
    script = (DEPLOY / "shared-home.sh").read_text()
    homes = [tmp_path / "one", tmp_path / "two"]
    shared = tmp_path / "shared"
    for home in homes:
        home.mkdir()
        own = tmp_path / f"{home.name}.sh"
        own.write_text(script.replace("home=/var/lib/partita", f"home={home}"))
        done = subprocess.run(
            ["sh", str(own), "echo", "began"],
            env={**os.environ, "PARTITA_SHARED": str(shared)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout == "began\n", done.stderr
    keys = {(home / "gates.key").read_bytes() for home in homes}
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    (homes[0] / "logs" / "1").mkdir()
    assert (homes[1] / "logs" / "1").is_dir()
    assert sorted(path.name for path in shared.iterdir()) == [
        "cache", "checkpoints", "code", "deployed", "gates.key", "logs", "values",
    ]  # fmt: skip
