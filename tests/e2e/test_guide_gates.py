"""The code of the guide's page on gates runs as it is printed."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "gates.md"


def test_the_python_of_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    (tmp_path / "guide_gates.py").write_text(code)
    spec = importlib.util.spec_from_file_location("guide_gates", tmp_path / "guide_gates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "guide_gates", module)
    spec.loader.exec_module(module)
    assert module.run(module.measured, script={"go": module.approves(answer={"percent": 7})}).value("roll_out") == 7


def test_every_maker_of_conditions_is_on_the_page_with_its_options() -> None:
    import inspect

    from partita import until

    page = PAGE.read_text()
    for name, maker in vars(until).items():
        if not name.startswith("_"):
            row = next(line for line in page.splitlines() if line.startswith(f"| `pt.until.{name}("))
            for parameter in inspect.signature(getattr(until, name)).parameters:
                assert re.search(rf"\b{parameter}\b", row), (name, parameter)
            assert isinstance(maker, staticmethod)
