"""Every route, by thousands of requests made of the OpenAPI document: no server error, nothing undocumented."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from partita import __version__
from partita.server import routes
from partita.server.openapi import document
from partita.server.routing import declared

from .serving import Serving

routes.declare()
_document = document(declared(), __version__)
# Streams do not end by themselves; tests of their own listen to them.
for _path in [path for path in _document["paths"] if path.endswith("/live")]:
    del _document["paths"][_path]
SCHEMA = schemathesis.openapi.from_dict(_document)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
_COMMON: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


def _asked(case: Any, serving: Serving) -> None:
    headers = {"Authorization": f"Bearer {serving.token}"}
    case.call_and_validate(base_url=serving.address, headers=headers, checks=CHECKS)


@SCHEMA.parametrize()
@settings(max_examples=1, phases=[Phase.explicit, Phase.generate], **_COMMON)
def test_every_route_answers_as_it_says(case: Any, serving: Serving) -> None:
    _asked(case, serving)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@SCHEMA.parametrize()
@settings(
    max_examples=int(os.environ.get("PARTITA_API_CASES", "100")), phases=[Phase.explicit, Phase.generate], **_COMMON
)
def test_every_route_answers_as_it_says_to_many(case: Any, serving: Serving) -> None:
    _asked(case, serving)
