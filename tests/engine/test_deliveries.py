"""Whether a delivery is genuine: forms of signatures, their age, and the id under which it is known."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from partita.engine.deliveries import delivery_id, fields_of, is_told, refusal

KEY = b"key"
BODY = b'{"a": 1}'
NOW = 1_750_000_000.0
PLAIN = {"secret": "S", "header": "X-Sig", "signed": "{body}"}
TIMED = {**PLAIN, "signed": "{timestamp}.{body}", "timestamp_header": "X-Time", "tolerance_s": 300.0}


def mac(message: bytes, key: bytes = KEY) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def refused(options: dict[str, Any], body: bytes = BODY, key: bytes | None = KEY, **headers: str) -> str:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(options, body, given, key, NOW)


@pytest.mark.parametrize(
    "signature",
    [
        mac(BODY).hex(),
        "sha256=" + mac(BODY).hex(),
        "sha256=" + mac(BODY).hex().upper(),
        base64.b64encode(mac(BODY)).decode(),
        "v1," + base64.b64encode(mac(BODY)).decode(),
        "t=1,v1=" + mac(BODY).hex(),
        # While a key is being replaced there are two.
        "v1," + base64.b64encode(mac(BODY, b"old")).decode() + " v1," + base64.b64encode(mac(BODY)).decode(),
    ],
)
def test_signatures_come_in_many_forms(signature: str) -> None:
    assert refused(PLAIN, x_sig=signature) == ""
    assert refused(PLAIN, BODY + b" ", x_sig=signature) == "the signature is wrong"
    assert refused(PLAIN, key=b"another", x_sig=signature) == "the signature is wrong"


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256", "=", "no", "é", "0" * 63, "0" * 65, "," * 10_000])
def test_what_is_no_signature_is_refused_without_an_error(signature: str) -> None:
    assert refused(PLAIN, x_sig=signature)


def test_without_a_value_of_the_secret_nothing_is_taken() -> None:
    assert "has no value" in refused(PLAIN, key=None, x_sig=mac(BODY).hex())
    assert "has no value" in refused(PLAIN, key=b"", x_sig=mac(BODY, b"").hex())


@pytest.mark.parametrize(
    "time", [str(NOW), str(NOW * 1000), "2025-06-15T15:06:40+00:00", "Sun, 15 Jun 2025 15:06:40 GMT"]
)
def test_a_time_that_is_signed_counts(time: str) -> None:
    signature = mac(time.encode() + b"." + BODY).hex()
    assert refused(TIMED, x_time=time, x_sig=signature) == ""
    assert refused(TIMED, x_time=str(NOW + 1), x_sig=signature) == "the signature is wrong"


def test_old_and_early_deliveries_are_refused() -> None:
    for off in (-301, 301):
        time = str(NOW + off)
        assert "it was signed 301 s" in refused(TIMED, x_time=time, x_sig=mac(time.encode() + b"." + BODY).hex())
    assert refused(TIMED, x_time="nan", x_sig=mac(b"nan." + BODY).hex())
    assert "there is no time" in refused(TIMED, x_time="soon", x_sig="x")
    assert "there is no time" in refused(TIMED, x_sig="x")


def test_the_id_is_its_headers_or_its_content() -> None:
    assert delivery_id(PLAIN, BODY, {"x-github-delivery": "d-1"}) == "d-1"
    assert delivery_id({**PLAIN, "delivery_header": "X-Id"}, BODY, {"x-id": "7", "x-github-delivery": "d"}) == "7"
    bare = delivery_id(PLAIN, BODY, {"x-sig": "s"})
    assert bare.startswith("sha256:")
    assert bare != delivery_id(PLAIN, BODY, {"x-sig": "t"})
    assert len(delivery_id(PLAIN, BODY, {"webhook-id": "x" * 5000})) < 100


def test_fields_of_what_is_json_and_what_is_not() -> None:
    assert fields_of("d", BODY, (), NOW)["a"] == 1
    assert fields_of("d", b"\xff", (), NOW)["body"] == "\ufffd"
    assert fields_of("d", b"[" * 100_000, (), NOW)["body"].startswith("[[")
    # A body cannot say what the delivery is.
    assert fields_of("d", b'{"delivery": "other", "body": 1}', (), NOW)["delivery"] == "d"


def test_what_authenticates_is_not_told_to_user_code() -> None:
    told = [n for n in ("authorization", "cookie", "x-sig", "x-kind", "content-type") if is_told(n, PLAIN)]
    assert told == ["x-kind", "content-type"]
