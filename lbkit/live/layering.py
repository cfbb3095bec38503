"""What each layer of a live tree saw, by its counters, which are read a few times a second."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from math import nan
from typing import Any, Protocol

from lbkit.core.state_change import StateChange
from lbkit.experiment import Experiment
from lbkit.layers import MOST_SEEN, UNKNOWN, Layer, Layers, Seen
from lbkit.metrics.names import DURATION, FAILED, NO_BACKEND, REQUESTS, RETRIES
from lbkit.metrics.store import Labels, Scrape
from lbkit.run import EngineError
from lbkit.tier import Tier

EVERY = 0.2  # seconds between two readings: the precision of a failure's time
BAD = ("5xx", "other")
SUMS = {"seconds": f"{DURATION.name}_sum", "answers": f"{DURATION.name}_count", "retries": RETRIES.name}


class Counting(Protocol):
    """A balancer with metrics."""

    def metrics(self) -> Scrape: ...
    def changes(self) -> list[StateChange]: ...


class Watched:
    """One layer: the sums of its counters, across restarts, and the times of its failures."""

    def __init__(
        self, name: str, above: str | None, depth: int, experiment: Experiment, front: Counting
    ) -> None:
        self.name, self.above, self.depth, self.front = name, above, depth, front
        self.experiment = experiment
        self.seen: list[Seen] = []
        self.counts: Counter[str] = Counter()
        self.known: set[str] = set()  # the names of the metrics that it reports
        self._last: dict[tuple[str, Labels], float] = {}

    def look(self, at: float) -> None:
        """Read the counters at second `at`; a balancer that is down or hangs is skipped."""
        try:
            scrape = self.front.metrics()
        except (OSError, ValueError, EngineError):
            return
        self.known |= scrape.keys()
        failures: Counter[str] = Counter()
        for name, of, more in self._grown(scrape):
            known = dict(of)
            node, bad = known.get("backend", ""), known.get("code") in BAD
            if name == REQUESTS.name:
                self.counts["requests"] += int(more)
                self.counts["failed"] += int(more) * bad
                self.counts["own"] += int(more) * (bad and node == NO_BACKEND)
            if node != NO_BACKEND and (name == FAILED.name or (name == REQUESTS.name and bad)):
                failures[node] += int(more)
            for what, series in SUMS.items():
                if name == series:
                    self.counts[what] += more  # type: ignore[assignment]
        for node, count in failures.items():
            self.seen += [Seen(at, node)] * min(count, MOST_SEEN - len(self.seen))

    def _grown(self, scrape: Scrape) -> list[tuple[str, Labels, float]]:
        """Return (metric, labels, growth since the last reading) of each counter that layers use."""
        found = []
        for name in (REQUESTS.name, FAILED.name, *SUMS.values()):
            for of, value in scrape.get(name, {}).items():
                before = self._last.get((name, of), 0.0)
                # A counter that is lower than before has started again at 0.
                found.append((name, of, value - before if value >= before else value))
                self._last[name, of] = value
        return found

    def layer(self, t0: float, below: float) -> Layer:
        """Return what the layer saw. `below`: the mean seconds that a request spends in the nodes below."""
        counts = self.counts
        known = REQUESTS.name in self.known
        answers = counts["answers"]
        mean = counts["seconds"] / answers if answers else nan
        by_status = known and any(labels for labels in self._last if labels[0] == REQUESTS.name and labels[1])
        return Layer(
            self.name,
            self.above,
            self.depth,
            tuple(node.name for node in self.experiment.servers),
            counts["requests"] if known else UNKNOWN,
            counts["failed"] if by_status else UNKNOWN,
            counts["own"] if by_status else UNKNOWN,
            counts["requests"] + int(counts["retries"]) if known else UNKNOWN,
            int(counts["retries"]) if RETRIES.name in self.known else UNKNOWN,
            mean,
            mean - below,
            tuple(self.seen),
            tuple(change._replace(at=change.at - t0) for change in self.front.changes()),
        )


class LayerWatch:
    """Reads the counters of all layers until `stop`."""

    def __init__(self, experiment: Experiment, front: Counting, fronts: Mapping[str, Counting]) -> None:
        self.layers: list[Watched] = []
        self._add(experiment, front, "", None, 0, fronts)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._t0 = 0.0

    def _add(
        self,
        experiment: Experiment,
        front: Counting,
        name: str,
        above: str | None,
        depth: int,
        fronts: Mapping[str, Counting],
    ) -> None:
        self.layers.append(Watched(name, above, depth, experiment, front))
        for node in experiment.servers:
            if isinstance(node, Tier):
                self._add(experiment.inside(node), fronts[node.name], node.name, name, depth + 1, fronts)

    def start(self, t0: float) -> None:
        self._t0 = t0
        self._thread = threading.Thread(target=self._run, name="lbkit-layers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            self.look()

    def look(self) -> None:
        for watched in self.layers:
            watched.look(time.monotonic() - self._t0)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def found(self, columns: Mapping[str, Any]) -> Layers:
        """Return the layers. `columns`: the Result's, for the service times of servers."""
        self.look()
        names = [server.name for server in self.layers[0].experiment.leaves]
        spent = {w.name: (w.counts["seconds"], w.counts["answers"]) for w in self.layers}
        for leaf, service in zip(columns["backend"], columns["service"], strict=True):
            if leaf >= 0:
                seconds, answers = spent.get(names[leaf], (0, 0))
                spent[names[leaf]] = seconds + service, answers + 1
        return Layers(
            watched.layer(self._t0, _mean([spent.get(n.name, (0, 0)) for n in watched.experiment.servers]))
            for watched in self.layers
        )


def _mean(spent: list[tuple[float, float]]) -> float:
    """Return the mean seconds of an answer over several nodes, each given as (seconds, answers)."""
    answers = sum(count for _, count in spent)
    return sum(seconds for seconds, _ in spent) / answers if answers else nan
