from __future__ import annotations

from films import result_of

from lbkit import Policy, Sticky, run
from lbkit.result import Result
from lbkit.viz.theatre.props.sticky import EARLIER, sticky, title
from lbkit.viz.theatre.window import window


def shown(result: Result) -> dict:
    prop = sticky(result, window(result, 0.0, None, 5000))
    assert prop
    return prop


def test_sessions_are_where_their_last_answer_came_from() -> None:
    result = result_of("sticky")
    for session in shown(result)["sessions"]:
        answers = sorted(
            (result.end[row], result.backend[row])
            for row in range(len(result))
            if result.session[row] == session["number"] and result.backend[row] >= 0
        )
        assert session["server"][0] == answers[0][1]
        assert session["server"][-1] == answers[-1][1]
        assert session["at"] == sorted(session["at"])


def test_a_session_that_moves_says_why() -> None:
    reasons = {why for session in shown(result_of("sticky"))["sessions"] for why in session["why"]}
    assert "" in reasons
    assert any(why.startswith("b ") for why in reasons)  # it crashed
    assert any("drain" in why for why in reasons)


def test_the_moves_are_those_that_the_result_counts() -> None:
    result = result_of("sticky")
    moves = sum(len(session["at"]) - 1 for session in shown(result)["sessions"])
    assert moves == result.sessions.moved


def test_without_sessions_in_the_traffic_they_are_those_of_clients() -> None:
    experiment = result_of("small").experiment
    policy = Policy("round_robin", sticky=Sticky("source", idle=0.5))
    result = run(experiment.but(policy=policy, events=[]), record=True)
    prop = shown(result)
    assert not prop["named"]
    assert {session["number"] for session in prop["sessions"]} == set(result.client)
    assert {why for session in prop["sessions"] for why in session["why"]} <= {"", EARLIER}
    assert prop["title"] == "sticky sessions, kept in a table of the balancer, idle 0.5 s"


def test_there_is_none_without_sticky_sessions() -> None:
    result = result_of("small")
    assert sticky(result, window(result, 0.0, None, 5000)) is None


def test_the_title_says_where_sessions_are_kept() -> None:
    assert title(Sticky("route")) == "sticky sessions, kept in the client's URL"
    assert title(Sticky(life=60)) == "sticky sessions, kept in the client's cookie, life 60 s"
