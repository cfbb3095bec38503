"""The section [tracing]: every wrong value is named with its mend."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from scripted import ask, echo, field, proxied

from lbkit.net import ProxyConfig
from lbkit.net.config import ConfigError
from lbkit.net.tracing.rules import Tracing


def config(**tracing: Any) -> ProxyConfig:
    return ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:9001"}], "tracing": tracing})


@pytest.mark.parametrize(
    ("tracing", "fault"),
    [
        (
            {"endpoint": "localhost:4318"},
            "tracing.endpoint is 'localhost:4318': use a URL of OTLP over HTTP, such",
        ),
        ({"endpoint": "http://"}, "tracing.endpoint is 'http://': use a URL"),
        ({"endpoint": "grpc://a:4317"}, "tracing.endpoint is 'grpc://a:4317': use a URL"),
        ({"endpoint": "http://a:port/"}, "tracing.endpoint is 'http://a:port/': use a URL"),
        ({"endpoint": "http://me:secret@a/"}, "use a URL"),
        ({"endpoint": "http://a/\r\nX: 1"}, "tracing.endpoint"),
        ({"endpoint": "http://a/x y"}, "use a URL"),
        ({"endpoint": 4318}, "tracing.endpoint is 4318"),
        ({"service": "a\nb"}, "tracing.service"),
        ({"sample": 1.5}, "tracing.sample"),
        ({"sample": -0.1}, "tracing.sample"),
        ({"accept": "none"}, "tracing.accept is 'none'"),
        ({"queue": 0}, "tracing.queue"),
        ({"batch": 0}, "tracing.batch"),
        ({"delay": 0}, "tracing.delay"),
        ({"timeout": 0}, "tracing.timeout"),
        ({"endpiont": ""}, "tracing: unknown endpiont;"),
    ],
)
def test_what_is_wrong(tracing: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**tracing)
    assert fault in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_section_alone_switches_it_on() -> None:
    assert config().tracing == Tracing()
    assert ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:9001"}]}).tracing is None
    assert ProxyConfig.from_dict(config(sample=0.5).to_dict()).tracing == Tracing(sample=0.5)


def test_without_the_extra_traces_are_passed_on_and_an_export_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("opentelemetry", "opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type] # as if it were not installed
    with proxied(echo, tracing=Tracing()) as proxy:
        (sent,) = field(ask(proxy)[2], "traceparent")
        assert len(sent) == 55
    with pytest.raises(ConfigError) as caught:
        config(endpoint="http://127.0.0.1:4318/v1/traces")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("tracing.endpoint: tracing needs the Python packages opentelemetry.sdk.trace and ")
    assert "pip install" in line
