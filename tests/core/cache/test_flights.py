"""Request coalescing: one leader, bounded followers, nobody is forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lbkit.core.cache import FlightRules, Flights, Landing, Role


def joined(flights: Flights, key: str, tickets: str, now: float = 0.0) -> list[Role]:
    return [flights.join(key, ticket, now) for ticket in tickets]


def test_one_leads_and_the_others_follow() -> None:
    flights = Flights()
    assert joined(flights, "k", "abc") == [Role.LEAD, Role.FOLLOW, Role.FOLLOW]
    assert joined(flights, "other", "d") == [Role.LEAD]
    assert flights.land("k", "a", Landing.SHARED, 1) == ("b", "c")
    assert joined(flights, "k", "e") == [Role.LEAD]


def test_after_a_failure_the_next_one_leads_and_the_others_still_wait() -> None:
    flights = Flights()
    joined(flights, "k", "abc")
    assert flights.land("k", "a", Landing.FAILED, 1) == ("b",)
    assert flights.role("k", "b") is Role.LEAD
    assert flights.role("k", "c") is Role.FOLLOW
    assert flights.land("k", "a", Landing.FAILED, 1) == ()  # it does not lead any more
    assert flights.land("k", "b", Landing.FAILED, 2) == ("c",)
    assert flights.land("k", "c", Landing.FAILED, 3) == ()
    assert len(flights) == 0


def test_what_could_not_be_shared_is_not_waited_for_again_for_a_while() -> None:
    flights = Flights(FlightRules(memory=10))
    joined(flights, "k", "abc")
    assert flights.land("k", "a", Landing.UNSHARED, 1) == ("b", "c")
    assert joined(flights, "k", "bc", 10.9) == [Role.ALONE, Role.ALONE]
    assert joined(flights, "k", "d", 11) == [Role.LEAD]


def test_the_memory_of_what_could_not_be_shared_is_bounded() -> None:
    flights = Flights(FlightRules(max_memories=2))
    for key in "xyz":
        flights.join(key, key, 0)
        flights.land(key, key, Landing.UNSHARED, 0)
    assert [flights.join(key, key, 1) for key in "xyz"] == [Role.LEAD, Role.ALONE, Role.ALONE]


def test_requests_beyond_the_limits_go_alone() -> None:
    flights = Flights(FlightRules(max_flights=1, max_followers=1))
    assert joined(flights, "k", "abc") == [Role.LEAD, Role.FOLLOW, Role.ALONE]
    assert joined(flights, "other", "d") == [Role.ALONE]
    assert not flights.claim("other", "d", 0)


def test_a_follower_waits_for_its_patience_only() -> None:
    flights = Flights(FlightRules(patience=5))
    for now, ticket in enumerate("abc"):
        flights.join("k", ticket, now)
    assert flights.overdue(5.9) == []
    assert flights.overdue(6) == ["b"]
    assert flights.overdue(9) == ["c"]
    assert flights.role("k", "a") is Role.LEAD


def test_a_leader_that_takes_too_long_is_replaced_and_may_still_end_the_flight() -> None:
    flights = Flights(FlightRules(patience=5))
    joined(flights, "k", "a")
    assert joined(flights, "k", "bc", 5) == [Role.LEAD, Role.FOLLOW]
    assert flights.land("k", "a", Landing.UNSHARED, 6) == ()
    assert flights.land("k", "a", Landing.SHARED, 6) == ("c",)
    assert len(flights) == 0


def test_a_refresh_in_the_background_is_one_flight_and_never_waits() -> None:
    flights = Flights()
    assert flights.claim("k", "a", 0)
    assert not flights.claim("k", "b", 0)
    assert joined(flights, "k", "c") == [Role.FOLLOW]
    assert flights.land("k", "a", Landing.SHARED, 1) == ("c",)


def test_a_client_that_leaves_is_not_waited_for() -> None:
    flights = Flights()
    joined(flights, "k", "abc")
    assert flights.leave("k", "b")
    assert not flights.leave("k", "b")
    assert not flights.leave("none", "b")
    assert flights.land("k", "a", Landing.SHARED, 1) == ("c",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_flights": 0}, "max_flights is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"memory": -1}, "memory is -1"),
    ],
)
def test_wrong_rules_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlightRules(**options)


KEYS = ["x", "y", "z"]
RULES = FlightRules(max_flights=2, max_followers=3, patience=5, memory=4, max_memories=2)


class AnyFlights(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.flights = Flights(RULES)
        self.now = 0.0
        self.tickets = 0
        self.waiting: dict[int, str] = {}  # what has to go on at some time
        self.leaders: dict[str, int] = {}

    @rule(by=st.integers(0, 4))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(key=st.sampled_from(KEYS))
    def one_joins(self, key: str) -> None:
        self.tickets += 1
        role = self.flights.join(key, self.tickets, self.now)
        assert self.flights.role(key, self.tickets) is (None if role is Role.ALONE else role)
        if role is Role.FOLLOW:
            assert key in self.leaders
            self.waiting[self.tickets] = key
        elif role is Role.LEAD:
            self.leaders[key] = self.tickets

    @rule(key=st.sampled_from(KEYS), how=st.sampled_from(Landing))
    def one_lands(self, key: str, how: Landing) -> None:
        leader = self.leaders.pop(key, None)
        if leader is None:
            assert self.flights.land(key, -1, how, self.now) == ()
            return
        followers = [t for t, k in self.waiting.items() if k == key]
        released = self.flights.land(key, leader, how, self.now)
        assert list(released) == (followers[:1] if how is Landing.FAILED else followers)
        for ticket in followers[: len(released)]:
            del self.waiting[ticket]
        if how is Landing.FAILED and followers:
            self.leaders[key] = followers[0]

    @rule()
    def some_are_overdue(self) -> None:
        for ticket in self.flights.overdue(self.now):
            assert isinstance(ticket, int)
            del self.waiting[ticket]  # raises if it had gone on before

    @rule(data=st.data())
    def one_leaves(self, data: st.DataObject) -> None:
        if self.waiting:
            ticket = data.draw(st.sampled_from(sorted(self.waiting)))
            assert self.flights.leave(self.waiting.pop(ticket), ticket)

    @invariant()
    def a_group_has_exactly_one_leader_and_all_are_bounded(self) -> None:
        assert len(self.flights) == len(self.leaders) <= RULES.max_flights
        for key in KEYS:
            roles = [self.flights.role(key, t) for t in range(1, self.tickets + 1)]
            assert roles.count(Role.LEAD) == (key in self.leaders)
            assert roles.count(Role.FOLLOW) == self.flights.waiting(key) <= RULES.max_followers
            assert self.flights.waiting(key) == sum(k == key for k in self.waiting.values())


AnyFlights.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_any_flights = AnyFlights.TestCase
