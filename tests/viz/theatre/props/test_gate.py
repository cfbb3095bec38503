"""The gate on the stage: its queue, its limit and its rejections are those of the run."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from films import result_of

from lbkit import Admission, Experiment, Poisson, Traffic, run, servers
from lbkit.core.shedding import AdmissionControlRules
from lbkit.distributions import Constant
from lbkit.patience import Patience
from lbkit.viz.theatre import film
from lbkit.viz.theatre.film import Film
from lbkit.viz.theatre.props.entries import HOWS
from lbkit.viz.theatre.props.gate import gate_title


def the_gate(made: Film) -> dict[str, Any]:
    (prop,) = (prop for prop in made.props if prop["kind"] == "gate")
    return prop


def behind(admission: Admission, rate: float = 60, **more: Any) -> Experiment:
    fleet = servers(1, workers=2, service=Constant(0.1))
    return Experiment(fleet, Traffic(Poisson(rate), 3.0, clients=3, **more), admission=admission)


def test_rejections_have_the_gates_own_reasons() -> None:
    result = result_of("gate")
    prop = the_gate(film(result))
    ended = Counter(HOWS[how] for how in prop["entries"]["how"])
    for why, count in result.extra["refused"].items():
        assert ended[why] == count
    assert ended["shed"] > 0
    assert prop["levels"]["refused"][-1] == sum(result.extra["refused"].values())


def test_never_more_at_once_than_the_limit_when_one_is_let_through() -> None:
    levels = the_gate(film(result_of("gate")))["levels"]
    before = [0, *levels["running"]]
    for was, now, limit in zip(before, levels["running"], levels["limit"], strict=False):
        assert now >= 0
        assert now <= was or now <= limit
    assert len(set(levels["limit"])) > 5  # it adapts
    assert levels["running"][-1] == levels["waiting"][-1] == 0


def test_each_waits_in_the_line_of_its_class_and_goes_on_to_a_server() -> None:
    made = film(result_of("gate"))
    prop = the_gate(made)
    assert prop["classes"] == ["high", "normal", "low"]
    picked = dict(zip(made.attempts["request"], made.attempts["at"], strict=True))
    path = result_of("gate").path
    entries = prop["entries"]
    rows = zip(entries["request"], entries["out"], entries["how"], entries["priority"], strict=True)
    for request, out, how, priority in rows:
        wanted = {0: "high", 1: "low"}.get(path[made.requests["row"][request]], "normal")
        assert prop["classes"][priority] == wanted
        assert (request in picked) == (HOWS[how] == "admitted")
        if request in picked:
            assert picked[request] == out


def test_a_fixed_limit_and_codel() -> None:
    limit = {"kind": "concurrency_limit", "limit": 2}
    admission = Admission(limit=limit, queue="codel", target=0.02, max_queue=50, timeout=9.0)
    result = run(behind(admission, rate=30), record=True)
    prop = the_gate(film(result))
    assert prop["title"] == "gate, 2 at once, CoDel queue of up to 50"
    assert prop["target"] == 0.02
    assert set(prop["levels"]["limit"]) == {2}
    assert result.extra["refused"]["delayed"] > 0
    assert (
        Counter(HOWS[how] for how in prop["entries"]["how"])["delayed"] == result.extra["refused"]["delayed"]
    )


def test_admission_control_shows_its_chance_to_reject() -> None:
    control = AdmissionControlRules(window=2.0)
    experiment = behind(Admission(control=control)).but(servers=servers(1, error_rate=0.6))
    prop = the_gate(film(run(experiment, record=True)))
    assert prop["control"]
    assert set(prop["levels"]["limit"]) == {None}
    assert 0.2 < max(prop["levels"]["chance"]) <= 0.8
    assert "failing" in {HOWS[how] for how in prop["entries"]["how"]}


def test_clients_that_leave_the_queue_and_come_again() -> None:
    admission = Admission(limit={"kind": "concurrency_limit", "limit": 1}, queue="lifo", timeout=9.0)
    experiment = behind(admission, patience=Patience(timeout=0.3, retries=1))
    result = run(experiment, record=True)
    prop = the_gate(film(result))
    entries = prop["entries"]
    assert Counter(HOWS[how] for how in entries["how"])["left"] > 0
    assert len(entries["request"]) > len(set(entries["request"]))
    assert all(at <= out for at, out in zip(entries["at"], entries["out"], strict=True))
    assert prop["levels"]["waiting"][-1] == 0


def test_a_window_begins_with_the_gate_as_it_was() -> None:
    result = result_of("gate")
    whole, part = the_gate(film(result))["levels"], the_gate(film(result, start=2.5, duration=1.0))["levels"]
    number = max(i for i, at in enumerate(whole["at"]) if at <= 2.5)
    assert part["at"][0] == whole["at"][number]
    assert part["running"][0] == whole["running"][number]
    assert all(a < b for a, b in pairwise(part["at"]))


def test_a_long_film_is_thinned_and_says_so() -> None:
    admission = Admission(limit={"kind": "gradient"}, max_queue=0)
    made = film(run(behind(admission, rate=800), record=True))
    prop = the_gate(made)
    assert len(prop["levels"]["at"]) <= 1000
    assert len(prop["entries"]["at"]) <= 1000
    assert any("every second" in note for note in made.notes)


def test_titles_say_what_limits() -> None:
    assert (
        gate_title(Admission(limit={"kind": "gradient"})) == "gate, gradient limit, FIFO queue of up to 100"
    )
    both = Admission(limit={"kind": "aimd"}, rate=50, queue="priority", max_queue=5)
    assert gate_title(both) == "gate, AIMD limit, 50/s, priority queue of up to 5"
    assert gate_title(Admission(control=AdmissionControlRules())) == "gate, rejects below 95% success"
