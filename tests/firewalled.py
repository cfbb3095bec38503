"""An experiment with a firewall, in which a third of the requests are attacks."""

from __future__ import annotations

from lbkit import Constant, Experiment, FirewallRules, Poisson, RequestKind, Traffic, servers

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KINDS = (
    RequestKind("shop", 8, "/shop"),
    RequestKind("search", 1, "/search", query="q=select+a+hotel+from+our+list"),
    RequestKind("sqli", 1, "/shop", query="id=1%27%20OR%20%271%27=%271", attack=True),
    RequestKind("xss", 1, "/c", "POST", headers=FORM, body="t=<script>alert(1)</script>", attack=True),
    RequestKind("traversal", 1, "/a/..%2f..%2f..%2fetc/passwd", attack=True),
    RequestKind("bot", 1, "/shop", headers={"User-Agent": "sqlmap/1.7"}, attack=True),
)
BASE = Experiment(
    servers(3, service=Constant(0.01)),
    Traffic(Poisson(60), duration=2, mix=KINDS),
    firewall=FirewallRules(mode="block"),
    seed=3,
)
