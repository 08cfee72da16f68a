"""No secret gets out, in none of the forms in which programs print it, wherever the stream is cut."""

from __future__ import annotations

import base64
import html
import json
import random
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from partita.core import plain
from partita.core.events import AssetReport, CheckReport, Detail, Failure, Meta
from partita.core.values import Value
from partita.worker.masking import Masker
from partita.worker.wire import MemberEnded, Outcome

SECRETS = [
    "hunter2-secret",
    'p@ss w"ord/with\\all & <kinds>',
    "ümläut☃geheim",
    "x9",
    "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nabcdefghijklmnop0123\n-----END KEY-----",
]
LONG = [secret for secret in SECRETS if len(secret) >= 4]

FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "URL": lambda s: quote(s, safe=""),
    "URL in lower case": lambda s: "".join(c if c.isascii() and c.isalnum() else quote(c, safe="").lower() for c in s),
    "form": quote_plus,
    "JSON": json.dumps,
    "JSON as UTF-8": lambda s: json.dumps(s, ensure_ascii=False),
    "repr": repr,
    "repr of bytes": lambda s: repr(s.encode()),
    "hex": lambda s: s.encode().hex(),
    "HTML": html.escape,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, one before": lambda s: base64.b64encode(b"u" + s.encode() + b"tail").decode(),
    "base64, two before": lambda s: base64.b64encode(b"us" + s.encode() + b"t").decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(b"user:" + s.encode()).decode(),
}


def _core(form: str, text: str) -> str:
    """What must not be seen: of base64 the inner part, for its ends are mixed with what stands beside it."""
    return text.strip("=")[6:-6] if form.startswith("base64") else text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [s for s in LONG if "\n" not in s], ids=lambda s: s[:8])
def test_a_secret_is_masked_in_every_form(form: str, secret: str) -> None:
    printed = FORMS[form](secret)
    masked = Masker([s.encode() for s in SECRETS]).text(f"before {printed} after")
    assert _core(form, printed) not in masked
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("form", ["raw", "JSON", "repr", "URL", "base64"])
def test_a_secret_of_several_lines_is_masked_as_a_whole_and_line_by_line(form: str) -> None:
    masker = Masker([SECRETS[-1].encode()])
    assert "MIIEvQIBADANBgkqhkiG" not in masker.text(FORMS[form](SECRETS[-1]))
    assert masker.text("  line: abcdefghijklmnop0123") == "  line: ***"


def test_what_is_no_secret_is_left_alone() -> None:
    masker = Masker([s.encode() for s in SECRETS])
    text = "hunter2 secret x9 nothing to hide\n" * 100
    assert masker.text(text) == text
    assert not Masker([b"", b"abc"]).active
    assert Masker([]).text("text") == "text"


def test_the_longer_of_two_secrets_is_masked_as_a_whole() -> None:
    masker = Masker([b"abcd", b"abcdefgh"])
    assert masker.masked(b"abcdefgh abcd") == b"*** ***"
    # The short one is there already, but it may be the beginning of the long one.
    assert masker.take(b"abcde", last=False) == (b"", b"abcde")
    assert masker.take(b"abcdx", last=False) == (b"***x", b"")
    assert masker.take(b"abcde", last=True) == (b"***e", b"")


def test_it_does_not_matter_where_a_stream_is_cut() -> None:
    masker = Masker([s.encode() for s in LONG])
    rng = random.Random(3)
    words = (
        [s.encode() for s in LONG] + [s.encode()[: len(s) // 2] for s in LONG] + [b"plain ", b"\n", b"-", b"\x00\xff"]
    )
    for _ in range(200):
        stream = b"".join(rng.choice(words) for _ in range(12))
        held, out = b"", b""
        at = 0
        while at < len(stream):
            size = rng.randint(1, 9)
            done, held = masker.take(held + stream[at : at + size], last=False)
            out += done
            at += size
        done, held = masker.take(held, last=True)
        assert out + done == masker.masked(stream)
        assert held == b""


def test_no_more_is_held_back_than_could_become_a_secret() -> None:
    masker = Masker([b"hunter2-secret"])
    assert masker.take(b"nothing of it", last=False) == (b"nothing of it", b"")
    assert masker.take(b"a hunter2-", last=False) == (b"a ", b"hunter2-")


def test_everything_that_leaves_a_worker_for_people_is_masked() -> None:
    masker = Masker([b"hunter2-secret"])
    told = "it is hunter2-secret"
    meta = (Meta("m", "json", plain.pack({"hunter2-secret": [told, (told.encode(), 1)]})),)
    assets = (AssetReport("a", metadata=meta),)
    checks = (CheckReport("a", "c", False, message=told, metadata=meta),)
    detail = Detail(failure=Failure(told, traceback=told), metadata=meta, assets=assets, checks=checks)
    table = plain.pack({"columns": [[told, "str"]], "rows": [[told]], "count": 1, "width": 1})
    value = Value("pickle", 1, b"hunter2-secret", preview=told, table=table)
    for message in (
        masker.outcome(Outcome(1, "failed", 0.0, 1.0, value, detail)),
        masker.member(MemberEnded(1, "m", "failed", 0.0, 1.0, value, assets, checks, detail)),
    ):
        assert b"hunter2" not in repr(message).replace("b'hunter2-secret'", "").encode()
        assert message.detail is not None
        assert plain.unpack(message.detail.metadata[0].data) == {"***": ["it is ***", (b"it is ***", 1)]}
        # The value is what the next step gets; only what people see of it is masked.
        assert message.value is not None
        assert message.value.data == b"hunter2-secret"
