"""What a step was given and gave, its code, its log by lines and what it used; over HTTP, from a real service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from .serving import Serving
from .test_runs import V1, ended, started, whole_log

PIPELINES = """
import dataclasses
import time
from pathlib import Path
from pathlib import Path

import pandas as pd
import partita as pt

TOKEN = pt.secret("TOKEN")
PICTURE = b"\\x89PNG\\r\\n\\x1a\\n" + b"0" * 40


class Odd:
    def __reduce__(self):
        return (print, ("unpickled in the wrong place",))


@dataclasses.dataclass
class Point:
    x: int


@pt.task
def frame(count: int) -> pd.DataFrame:
    return pd.DataFrame({"id": range(count), "name": ["<b>ann</b>"] * count, "x": [1.5, None] * (count // 2)})


@pt.task
def odd() -> Odd:
    return Odd()


@pt.task
def picture() -> bytes:
    return PICTURE


@pt.task
def many() -> list[int]:
    return list(range(100_000))


@pt.task
def told() -> dict:
    token = TOKEN.get()
    return {"token": token, "again": ["x" + token]}


@pt.task
def all_of(
    table: pd.DataFrame, thing: Odd, image: bytes, numbers: list, secret: dict, count: int, file: Path, point: Point,
    both: list,
) -> int:
    print("WARNING odd\\nall", count)
    return count


@pt.pipeline
def inside(count: int = 100):
    table, first = frame(count), many()
    path, point = Path("pipelines.py"), Point(3)
    all_of(table, odd(), picture(), first, told(), count, path, point, [table, 1])


@pt.task
def works(seconds: float) -> None:
    until = time.monotonic() + seconds
    hog = bytearray(40_000_000)
    while time.monotonic() < until:
        sum(range(10_000))


@pt.pipeline
def long(seconds: float = 2.6):
    works(seconds)


@pt.task
def one(n: int) -> int:
    return n * 2


@pt.pipeline
def mapped():
    one.map([1, 2, 3])
"""

SECRET = "a very secret word"


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN", SECRET)
        service = Serving(tmp_path_factory.mktemp("inside"), PIPELINES)
        yield service
        assert service.end() == (0, 0)


@pytest.fixture(scope="module")
def api(inside: Serving) -> Iterator[httpx2.Client]:
    with inside.client() as client:
        yield client


@pytest.fixture(scope="module")
def run(api: httpx2.Client) -> dict[str, Any]:
    found = ended(api, started(api, {"pipeline": "inside"})["id"])
    assert found["state"] == "succeeded", found
    return found


@pytest.fixture(scope="module")
def given(api: httpx2.Client, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answer = api.get(f"{V1}/runs/{run['id']}/steps/all_of/values").json()
    return {value["name"]: value for value in answer["inputs"]} | {"out": answer["output"]}


def test_a_frame_is_a_table_of_its_first_rows_with_its_types(given: dict[str, dict[str, Any]]) -> None:
    table = given["table"]
    assert (table["kind"], table["of"]) == ("table", ["frame"])
    assert table["table"]["columns"][0] == ["id", "int64"]
    assert (table["table"]["count"], table["table"]["width"]) == (100, 3)
    assert table["table"]["rows"][1] == [1, "<b>ann</b>", None]
    assert len(table["table"]["rows"]) <= 20


def test_what_would_have_to_be_unpickled_is_described(given: dict[str, dict[str, Any]], inside: Serving) -> None:
    assert given["thing"]["kind"] == "described"
    assert given["thing"]["codec"] == "pickle"
    assert given["thing"]["size"] > 0
    assert "unpickled" not in inside.web.errors()


def test_plain_data_is_shown_as_it_is_and_a_long_list_in_part(given: dict[str, dict[str, Any]]) -> None:
    assert (given["count"]["kind"], given["count"]["value"], given["count"]["of"]) == ("json", 100, ["parameter count"])
    assert given["point"]["value"] == {"x": 3}
    assert given["out"]["value"] == 100
    numbers = given["numbers"]
    assert numbers["value"][:3] == [0, 1, 2]
    assert len(numbers["value"]) == 200
    assert (numbers["length"], numbers["note"]) == (100_000, "only a part of it is shown")


def test_a_file_is_named_with_its_size_if_it_is_the_projects(given: dict[str, dict[str, Any]]) -> None:
    assert (given["file"]["kind"], given["file"]["value"]) == ("file", "pipelines.py")
    assert given["file"]["note"].endswith("bytes")


def test_several_values_are_shown_one_by_one(given: dict[str, dict[str, Any]]) -> None:
    assert given["both"]["kind"] == "several"
    assert [item["kind"] for item in given["both"]["items"]] == ["table", "json"]


def test_a_secret_is_masked_wherever_it_went(
    api: httpx2.Client, run: dict[str, Any], given: dict[str, dict[str, Any]]
) -> None:
    assert given["secret"]["value"] == {"token": "***", "again": ["x***"]}
    for path in ("", "/told", "/told/values", "/all_of/values", "/told/code"):
        assert SECRET not in api.get(f"{V1}/runs/{run['id']}/steps{path}").text


def test_who_may_not_read_what_steps_write_does_not_read_what_they_returned(
    api: httpx2.Client, inside: Serving, run: dict[str, Any]
) -> None:
    token = api.post(f"{V1}/tokens", json={"name": "viewer", "scopes": ["*:view"]}).json()["text"]
    with httpx2.Client(base_url=inside.address, headers={"Authorization": f"Bearer {token}"}) as viewer:
        answer = viewer.get(f"{V1}/runs/{run['id']}/steps/told")
        assert answer.status_code == 200, answer.text
        value = answer.json()["value"]
        assert "content" not in value
        assert value["preview"] == ""
        assert viewer.get(f"{V1}/runs/{run['id']}/steps/told/values").status_code == 403


def test_an_image_has_an_address_at_which_nothing_can_run(api: httpx2.Client, run: dict[str, Any]) -> None:
    at = f"{V1}/runs/{run['id']}/steps/all_of"
    assert api.get(f"{at}/values").json()["inputs"][2]["media"] == "image/png"
    answer = api.get(f"{at}/value/image", params={"argument": "image"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.content.startswith(b"\x89PNG")
    assert api.get(f"{at}/value/image", params={"argument": "count"}).status_code == 404
    assert api.get(f"{at}/value/image").status_code == 404


def test_an_instance_of_a_map_is_given_its_element(api: httpx2.Client) -> None:
    run = ended(api, started(api, {"pipeline": "mapped"})["id"])
    found = api.get(f"{V1}/runs/{run['id']}/steps/one/values", params={"index": "2"}).json()
    assert [value["value"] for value in found["inputs"]] == [3]
    assert found["output"]["value"] == 6
    assert api.get(f"{V1}/runs/{run['id']}/steps/one/values", params={"index": "7"}).status_code == 404
    assert api.get(f"{V1}/runs/{run['id']}/steps/one/values", params={"index": "x"}).status_code == 422


def test_lines_of_a_log_are_had_by_number_and_found(api: httpx2.Client, run: dict[str, Any]) -> None:
    whole_log(api, run["id"], "all_of")
    at = f"{V1}/runs/{run['id']}/steps/all_of/log"
    lines = api.get(f"{at}/lines", params={"first": 3}).json()
    assert [(line["no"], line["text"]) for line in lines["lines"]] == [(3, "all 100")]
    assert (lines["total"], lines["over"], lines["levels"]["WARNING"]) == (3, True, 1)
    found = api.get(f"{at}/find", params={"text": "ALL"}).json()
    assert ([line["no"] for line in found["lines"]], found["count"], found["next"]) == ([3], 1, None)
    assert api.get(f"{at}/whole").text.endswith("WARNING odd\nall 100\n")


def test_a_long_attempt_has_a_curve_and_a_short_one_has_none(api: httpx2.Client, run: dict[str, Any]) -> None:
    long = ended(api, started(api, {"pipeline": "long"})["id"])
    curve = api.get(f"{V1}/runs/{long['id']}/steps/works/attempts/1/usage").json()
    assert len(curve["seconds"]) == len(curve["memory_bytes"]) == len(curve["processors"]) >= 2
    assert max(curve["memory_bytes"]) > 40_000_000
    assert max(curve["processors"]) > 0.1
    assert curve["limit_bytes"] is None
    short = api.get(f"{V1}/runs/{run['id']}/steps/all_of/attempts/1/usage").json()
    assert (short["seconds"], short["began_at"]) == ([], None)
    assert api.get(f"{V1}/runs/{run['id']}/steps/all_of/attempts/9/usage").status_code == 404


def test_the_code_of_a_step_is_that_of_its_run_with_the_lines_of_its_definition(
    api: httpx2.Client, run: dict[str, Any]
) -> None:
    code = api.get(f"{V1}/runs/{run['id']}/steps/told/code").json()
    assert code["file"] == "pipelines.py"
    lines = code["text"].splitlines()[code["first"] - 1 : code["last"]]
    assert (lines[0], lines[-1]) == ("@pt.task", '    return {"token": token, "again": ["x" + token]}')
    assert api.get(f"{V1}/runs/{run['id']}/steps/nothing/code").status_code == 404


def test_two_versions_are_compared_by_files_and_by_steps(
    api: httpx2.Client, run: dict[str, Any], inside: Serving
) -> None:
    file = inside.folder / "pipelines.py"
    text = file.read_text()
    try:
        file.write_text(text.replace("return n * 2", "return n * 3").replace("def long(", "def longer("))
        new = version_after(api, run["code"])
        project = run["project"]
        diff = api.get(f"{V1}/projects/{project}/versions/{new}/diff", params={"against": run["code"]}).json()
        assert [(f["file"], f["change"], f["lines_added"], f["lines_removed"]) for f in diff["files"]] == [
            ("pipelines.py", "changed", 2, 2)
        ]
        assert "return n * 2" in diff["files"][0]["before"]
        assert "return n * 3" in diff["files"][0]["after"]
        changes = {p["pipeline"]: p for p in diff["pipelines"]}
        assert changes["mapped"]["steps_changed"] == ["one"]
        assert (changes["longer"]["change"], changes["long"]["change"]) == ("added", "removed")
        assert "inside" not in changes
        # The run still shows the code that it ran.
        old = ended(api, run["id"])
        code = api.get(f"{V1}/runs/{old['id']}/steps/told/code", params={"version": new}).json()
        assert code["code"] == new
        assert "return n * 3" in code["text"]
        assert "return n * 2" in api.get(f"{V1}/runs/{old['id']}/steps/told/code").json()["text"]
        assert api.get(f"{V1}/projects/{project}/versions/{new}/diff").json()["against"] == run["code"]
        assert api.get(f"{V1}/projects/{project}/versions/{run['code']}/diff").status_code == 404
        assert api.get(f"{V1}/projects/{project}/versions/{new}/diff?against=none").status_code == 404
    finally:
        file.write_text(text)
        version_after(api, new)


def version_after(api: httpx2.Client, before: str) -> str:
    """The version that is served when it is another one."""
    until = time.monotonic() + 20
    while True:
        found = str(api.get(f"{V1}/projects").json()["items"][0]["code"])
        if found != before or time.monotonic() > until:
            return found


def test_a_link_among_the_kept_files_is_no_code(tmp_path: Path) -> None:
    from partita.server import kept_code

    (tmp_path / "real.py").write_text("x = 1\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "real.py")
    (tmp_path / "plain.txt").write_text("x")
    assert kept_code.read(tmp_path, "real.py") == ("x = 1\n", False)
    for file in ("link.py", "../real.py", "/etc/passwd", "plain.txt", "real.py/x.py", "", "no\0.py", "./real.py"):
        assert kept_code.read(tmp_path, file) is None, file
