"""What a test needs of the machine: without it the test is skipped, and says what to install. In CI nothing is skipped.

Rule: where CI=1 is, a test runs, and fails if what it needs is not there.
"""

from __future__ import annotations

import os

import pytest


def needs(is_there: bool, what: str) -> pytest.MarkDecorator:
    """Skips a test where `what` is not, but never in CI."""
    return pytest.mark.skipif(not is_there and not os.environ.get("CI"), reason=f"needs {what}")


def give_up(why: str) -> None:
    """End this test: what it needs does not work here."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
