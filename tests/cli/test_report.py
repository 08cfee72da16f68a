"""`partita report`: what it says of a project with a history, and a page into which nobody can write markup."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from partita.cli.labels import Labels
from partita.cli.report import report_lines
from partita.cli.report_page import page
from partita.cli.styled import clean
from partita.core.events import RunCreated
from partita.core.graph import Graph, Step
from partita.core.machine import RunMachine
from partita.engine.report import Broken, Checked, Count, Made, NotRun, Recovered, Report, Slow, Warned
from partita.engine.timeline import Leg, Span

from .projects import Partita

NASTY = (
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "<a href=javascript:alert(1)>click</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<form action=https://evil.example><button>go",
    "--><script>alert(1)</script><!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!doctype html><html><body onload=alert(1)>",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "\u202egpj.exe",
    "nul\x00 bell\x07 lone \ud800 end",
    "<style>*{background:url(https://evil.example)}</style>",
    "{{7*7}} ${7*7} %s %(x)s {0}",
    "<details open ontoggle=alert(1)>",
)


class Reader(HTMLParser):
    """What a browser would see: tags, attributes, text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def hostile(word: str) -> Report:
    """A report in which every text is this one."""
    cause = Broken(
        step=word, indexes=("",), noun=word, state="failed", error=word, message=f"{word}\n{word}", traceback=word,
        cause="exception", owner=word, description=word, written_at=word, attempts=2, first_at=0.0,
        blocks=(Count(word, (word,)),), missed=(word,), history=("succeeded", "failed"),
    )  # fmt: skip
    return Report(
        no=1, run=word, project=word, pipeline=word, description=word, owner=word, partition=word, selection=(),
        state="failed", reason=word, by=word, rerun_of=word, started_at=0.0, finished_at=9.0, took_s=9.0,
        usually_s=3.0, steps=1, counts={"failed": 1}, attempts=1, cached=1, reused=0, made=(Made(word, 3, 1, 1),),
        checks=Checked(4, 1, 1, 1), causes=(cause,), warnings=(Warned(word, word, word, word, word, word),),
        slow=(Slow(word, "", word, 9.0, 1.0, 2.0, 5),), recovered=(Recovered(word, "", word, 3, word),),
        not_run=(NotRun("skipped", word, (word,)),), critical_path=(Leg(word, "", 1.0, 5.0), Leg(word, "", 1.0, 2.0)),
        spans=(Span(word, word, "", "failed", 1.0, 5.0),),
    )  # fmt: skip


def labels() -> Labels:
    run = RunCreated(at=0.0, run="r", namespace="d", project="p", pipeline="x", graph="", code="", origin="o")
    return Labels(RunMachine(Graph("x", (Step("a"),)), run), 1)


@pytest.mark.parametrize("word", NASTY)
def test_nothing_that_somebody_named_or_logged_becomes_markup_of_the_page(word: str) -> None:
    text = page(hostile(word), labels(), {(word, ""): [word, word]})
    text.encode("utf-8")
    seen = Reader()
    seen.feed(text)
    assert seen.tags == {
        "html", "head", "meta", "title", "style", "body", "main", "header", "p", "h1", "span", "div", "b", "i", "svg",
        "rect", "section", "h2", "code", "details", "summary", "ul", "li", "pre", "footer",
    }  # fmt: skip
    names = {name for name, _ in seen.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("href", "src", "style", "action", "srcdoc")]
    # It is still told, for whoever has to find it.
    assert clean(word) in "".join(seen.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", text)


@pytest.mark.parametrize("word", NASTY)
def test_nothing_of_it_reaches_the_terminal_as_a_control_sequence(word: str) -> None:
    from partita.cli.styled import paint

    told = [paint(line, colour=False) for line in report_lines(hostile(word), labels())]
    assert not [line for line in told if re.search("[\x00-\x1f\x7f\u202a-\u202e]", line)]


def test_the_page_allows_its_own_style_and_nothing_else() -> None:
    text = page(hostile("land"), labels(), {})
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert style is not None
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not re.findall(r"https?://|url\(|@import", text)


def test_a_failed_run_is_told_by_its_first_cause_and_what_to_type(look: Partita) -> None:
    said = look("report", "2")
    assert said.status == 0
    assert "■ daily failed in" in said.out
    assert "What broke   1 cause, 2 steps behind it" in said.out
    assert "■ extract[bbb]   step · owner flights · 2 attempts" in said.out
    assert "  ValueError: column 'dep_delay' is missing" in said.out
    assert "  blocks 2 steps" in said.out
    assert "  partita why 2 extract 1   first time in 2 runs" in said.out
    assert said.out.rstrip().endswith("what broke, and what stands on it")


def test_a_good_run_is_told_in_a_line(look: Partita) -> None:
    said = look("report", "1")
    assert "● all is well: " in said.out
    assert "What broke" not in said.out
    assert "● all is well: 2 assets, 1 check passed" in look("report", "last").out


def test_a_report_as_data_has_the_same_facts(look: Partita) -> None:
    data = look("report", "2", "--json").json
    assert (data["no"], data["state"], data["started_at"][-1]) == (2, "failed", "Z")
    (cause,) = data["causes"]
    assert (cause["step"], cause["indexes"], cause["attempts"]) == ("extract", ["1"], 2)
    assert [count["noun"] for count in cause["blocks"]] == ["step"]
    assert cause["first_at"].endswith("Z")


def test_a_page_has_the_end_of_the_log_and_the_traceback_of_what_broke(look: Partita, tmp_path: Path) -> None:
    file = tmp_path / "made" / "report.html"
    said = look("report", "2", "--html", str(file))
    assert said.err == f"the page is {file}\n"
    text = file.read_text()
    assert "columns: year, month" in text
    assert "raise ValueError" in text
    assert "partita logs 2 extract 1" in text


def test_a_page_that_cannot_be_written_is_said(look: Partita, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = look("report", "1", "--html", str(tmp_path / "file" / "report.html"))
    assert said.status == 3
    assert said.err.startswith("■ ")
    assert "cannot be written: " in said.err


def test_a_project_in_which_nothing_was_run_says_how_to_begin(partita: Partita) -> None:
    said = partita("report")
    assert said.status == 2
    assert "nothing was run in" in said.err
