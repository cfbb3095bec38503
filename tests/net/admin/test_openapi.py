"""The OpenAPI document is true: what it describes is sent, and what comes back is as described."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from administered import TOKEN, Served
from needs import need_module
from scripted import Scripted, answers

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="platform: one process on Windows"
)
need_module("schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from lbkit.net.admin.api import OPERATIONS


@schemathesis.serializer("application/toml")
def toml(context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


MADE = """
import json
from lbkit.net.admin.api import OPERATIONS
from lbkit.net.admin.openapi import document
print(json.dumps(document(OPERATIONS)))
"""
# Of another process, as other tests have algorithms of their own in this one.
DOCUMENT = json.loads(subprocess.run([sys.executable, "-c", MADE], capture_output=True, check=True).stdout)
EXAMPLES = {"check": 10, "reload": 2}  # each reload starts a process
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
BEYOND_SCHEMA = ("change_algorithm",)  # each algorithm has options of its own
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Scripted(answers(OK)) as backend:
        text = f'[policy.health.breaker]\n[[backends]]\nname = "web1"\naddress = "127.0.0.1:{backend.port}"'
        with Served(tmp_path_factory.mktemp("api"), text) as served:
            assert served.ask() == 200
            yield served


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.call)
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_answers_are_as_described(proxy: Served, operation: Any) -> None:
    described = SCHEMA[operation.path][operation.method]

    @given(case=described.as_strategy())
    @settings(
        max_examples=EXAMPLES.get(operation.call, 25),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Any) -> None:
        if "name" in case.path_parameters and case.path_parameters["name"] != "web1":
            case.path_parameters["name"] = "web1" if len(str(case.body)) % 2 else case.path_parameters["name"]
        case.call_and_validate(
            base_url=f"http://127.0.0.1:{proxy.admin}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            excluded_checks=[positive_data_acceptance] if operation.call in BEYOND_SCHEMA else [],
        )

    holds()
    assert proxy.process.poll() is None


def test_the_document_is_served(proxy: Served) -> None:
    assert proxy.get("/openapi.json") == DOCUMENT
