"""Hypothesis strategies for whole experiments and their parts."""

from __future__ import annotations

from hypothesis import strategies as st

from lbkit import (
    Action,
    Bimodal,
    Closed,
    Constant,
    ConstantRate,
    Empirical,
    Event,
    Experiment,
    Exponential,
    Failures,
    LogNormal,
    OnOff,
    Pareto,
    Poisson,
    Policy,
    Profile,
    Server,
    Sessions,
    Sticky,
    Trace,
    Traffic,
    algorithms,
)
from lbkit.core.retry import Backoff
from lbkit.core.sticky import HOW
from lbkit.events import DEPENDENCY_STATES, order_fault
from lbkit.patience import Patience
from lbkit.server import DISCIPLINES

# Names keep to one line.
LETTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))


def positive(high: float = 1e3) -> st.SearchStrategy[float]:
    return st.floats(1e-3, high) | st.integers(1, int(high))


def at_least_0(high: float = 1e3) -> st.SearchStrategy[float]:
    return st.floats(0, high) | st.integers(0, int(high))


services = st.one_of(
    st.builds(Exponential, mean=positive()),
    st.builds(Constant, mean=positive()),
    st.builds(LogNormal, mean=positive(), cv=positive(5)),
    st.lists(positive(), min_size=1, max_size=9).map(Empirical),
    st.builds(Pareto, mean=positive(), alpha=st.floats(1.5, 10)),
    st.builds(Bimodal, fast=positive(10), slow=st.floats(10, 1e3), slow_share=st.floats(0, 1)),
)

arrivals = st.one_of(
    st.builds(Poisson, rate=positive()),
    st.builds(ConstantRate, rate=positive()),
    st.builds(OnOff, peak=positive(), on=positive(10), off=at_least_0(10)),
    st.lists(st.tuples(positive(10), positive()), min_size=1, max_size=5).map(
        lambda points: Profile([(0, 5.0), *sorted(points)])
    ),
    st.builds(Trace, times=st.lists(at_least_0()).map(sorted)),
    st.builds(
        Sessions,
        rate=positive(10),
        requests=st.floats(1, 50),
        think=at_least_0(10),
        state=st.sampled_from(["memory", "shared"]),
    ),
    st.builds(Closed, users=st.integers(1, 1000), think=at_least_0(10)),
)

policies = st.one_of(
    st.builds(
        Policy,
        algorithm=st.sampled_from(sorted(algorithms())),
        key=st.sampled_from(["", "client", "path"]),
        retries=st.integers(0, 3),
    ),
    st.integers(1, 500).map(lambda points: Policy("consistent_hash", {"points": points})),
    st.builds(
        Sticky,
        how=st.sampled_from(sorted(HOW)),
        name=st.just("session"),
        idle=positive() | st.just(float("inf")),
        drain=st.booleans(),
        gone=st.sampled_from(["another", "refuse"]),
    ).map(lambda sticky: Policy("random", sticky=sticky)),
)

traffics = st.builds(
    Traffic,
    arrivals=arrivals,
    duration=st.floats(1, 100),
    warmup=st.floats(0, 0.99),
    clients=st.integers(1, 10_000),
    client_skew=at_least_0(3),
    paths=st.integers(1, 10_000),
    path_skew=at_least_0(3),
    patience=st.none()
    | st.builds(
        Patience,
        timeout=positive(),
        retries=st.integers(0, 9),
        backoff=st.none() | st.builds(Backoff, cap=st.floats(0.1, 9)),
        gives_up=st.none() | positive(),
    ),
)


def possible(events: list[Event]) -> list[Event]:
    """Return the events without those that cannot happen after the ones before them."""
    kept: list[Event] = []
    for event in events:
        if not order_fault([*kept, event]):
            kept.append(event)
    return kept


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    names = draw(st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
    servers = [
        draw(
            st.builds(
                Server,
                name=st.just(name),
                workers=st.integers(1, 64),
                speed=positive(),
                service=services,
                weight=at_least_0(),
                zone=st.text(LETTERS, max_size=5),
                delay=at_least_0(1),
                queue=st.none() | st.integers(0, 1000),
                error_rate=st.floats(0, 1),
                delay_jitter=at_least_0(1),
                discipline=st.sampled_from(DISCIPLINES),
                boot=at_least_0(10),
                dependencies=st.fixed_dictionaries({"database": st.floats(0, 1)}),
                cancels=st.booleans(),
            )
        )
        for name in names
    ]
    one = st.sampled_from(names)
    valued = {
        Action.SLOW: positive(),
        Action.SET_WEIGHT: at_least_0(),
        Action.FLAP: st.floats(0.1, 10),
        Action.LOSE: st.floats(0, 1),
        Action.FAIL: st.floats(0, 1),
        Action.DELAY: at_least_0(1),
    }
    others = (*valued, *DEPENDENCY_STATES, Action.SWITCH)
    plain = st.sampled_from([action for action in Action if action not in others])
    switches = st.builds(
        Event,
        at=at_least_0(),
        action=st.just(Action.SWITCH),
        algorithm=st.sampled_from(["random", "round_robin", "power_of_two", "prequal", "ip_hash"]),
    )
    broken = st.sampled_from(sorted(DEPENDENCY_STATES, key=lambda action: action.value))
    events = st.one_of(
        st.builds(Event, at=at_least_0(), action=plain, server=one),
        switches,
        st.builds(
            Event, at=at_least_0(), action=broken, server=one | st.just(""), dependency=st.just("database")
        ),
        *(
            st.builds(Event, at=at_least_0(), action=st.just(action), server=one, value=values)
            for action, values in valued.items()
        ),
    )
    return Experiment(
        servers=servers,
        traffic=draw(traffics),
        policy=draw(policies.filter(lambda policy: not algorithms()[policy.algorithm].health_by)),
        events=possible(draw(st.lists(events, max_size=9))),
        failures=draw(st.none() | st.builds(Failures, mtbf=st.floats(1, 1e3), mttr=positive())),
        seed=draw(st.integers(0, 2**63)),
        name=draw(st.text(LETTERS, max_size=20)),
    )
