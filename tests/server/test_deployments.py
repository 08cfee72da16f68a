"""Deployments over HTTP and from the command line: what is taken, what is refused, and what is remembered of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import partita as pt
from partita.executors import bundle

from .serving import Serving

V1 = "/api/v1/deployments"
SMALL = (
    "import partita as pt\n\n@pt.task\ndef a() -> int:\n    return {number}\n\n@pt.pipeline\ndef small():\n    a()\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("host")
    service = Serving(folder, SMALL.format(number=0).replace("small", "mine"), "")
    yield service
    assert service.end() == (0, 0)


@pytest.fixture
def api(server: Serving) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def folder_with(tmp_path: Path, number: int, name: str = "small") -> Path:
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    (folder / "pipelines.py").write_text(SMALL.format(number=number))
    (folder / "pyproject.toml").write_text(f'[tool.partita]\nname = "{name}"\n')
    return folder


def send(api: httpx2.Client, digest: str, data: bytes, name: str = "small") -> httpx2.Response:
    headers = {"Content-Type": "application/gzip"}
    return api.post(f"{V1}/{name}", params={"digest": digest}, content=data, headers=headers)


def test_a_project_is_brought_changed_refused_and_rolled_back_by_the_command_line(
    server: Serving, api: httpx2.Client, tmp_path: Path
) -> None:
    folder = folder_with(tmp_path, 1, "cli")

    def partita(*words: str, rc: int = 0) -> str:
        env = {**os.environ, "PARTITA_URL": server.address, "PARTITA_TOKEN": server.token}
        command = [sys.executable, "-m", "partita.cli.main", *words]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == rc, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "a new project there" in partita("deploy", "--dry-run")
    assert api.get(f"{V1}/cli").status_code == 404
    assert "cli is served with version" in partita("deploy", "--reason", "first")
    assert "is served as it is here: deployment 1" in partita("deploy")
    folder_with(tmp_path, 2, "cli")
    (folder / "more.sql").write_text("select 1")
    changed = partita("deploy", "--name", "cli")
    assert "~ pipelines.py" in changed
    assert "+ more.sql" in changed
    (folder / "pipelines.py").write_text("import nowhere_at_all\n")
    refused = partita("deploy", rc=1)
    assert "deployment 3 is refused" in refused
    assert "pipelines.py:1" in refused
    assert "nowhere_at_all" in refused
    assert "is served with version" in partita("deploy", "--rollback")
    found = json.loads(partita("deployments", "cli", "--json"))
    assert [(d["no"], d["state"], d["rollback"]) for d in found] == [
        (4, "taken", True),
        (3, "refused", False),
        (2, "taken", False),
        (1, "taken", False),
    ]
    assert found[0]["digest"] == found[3]["digest"]
    assert "cli" in partita("deployments")
    served = next(p for p in api.get("/api/v1/system").json()["projects"] if p["project"] == "cli")
    assert (served["deployment"], served["code"], served["rollback"]) == (
        4,
        found[0]["code"],
        "partita deploy --rollback 2",
    )
    assert "not 'else'" in partita("deploy", "--name", "else", rc=2)
    audit = api.get("/api/v1/audit", params={"limit": 50}).json()["items"]
    assert [e["object"] for e in audit if e["action"].startswith("POST /api/v1/deployments")].count("project:cli") == 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no archive", "no bundle"),
        (gzip.compress(b"\0" * (1 << 20) + b"x"), "no bundle"),
    ],
)
def test_what_is_no_bundle_is_refused(api: httpx2.Client, data: bytes, words: str) -> None:
    answer = send(api, "0" * 64, data)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_path_out_of_the_folder_another_digest_and_too_much_are_refused(
    api: httpx2.Client, server: Serving, tmp_path: Path
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../../evil.py"), io.BytesIO(b""))
    assert "leads out" in send(api, "0" * 64, out.getvalue()).json()["detail"]
    made = bundle.pack(folder_with(tmp_path, 3), into=tmp_path)
    assert "has the digest" in send(api, "0" * 64, made.path.read_bytes()).json()["detail"]
    assert send(api, made.digest, b"x" * (bundle.MOST_PACKED_BYTES + 1)).status_code == 413
    assert send(api, "no digest", made.path.read_bytes()).status_code == 422
    assert api.get(f"{V1}/small").status_code == 404
    assert not list(server.home.rglob("evil.py"))


def test_only_an_author_of_its_namespace_may_bring_a_project(
    server: Serving, api: httpx2.Client, tmp_path: Path
) -> None:
    made = bundle.pack(folder_with(tmp_path, 4), into=tmp_path)
    for scope, status in (("default:operator", 403), ("sales:author", 404)):
        token = api.post("/api/v1/tokens", json={"name": "t", "scopes": [scope]}).json()["text"]
        with server.client(headers={"Authorization": f"Bearer {token}"}) as other:
            assert send(other, made.digest, made.path.read_bytes()).status_code == status
    assert api.get(f"{V1}/small").status_code == 404


def test_the_client_brings_and_waits(server: Serving, tmp_path: Path) -> None:
    made = bundle.pack(folder_with(tmp_path, 5, "viapython"), into=tmp_path)
    with pt.Client(server.address, server.token) as client:
        begun: dict[str, Any] = client.deployments.bring("viapython", made.digest, made.path.read_bytes(), over="")
        ended = client.deployments.wait("viapython", begun["no"])
        assert (ended["state"], ended["served"]) == ("taken", True)
        assert [f["path"] for f in client.deployments.files("viapython", 1)] == ["pipelines.py", "pyproject.toml"]
        assert [d["project"] for d in client.deployments.list() if d["project"] == "viapython"] == ["viapython"]
        run = client.runs.start("viapython/small", wait="30s")
        assert run.state == "succeeded"
