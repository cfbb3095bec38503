"""The spans of a live session's proxy, and a client's own around them."""

from __future__ import annotations

import urllib.request

import pytest
from needs import need_feature

need_feature("live", "tracing", "figures")

from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lbkit import Constant, Experiment, Hedge, Poisson, Policy, Retry, Server, Traffic
from lbkit.live import LiveSession
from lbkit.run import EngineError
from lbkit.viz import figures

pytestmark = pytest.mark.live

SLOW, FAST = Server("slow", service=Constant(0.5)), Server("fast", service=Constant(0.001))
HEDGED = Experiment(
    [SLOW, FAST],
    Traffic(Poisson(10.0), duration=1),
    policy=Policy("round_robin", retry=Retry(hedge=Hedge(0.05))),
)


def test_a_clients_trace_goes_through_the_proxy_to_its_attempts() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    asked = []
    with LiveSession(HEDGED, spans=kept) as session:
        for _ in range(2):  # in turns, one begins at the slow server
            with provider.get_tracer("test").start_as_current_span("a learner") as client:
                headers: dict[str, str] = {}
                inject(headers)
                with urllib.request.urlopen(urllib.request.Request(session.url, headers=headers)) as answer:
                    assert answer.status == 200
            asked.append(f"{client.get_span_context().trace_id:032x}")
        session.wait()
    spans = kept.get_finished_spans()
    rows = session.result()
    begun = {span.context.trace_id for span in spans}
    assert len(begun) == len(rows) + len(asked)
    drawn = [figures.waterfall(spans, trace_id) for trace_id in asked]
    labels = [[label.lstrip("↳ ") for label in figure.layout.yaxis.ticktext] for figure in drawn]
    assert ["a learner", "proxy", "slow", "fast, hedge"] in labels


def test_other_programs_make_no_spans() -> None:
    with pytest.raises(EngineError, match=r"spans: they come from lbkit's own proxy"):
        LiveSession(HEDGED.but(policy=Policy("round_robin")), layer=4, spans=InMemorySpanExporter())
