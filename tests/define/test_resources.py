"""Resources: declared as classes, filled from settings, given to steps by annotation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.define.injecting import resource_named, resource_params
from partita.define.project import Project, load
from partita.define.resource import definition_of, variable_of
from partita.errors import DefinitionError

CODE = '''
from __future__ import annotations
import partita as pt

@pt.resource
class Warehouse:
    """Where reports read from."""

    url: str
    password: pt.Secret
    retries: int = 3
    tags: list[str] | None = None

    def test(self) -> str | None:
        return None if self.url.startswith("db://") else f"{self.url} is no database"

@pt.resource(name="mail")
class SmtpServer:
    host: str = "localhost"

@pt.task
def load(rows: int, warehouse: Warehouse, eu_warehouse: Warehouse, mail: SmtpServer) -> str:
    return f"{rows} {warehouse.url} {eu_warehouse.url} {mail.host} {warehouse.password!r} {eu_warehouse.password!r}"

@pt.asset
def report(daily: int, warehouse: Warehouse): ...

@pt.asset
def daily(): ...

@pt.pipeline
def nightly():
    load(7)
'''
SETTINGS = """
[tool.partita]
secrets = { API = "env:API_TOKEN" }
[tool.partita.resources.warehouse]
url = "db://us"
[tool.partita.resources.eu_warehouse]
of = "warehouse"
url = "db://eu"
password = "EU_PASSWORD"
retries = 5
"""


def loaded(folder: Path, settings: str = SETTINGS, code: str = CODE) -> Project:
    (folder / "pipelines.py").write_text(code)
    (folder / "pyproject.toml").write_text(settings)
    return load(folder)


def problems(project: Project) -> list[str]:
    return [problem.message for problem in project.manifest.problems]


def test_a_manifest_has_names_and_schemas_of_resources_and_no_values(tmp_path: Path) -> None:
    manifest = loaded(tmp_path).manifest
    assert manifest.problems == ()
    by_name = {spec.name: spec for spec in manifest.resources}
    assert list(by_name) == ["warehouse", "mail", "eu_warehouse"]
    warehouse, eu = by_name["warehouse"], by_name["eu_warehouse"]
    assert (warehouse.of, warehouse.can_test, warehouse.secrets) == ("Warehouse", True, ("WAREHOUSE_PASSWORD",))
    assert (eu.of, eu.secrets, by_name["mail"].can_test) == ("Warehouse", ("EU_PASSWORD",), False)
    assert warehouse.description == "Where reports read from."
    assert warehouse.written_at.startswith("pipelines.py:")
    schema = json.loads(warehouse.schema)
    assert schema["required"] == ["url"]
    assert schema["properties"]["password"] == {"type": "string", "format": "partita-secret"}
    assert schema["properties"]["retries"]["type"] == "integer"
    assert manifest.secrets == ("API", "WAREHOUSE_PASSWORD", "EU_PASSWORD")
    assert manifest.secret_sources == (("API", "env:API_TOKEN"),)
    assert "db://" not in repr(manifest)


def test_steps_get_resources_by_annotation_and_pass_only_the_rest(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    step = next(s for p in project.manifest.pipelines for s in p.graph.steps)
    assert [name for name, _ in step.args] == ["rows"]
    told = project.calls[step.call].function(rows=7)
    assert told == "7 db://us db://eu localhost <secret WAREHOUSE_PASSWORD> <secret EU_PASSWORD>"
    report = next(a for a in project.manifest.assets if a.name == "report")
    assert report.deps == ("daily",)


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(tmp_path)
    monkeypatch.setenv(variable_of("warehouse", "url"), "db://here")
    monkeypatch.setenv(variable_of("warehouse", "retries"), "9")
    monkeypatch.setenv(variable_of("warehouse", "tags"), '["x", "y"]')
    found = resource_named("warehouse")
    assert (found.url, found.retries, found.tags) == ("db://here", 9, ["x", "y"])
    assert resource_named("eu_warehouse").url == "db://eu"
    monkeypatch.setenv(variable_of("warehouse", "retries"), "many")
    with pytest.raises(DefinitionError, match="field `retries` of resource `warehouse`") as error:
        resource_named("warehouse")
    assert "PARTITA_RESOURCE_WAREHOUSE_RETRIES" in (error.value.hint or "")


def test_what_a_worker_finds_missing_is_said_with_where_to_set_it(tmp_path: Path) -> None:
    project = loaded(tmp_path, "[tool.partita]\n")
    assert project.manifest.problems == ()
    with pytest.raises(DefinitionError, match="resource `warehouse` needs a value for `url`") as error:
        resource_named("warehouse")
    assert "[tool.partita.resources.warehouse]" in (error.value.hint or "")
    with pytest.raises(DefinitionError, match="no resource `warehous`") as near:
        resource_named("warehous")
    assert near.value.hint == "did you mean `warehouse`?"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("[tool.partita.resources.warehouse]\nurll = 'x'", "resource `warehouse` has no field `urll`"),
        ("[tool.partita.resources.warehouse]\nurl = 7", "field `url` of resource `warehouse`"),
        ("[tool.partita.resources.other]\nurl = 'x'", r"no resource `other` is declared"),
        ("[tool.partita.resources.eu]\nof = 'warehous'", r"no resource `warehous` is declared"),
        ("[tool.partita.resources.warehouse]\npassword = 7", "the name of a secret"),
        ("[tool.partita.resources.warehouse]\npassword = 'not a name!'", "is no name of a secret"),
    ],
)
def test_what_is_wrong_in_the_settings_is_a_problem_of_the_project(tmp_path: Path, settings: str, says: str) -> None:
    found = problems(loaded(tmp_path, f"[tool.partita]\n{settings}\n"))
    assert len(found) == 1
    assert re.search(says, found[0]), found


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        ('{ API = "nowhere" }', "is no source"),
        ('{ API = "vault:x" }', "is no source|needs mount"),
        ('{ "a b" = "env:X" }', "is no name of a secret"),
        ('["a b"]', "is no name of a secret"),
        ('"X"', "must be a list"),
    ],
)
def test_what_is_wrong_with_the_sources_of_secrets_is_one_clear_error(tmp_path: Path, secrets: str, says: str) -> None:
    with pytest.raises(pt.PartitaError, match=says):
        loaded(tmp_path, f"[tool.partita]\nsecrets = {secrets}\n")


def test_the_test_of_a_resource_is_a_call_of_the_project(tmp_path: Path) -> None:
    project = loaded(tmp_path)
    spec = next(s for s in project.manifest.resources if s.name == "warehouse")
    assert project.calls[spec.call].function() is None
    project = loaded(tmp_path, SETTINGS.replace("db://us", "file://us"))
    assert project.calls[spec.call].function() == "file://us is no database"


def test_outside_of_a_pipeline_a_task_is_the_plain_function_and_a_resource_a_plain_value() -> None:
    @pt.resource
    class Bucket:
        name: str
        key: pt.Secret = pt.secret("BUCKET_KEY")

    @pt.task
    def put(text: str, bucket: Bucket) -> str:
        return f"{bucket.name}:{text}"

    bucket = Bucket(name="b")
    assert put("x", bucket=bucket) == "b:x"
    assert bucket == Bucket(name="b")
    assert bucket.key == pt.Secret("BUCKET_KEY")
    with pytest.raises(AttributeError):
        bucket.name = "c"
    definition = definition_of(Bucket)
    assert definition is not None
    assert definition.name == "bucket"


def test_annotations_are_looked_up_and_never_evaluated() -> None:
    def task(ctx: Any, x: print("boom"), y: os.system, z: int) -> None: ...  # type: ignore[name-defined] # noqa: F821

    assert resource_params(task) == {}


def test_only_classes_are_resources() -> None:
    with pytest.raises(DefinitionError, match="@resource is for classes"):
        pt.resource(lambda: None)  # type: ignore[type-var]
    with pytest.raises(DefinitionError, match="resource"):

        @pt.resource(name="no name")
        class Bad: ...
