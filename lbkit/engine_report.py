"""The data that an engine reports of a run, beside the rows of requests."""

from __future__ import annotations

from typing import Any, NamedTuple

from lbkit.core.attempts import AttemptEvent
from lbkit.core.options import number
from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment
from lbkit.history import Change
from lbkit.layers import Layers
from lbkit.patience import Wasted


class Compressed(NamedTuple):
    """Answers that came compressed, and the bytes of all answers: as they came, and of their content."""

    answers: int
    received: int
    content: int

    @property
    def saved(self) -> float:
        """The share of the bytes that did not have to be sent."""
        return 1 - self.received / self.content if self.content else 0.0


class EngineReport:
    """The entries of `extra` that several engines have."""

    experiment: Experiment
    extra: dict[str, Any]

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults of the run, a line each: a failing algorithm or event, an interrupt."""
        return tuple(self.extra.get("faults", ()))

    @property
    def changes(self) -> tuple[StateChange, ...]:
        """The changes of backends' states by health rules, drains and deploys, in order of time."""
        return tuple(self.extra.get("changes", ()))

    @property
    def layers(self) -> Layers:
        """What each balancer has seen, the experiment's own first; empty without tiers."""
        return Layers(self.extra.get("layers", ()))

    @property
    def history(self) -> tuple[Change, ...]:
        """What was done to a live session while it ran, in order of time."""
        return tuple(self.extra.get("history", ()))

    @property
    def probes(self) -> int:
        """The number of probes that health checks sent, of all balancers to all servers."""
        return int(self.extra.get("probes", 0))

    @property
    def probe_rate(self) -> float:
        """Probes a second, of all balancers to all servers."""
        return self.probes / float(self.extra.get("probing", self.experiment.traffic.duration))

    def probe_share(self, work: float) -> float:
        """Return the share of all workers' time that probes take, if each costs `work` seconds."""
        number(0, work=work)
        return self.probe_rate * work / sum(server.workers for server in self.experiment.leaves)

    @property
    def connections(self) -> int | None:
        """The number of connections that a balancer at layer 4 relayed; None elsewhere, and if not known."""
        return self.extra.get("connections")

    @property
    def handshakes(self) -> int | None:
        """The number of TLS handshakes with clients; None without TLS, and if not known."""
        return self.extra.get("handshakes")

    @property
    def resumed(self) -> int | None:
        """The number of handshakes that resumed a session; None without TLS, and if not known."""
        return self.extra.get("handshakes_resumed")

    @property
    def handshake_mean(self) -> float | None:
        """The mean seconds of a TLS handshake, as clients measured it; None in the simulator."""
        return self.extra.get("handshake_mean")

    @property
    def compressed(self) -> Compressed | None:
        """What compression has saved; None without it, and in the simulator."""
        if "content_bytes" not in self.extra:
            return None
        return Compressed(*(int(self.extra[name]) for name in ("compressed", "bytes", "content_bytes")))

    @property
    def wasted(self) -> tuple[Wasted, ...]:
        """The work of servers for clients that had left; only clients with patience leave."""
        return tuple(self.extra.get("wasted", ()))

    @property
    def resent(self) -> tuple[float, ...]:
        """The times of clients' retries, in order."""
        return tuple(self.extra.get("resent", ()))

    @property
    def attempt_counts(self) -> dict[str, int]:
        """The counts of the balancer's reactions to failures: retries, hedges, refusals by the budget.

        The names are those of `lbkit.core.attempts.COUNTS`. Empty if no attempt failed and the policy has no
        `retry`, and on engines that do not report it."""
        return dict(self.extra.get("attempt_counts", {}))

    @property
    def attempt_events(self) -> tuple[AttemptEvent, ...]:
        """The events counted in `attempt_counts`, in order of time.

        Only the first MOST_EVENTS (`lbkit.core.attempts`) of a run; the counts include all."""
        return tuple(self.extra.get("attempt_events", ()))

    @property
    def fetched(self) -> int:
        """The number of requests that the cache has sent to servers, also in the background.

        0 without a cache, and on engines that do not report it."""
        return int(self.extra.get("fetched", 0))

    @property
    def notes(self) -> tuple[str, ...]:
        """The differences between this engine and the experiment, a line each."""
        return tuple(self.extra.get("notes", ()))

    @property
    def interrupted(self) -> bool:
        """Whether the run was interrupted; the result then has the requests finished until then."""
        return bool(self.extra.get("interrupted"))

    def _attempts_in_words(self) -> str:
        """Return `attempt_counts` as text, such as ", 12 retries, 3 hedges won"."""
        happened = ((count, name) for name, count in self.attempt_counts.items() if count)
        return "".join(f", {count} {name.replace('_', ' ')}" for count, name in happened)
