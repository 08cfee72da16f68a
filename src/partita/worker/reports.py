"""What a step says beside its value: test results, branch choices, the members of a bundle.

Rule: an answer of the wrong kind is the user's error and says so, in the words of the definition.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from partita.core import plain
from partita.core.events import AssetReport, CheckReport, Meta
from partita.define.calls import Call
from partita.define.context import Context
from partita.define.metadata import meta
from partita.errors import UserCodeError
from partita.worker.failures import clean
from partita.worker.wire import Brief

if TYPE_CHECKING:
    from partita.worker.run_step import Attempt

_SCALARS = (type(None), bool, int, float, str, bytes)


def check_reports(brief: Brief, call: Call, value: Any, context: Context | None) -> tuple[CheckReport, ...]:
    """What a check found, from its `bool` or `CheckResult`; nothing for steps that are no checks."""
    if call.check is not None:
        asset, name, severity = call.check.asset, call.check.name, call.check.severity
    elif brief.kind == "check":
        asset, name, severity = brief.asset, brief.check, "error" if brief.blocking else "warn"
    else:
        return ()
    metadata = context.reported_metadata() if context is not None else ()
    passed = _truth(value)
    if passed is not None:
        return (CheckReport(asset, name, passed, severity, "", brief.partition, metadata),)
    if not hasattr(value, "passed"):
        raise UserCodeError(
            f"check {name!r} on {asset!r} returned a {type(value).__qualname__}",
            hint="return True or False, or a pt.CheckResult",
        )
    return (
        CheckReport(
            asset,
            name,
            bool(value.passed),
            getattr(value, "severity", None) or severity,
            clean(str(getattr(value, "message", "") or "")),
            brief.partition,
            (*metadata, *_metas(getattr(value, "metadata", ()))),
        ),
    )


def choice_of(step: str, value: Any) -> bytes:
    """The packed choice of a branch, which must be a plain scalar."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if not isinstance(value, _SCALARS):
        raise UserCodeError(
            f"step {step!r} decides a branch and returned a {type(value).__qualname__}",
            hint="return text, a number, a bool or None: what the arms of the branch are compared with",
        )
    return plain.pack(value)


def members_of(attempt: Attempt, value: Any) -> None:
    """Report the members that a multi-asset returned and has not reported itself."""
    outs = attempt.plan.call.outs
    wanted = [name for name in outs if name in attempt.ticket.members and name not in attempt.members_ended]
    if not wanted:
        return
    values = _by_name(outs, value)
    context = attempt()
    reported = {report.asset: report for report in context.reported_assets()}
    for name in wanted:
        report = reported.get(name) or AssetReport(name, attempt.plan.brief.partition)
        _report_member(attempt, context, name, values, report)


def _report_member(
    attempt: Attempt, context: Context, name: str, values: Mapping[str, Any], report: AssetReport
) -> None:
    backend = context.backend
    assert backend is not None
    at = time.time()
    backend.member_began(name, at)
    if name in values:
        backend.member_ended(name, "succeeded", at, time.time(), values[name], (report,), (), None)
    else:
        backend.member_ended(name, "skipped", at, at, None, (), (), None)


def _by_name(outs: tuple[str, ...], value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        unknown = [str(name) for name in value if name not in outs]
        if unknown:
            raise UserCodeError(
                f"a multi-asset returned {unknown[0]!r}, which is not among its assets",
                hint=f"it makes {', '.join(outs)}",
            )
        return value
    if isinstance(value, tuple | list) and len(value) == len(outs):
        return dict(zip(outs, value, strict=True))
    if value is None:
        # It wrote its data itself; all of it was made.
        return dict.fromkeys(outs)
    if len(outs) == 1:
        return {outs[0]: value}
    raise UserCodeError(
        f"a multi-asset of {len(outs)} assets returned a {type(value).__qualname__}",
        hint=f"return a dict by asset, or a tuple in the order {', '.join(outs)}",
    )


def _truth(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return None


def _metas(metadata: Any) -> tuple[Meta, ...]:
    if isinstance(metadata, Mapping):
        return tuple(meta(str(name), value) for name, value in metadata.items())
    return tuple(entry for entry in metadata or () if isinstance(entry, Meta))


def with_version(report: AssetReport, version: str) -> AssetReport:
    """The report with the version of the data, where user code gave none."""
    return report if report.data_version else msgspec.structs.replace(report, data_version=version)
