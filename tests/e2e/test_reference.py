"""The reference is complete, and its examples run as they are printed.

What is listed there is compared with the code in both directions: a name or option that is missing fails, and so does one
that is gone.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import partita
from partita import testing
from partita.cli import main as cli
from partita.cli import verbs
from partita.core import states
from partita.core.graph import JoinRule
from partita.core.policies import Policies
from partita.core.rules import Tally, decide
from partita.define import asset, conditions, metadata, options, pipeline, project
from partita.define.context import Context
from partita.define.io import _FORMATS, IOContext
from partita.settings import Home, Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "reference.md", *sorted((ROOT / "docs" / "reference").glob("*.md"))]
TASKS, PIPELINES, ASSETS, COMMANDS, TESTING = (
    (ROOT / "docs" / "reference" / f"{name}.md").read_text()
    for name in ("tasks", "pipelines", "assets", "commands", "testing")
)
ALL = "\n".join(page.read_text() for page in PAGES)
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


def blocks(page: Path) -> Iterator[tuple[str, str, str, int]]:
    """The blocks of a page: language, what stands behind it, the text, its line."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        yield match[1], match[2].strip(), match[3], text.count("\n", 0, match.start()) + 2


PRELUDE = next(text for _, kind, text, _ in blocks(PAGES[0]) if kind == "prelude")
EXAMPLES = [
    pytest.param(text, id=f"{page.stem}-{line}")
    for page in PAGES
    for language, kind, text, line in blocks(page)
    if language == "python" and not kind
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"reference_example_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(PRELUDE + code)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)


_numbers = itertools.count()


@pytest.mark.parametrize("page", [p for p in PAGES if any(language == "console" for language, *_ in blocks(p))])
def test_a_session_goes_as_it_is_printed(page: Path, tmp_path: Path) -> None:
    for language, kind, text, _ in blocks(page):
        if kind.startswith("file="):
            (tmp_path / kind.removeprefix("file=")).write_text(text)
        elif language == "console":
            for line in text.splitlines():
                command, _, said = line.removeprefix("$ ").partition("# exits with ")
                done = in_shell(command, tmp_path)
                assert done.returncode == int(said or 0), f"{command}\n{done.stdout}{done.stderr}"


def in_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).parent / "partita"), *shlex.split(command)[1:]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARTITA_")}
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, env=environment)


# --- names and options ----------------------------------------------------------------------------------------------


def table(text: str, head: str) -> list[list[str]]:
    """The rows of the table whose head begins so, cell by cell."""
    lines = iter(text[text.index(f"| {head} |") :].splitlines()[2:])
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def names(text: str, head: str) -> set[str]:
    """What is named as code in the first column: `progress(done)` is progress."""
    cells = " ".join(row[0] for row in table(text, head))
    return {re.split(r"[(=\[. ]", code)[0] for code in _CODE.findall(cells)}


def after(text: str, heading: str) -> str:
    """The page from a heading on."""
    return text[text.index(f"\n{heading}\n") :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_rows_of_a_table_have_as_many_cells_as_its_head(page: Path) -> None:
    lines = _BLOCK.sub("", page.read_text()).splitlines()
    for is_table, rows in itertools.groupby(lines, key=lambda line: line.startswith("|")):
        counts = {len(re.split(r"(?<!\\)\|", row)) for row in rows} if is_table else {0}
        assert len(counts) == 1, "a | in a cell is written \\|"


def test_every_public_name_is_there_and_none_that_is_gone() -> None:
    listed = {code.removeprefix("pt.") for row in table(ALL, "name | is") for code in _CODE.findall(row[0])}
    assert listed == set(partita.__all__)
    used = set(re.findall(r"\bpt\.(\w+)", ALL))
    assert used <= set(partita.__all__), "names that there are not"


def test_every_option_of_tasks_pipelines_and_assets_is_there() -> None:
    head = "option | type | default | meaning"
    assert names(after(TASKS, "## Options"), head) == set(options.STEP_OPTIONS) == set(options.Options.__annotations__)
    assert names(after(PIPELINES, "## Options"), head) == set(pipeline.PipelineOptions.__annotations__)
    own = set(asset.AssetOptions.__annotations__) - set(options.Options.__annotations__)
    assert names(after(ASSETS, "## Options"), head) == own


def test_defaults_and_limits_are_as_they_are_told() -> None:
    policies, settings = Policies(), Settings(Path(), Home(Path()))
    told = {
        row[0].strip("`"): row[2].strip('`"') for row in table(after(TASKS, "## Options"), "option | type | default")
    }
    assert told["retries"] == str(policies.retry.limit)
    assert told["grace"] == f"{policies.grace_s:g} s"
    assert told["priority"] == str(policies.priority)
    assert told["isolation"] == policies.isolation
    assert told["on_lost"] == policies.on_lost
    assert told["lost_limit"] == str(policies.lost_limit)
    for text in (f"{settings.async_slots:,} at once", f"{settings.worker_max_steps:,} steps"):
        assert text in TASKS
    assert (settings.inline_bytes, settings.worker_max_rss_bytes) == (4 << 10, 1 << 30)
    assert "up to 4 KiB" in TASKS
    assert "more than 1 GiB" in TASKS
    assert (settings.log_head_bytes, settings.log_tail_bytes) == (16 << 20, 48 << 20)
    assert "first 16 MiB and about the last 48 MiB" in COMMANDS
    row = next(row for row in table(COMMANDS, "environment variable") if "LOAD_TIMEOUT" in row[0])
    assert row[1] == f"{settings.load_timeout_s:g}"


def test_every_parameter_of_the_other_makers_is_there() -> None:
    import inspect

    pages = {
        "retry": TASKS,
        "backoff": TASKS,
        "cache": TASKS,
        "branch": PIPELINES,
        "loop": PIPELINES,
        "cron": PIPELINES,
    }
    pages |= dict.fromkeys(("check", "hourly", "daily", "weekly", "monthly", "static", "product", "bundle"), ASSETS)
    pages |= dict.fromkeys(("shell", "python_script"), TASKS)
    pages |= {"setup_teardown": PIPELINES}
    for maker, page in pages.items():
        for parameter in inspect.signature(getattr(partita, maker)).parameters.values():
            known = re.search(rf"\b{parameter.name}\b", "\n".join(p for p in _sections(page) if f"pt.{maker}" in p))
            assert known or parameter.name in ("setup", "teardown"), f"pt.{maker}({parameter.name})"
    for facts in (option for option in asset._FACT_READERS if option != "name"):
        assert f"`{facts}`" in after(ASSETS, "## Several assets at once"), facts


def _sections(page: str) -> list[str]:
    return re.split(r"\n#+ ", page)


def test_everything_on_the_context_is_there() -> None:
    facts = {f.name for f in dataclasses.fields(Context) if not f.name.startswith("_")} - {"backend"}
    public = {name: value for name, value in vars(Context).items() if not name.startswith("_") and name not in facts}
    facts |= {name for name, value in public.items() if isinstance(value, property)}
    methods = {name for name, value in public.items() if callable(value)}
    assert names(after(TASKS, "## Context"), "field | is") == facts
    assert names(after(TASKS, "## Context"), "method | does") == methods
    assert names(ASSETS, "field of `pt.IOContext` | is") == {f.name for f in dataclasses.fields(IOContext)}


def test_everything_in_partita_testing_is_there() -> None:
    def members(of: type) -> set[str]:
        return {name for name in vars(of) if not name.startswith("_")}

    listed = names(TESTING, "on the result | is")
    assert listed - {"result"} == members(testing.RunResult) | {"elapsed_s"}
    row = next(row for row in table(TESTING, "on the result | is") if "result[" in row[0])
    assert set(_CODE.findall(row[1])) == members(testing.StepResult)
    made = {name for name, value in vars(testing).items() if _is_maker(name, value)}
    assert names(TESTING, "outcome | the attempt") | {"run"} == made


def _is_maker(name: str, value: Any) -> bool:
    here = getattr(value, "__module__", "") == "partita.testing"
    return here and not name.startswith("_") and callable(value) and not isinstance(value, type)


def test_states_kinds_and_formats_are_all_there() -> None:
    for table_of in (states.RUN_MOVES, states.STEP_MOVES, states.ATTEMPT_MOVES):
        assert all(f"`{state}`" in PAGES[0].read_text() for state in table_of)
    assert names(ASSETS, "kind | made by | of itself") == set(get_args(metadata.Kind))
    assert names(ASSETS, "format | takes | needs") == set(_FORMATS)


# --- join rules -----------------------------------------------------------------------------------------------------

ENDS = {
    "both succeeded": ("succeeded", "succeeded"),
    "one failed": ("succeeded", "failed"),
    "one skipped": ("succeeded", "skipped"),
    "failed, skipped": ("failed", "skipped"),
    "both failed": ("failed", "failed"),
    "both skipped": ("skipped", "skipped"),
}


def test_the_table_of_join_rules_says_what_the_machine_does() -> None:
    head = f"rule | in Airflow | {' | '.join(ENDS)}"
    ours = {airflow: rule for airflow, rule in conditions._AIRFLOW.items() if airflow != "dummy"}
    seen = []
    for rule, airflow, *outcomes in table(PIPELINES, head):
        name = rule.strip("`")
        seen.append(name)
        assert ours.get(airflow.strip("`"), airflow.strip("`")) == name
        for ends, said in zip(ENDS.values(), outcomes, strict=True):
            verdict = decide(name, {str(i): _tally(end) for i, end in enumerate(ends)})  # type: ignore[arg-type]
            assert said == {"run": "runs"}.get(verdict, verdict), (name, ends)
    assert seen == list(get_args(JoinRule))


def _tally(end: str) -> Tally:
    tally = Tally()
    tally.count(end)
    return tally


# --- commands -------------------------------------------------------------------------------------------------------

EVERYWHERE = {"-C", "--project", "-h", "--help", "--json"}


@pytest.mark.parametrize("verb", list(verbs.VERBS))
def test_every_option_of_a_command_is_there(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*verb.split(), "--help"]) == 0
    shown = options_in(capsys.readouterr().out) - EVERYWHERE
    section = after(COMMANDS, f"### partita {verb}").partition("\n##")[2].partition("\n##")[0]
    listed = {o for row in re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE) for o in options_in(row)}
    assert listed == shown


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*\b|(?<![\w-])-[a-zA-Z]\b", text))


def test_settings_and_environment_variables_are_there() -> None:
    written = {"tag_limits": "tags", "namespace_limit": "limit"}
    fields_of_config = {written.get(f.name, f.name) for f in dataclasses.fields(project.Config)} - {"routing"}
    fields_of_config |= {"executors", "executor", "executor_rules"}
    assert names(COMMANDS, "key | default | means") == fields_of_config
    read = set()
    for file in (ROOT / "src" / "partita").rglob("*.py"):
        read |= set(re.findall(r"environ(?:\.get\(|\[)\"(\w+)\"", file.read_text()))
        read |= set(re.findall(r"\"(PARTITA_[A-Z_]+)\"", file.read_text()))
    assert names(COMMANDS, "environment variable | default | means") == read


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the commands page, with a failed run, a run of an asset, and something wrong."""
    folder = tmp_path_factory.mktemp("shop")
    code = next(text for _, kind, text, _ in blocks(ROOT / "docs" / "reference" / "commands.md") if kind)
    wrong = "\n\n@pt.asset\ndef wrong(nothing): ...\n"
    (folder / "pipelines.py").write_text(code + wrong)
    for command in ("partita run prices", "partita run nightly"):
        in_shell(command, folder)
    return folder


def test_json_has_the_fields_that_are_listed(shop: Path) -> None:
    def asked(command: str) -> Any:
        return json.loads(in_shell(f"partita {command} --json", shop).stdout)

    run, prices = asked("show last"), asked("show 1")
    failed = next(s for s in run["steps"] if s["state"] == "failed")
    good = next(s for s in run["steps"] if s["state"] == "succeeded")
    listed = asked("list")
    objects = {
        "run": asked("runs")[0],
        "step": failed,
        "attempt": failed["attempts"][0],
        "failure": failed["attempts"][0]["failure"],
        "value": good["value"],
        "materialization": prices["materializations"][0],
        "check": prices["checks"][0],
        "cause": run["causes"][0],
        "explanation": {k: v for k, v in asked("why last report").items() if k not in ("run", "no")},
        "problem": asked("check")["problems"][0],
        "pipeline": listed["pipelines"][0],
        "asset": listed["assets"][0],
        "graph step": asked("graph nightly")["steps"][0],
        "report": asked("report"),
    }
    told = {row[0]: fields(row[1]) for row in table(COMMANDS, "object | fields")}
    assert {name: set(value) for name, value in objects.items()} == {name: told[name] for name in objects}
    assert set(objects) | {"usage", "metadata"} == set(told)
    assert set(run) == told["run"] | {"counts", "causes", "steps", "materializations", "checks"}
    assert {"run", "no"} < set(asked("why last report"))
    assert set(asked("why last")) == told["run"] | {"counts", "causes", "open"}
    assert set(asked("show nightly")) == told["pipeline"] | {"runs", "sizes"}
    assert set(asked("show prices")) == told["asset"] | {"materializations", "checks"}


def fields(cell: str) -> set[str]:
    """The fields of an object; what stands in parentheses are fields of a field."""
    return set(_CODE.findall(re.sub(r"\([^)]*\)", "", cell)))


def test_the_table_of_commands_names_all_that_print_json(capsys: pytest.CaptureFixture[str]) -> None:
    printing = set()
    for verb in verbs.VERBS:
        cli.run([*verb.split(), "--help"])
        if "--json" in capsys.readouterr().out:
            printing.add(verb)
    told = {code for row in table(COMMANDS, "command | prints") for code in _CODE.findall(row[0])}
    assert {verb_of(code) for code in told} == printing


def verb_of(code: str) -> str:
    return " ".join(itertools.takewhile(str.islower, code.split()))
