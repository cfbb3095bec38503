"""The firewall in virtual time: the proxy's own rules look at each request. It takes no time here."""

from __future__ import annotations

from array import array
from functools import lru_cache

from lbkit.core.firewall import PASS, Verdict
from lbkit.core.request_texts import is_text
from lbkit.experiment import Experiment
from lbkit.sim.requests import Requests

REMEMBERED = 65_536  # verdicts: requests of a kind for one path are alike, whichever client sends them
ALIKE = 0  # the client in whose name the signatures look at a request; they do not look at its address


class Guard:
    """Decides once for each request, when it arrives."""

    def __init__(self, experiment: Experiment, requests: Requests) -> None:
        """Raises ValueError for an engine that is not simulated."""
        rules = experiment.firewall
        assert rules
        if rules.engine != "lbkit":
            raise ValueError(
                f"firewall.engine {rules.engine!r} is not simulated: use 'lbkit', or run it on='live'"
            )
        self.firewall = rules.firewall()
        self.blocks, self.bodies = rules.mode == "block", rules.bodies
        self.requests = requests
        self._compare = lru_cache(REMEMBERED)(self._signatures)
        requests.firewall = array("i", bytes(4 * len(requests.arrival)))
        requests.score = array("i", bytes(4 * len(requests.arrival)))

    def decide(self, row: int) -> int:
        """Return the status of the answer that refuses a request, or 0 to let it pass."""
        requests = self.requests
        assert requests.firewall is not None
        assert requests.score is not None
        verdict = self.firewall.limit(requests.view(row))
        if verdict is None or not (verdict is PASS or self.blocks):
            found = self._compare(requests.kinds.number(requests.demand[row]), requests.path[row])
            # A limit that is only monitored is recorded, and then the signatures look, as in the proxy.
            verdict = found if verdict is None else verdict._replace(score=found.score)
        requests.firewall[row], requests.score[row] = verdict.rule, verdict.score
        return verdict.status if self.blocks else 0

    def _signatures(self, kind: int, path: int) -> Verdict:
        request = self.requests.sample(kind, ALIKE, path)
        content_type = request.field(b"content-type")
        body = request.body if self.bodies and is_text(content_type) else b""
        return self.firewall.compare(request, body, content_type)
