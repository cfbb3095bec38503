"""The firewall of an experiment on real sockets: it finds what the simulator's finds."""

from __future__ import annotations

import os

import pytest
from needs import need, need_feature

need_feature("live")

from firewalled import BASE

from lbkit import EngineError, FirewallRules, render, run
from lbkit.live.peers.nginx_firewall import HINT, MODULES

pytestmark = pytest.mark.live

CORE_RULE_SET = FirewallRules(mode="block", engine="modsecurity")


@pytest.mark.parametrize("mode", ["block", "monitor"])
def test_the_same_requests_are_flagged_by_the_same_rules_as_in_the_simulator(mode: str) -> None:
    experiment = BASE.but(firewall=FirewallRules(mode=mode))
    live, simulated = run(experiment, "live"), run(experiment)
    assert live.error_rate == 0
    assert live.firewall_rates == simulated.firewall_rates
    for column in ("kind", "firewall", "score", "status"):
        assert list(live.columns[column]) == list(simulated.columns[column]), column


def test_modsecurity_is_asked_by_the_proxy() -> None:
    need_feature("modsecurity")
    result = run(BASE.but(firewall=CORE_RULE_SET), "live")
    assert result.detection_rate == 1
    assert result.false_alarm_rate == 0
    assert set(result.where(kind=2).firewall) == {942100}  # libinjection's, of the Core Rule Set
    assert min(result.where(kind=2).score) >= 5


def test_nginx_asks_its_module_for_modsecurity() -> None:
    need("nginx")
    if not any(os.path.exists(path) for path in MODULES):
        pytest.skip(HINT)
    result = run(BASE.but(firewall=CORE_RULE_SET), "nginx")
    refused = {rate.kind: rate.share for rate in result.firewall_rates}
    assert {kind: refused[kind] for kind in ("sqli", "xss", "bot", "shop", "search")} == {
        **dict.fromkeys(("sqli", "xss", "bot"), 1),
        **dict.fromkeys(("shop", "search"), 0),
    }
    assert set(result.where(kind=4).status) == {400}  # a path that leads above / is refused by nginx itself
    assert any("which rule" in note for note in result.notes)


@pytest.mark.parametrize(
    ("on", "rules", "why"),
    [
        ("haproxy", FirewallRules(), "haproxy has no firewall here"),
        ("apache", FirewallRules(), "apache has no firewall here"),
        ("caddy", FirewallRules(), "caddy has no firewall here"),
        ("nginx", FirewallRules(), "nginx has none of lbkit's signatures"),
        ("nginx", FirewallRules(engine="modsecurity"), "firewall.mode here: use 'block'"),
    ],
)
def test_a_program_refuses_what_it_does_not_have(on: str, rules: FirewallRules, why: str) -> None:
    with pytest.raises(EngineError, match=why):
        render(BASE.but(firewall=rules), on)
