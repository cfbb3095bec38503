"""What an operator can see and change of a running proxy, over all its processes.

Reads ask every worker, also those that only finish what is in flight; changes go to every worker, and to
those that start later. There is one implementation, behind the Unix socket and the address for browsers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from lbkit.net.config import ConfigError
from lbkit.net.modes import AnyConfig, config_of
from lbkit.net.preflight import start_faults
from lbkit.net.tracing.exemplars import latest
from lbkit.net.workers.figures import EVERY, History, Ledger, merge_backends
from lbkit.net.workers.generation import Generation, WorkerProcess
from lbkit.net.workers.orders import Order
from lbkit.net.workers.report import Report
from lbkit.schema import parse

INTERVAL = 2.0  # seconds between samples of the history
PATIENCE = 1.0  # seconds that a read waits for a worker, which may be busy
MAX_RETIRING = 2  # generations that finish requests in flight; a reload waits until there are fewer

Reload = Callable[[], Awaitable[list[str]]]


class State:
    """What all workers reported at one moment."""

    def __init__(self, serving: list[Report], retiring: list[Report], counts: Report) -> None:
        self.serving = serving
        self.retiring = retiring
        self.counts = counts  # sums over all processes, also those that have ended
        self.backends = merge_backends(serving, retiring)
        self.exemplars = latest((*serving, *retiring))


class Control:
    """Reads from, and orders to, all workers of all generations.

    `reload` reads the file again, and returns why it did not take effect, a line for each fault."""

    def __init__(self, generations: list[Generation], say: Callable[[str], object], reload: Reload) -> None:
        self.generations = generations
        self.say = say
        self.reload = reload
        self.intents: dict[str, Order] = {}  # the operator's intents, which hold over reloads
        self.history = History(INTERVAL)
        self.started = time.time()
        self.url = ""  # where the proxy listens
        self.reloads = 0
        self.reloading = False
        self.failed_reload: tuple[float, list[str]] | None = None  # when the last reload failed, and why
        self._ledger = Ledger()

    @property
    def serving(self) -> Generation:
        """The newest generation that serves; a reload may just be starting another."""
        served = [g for g in self.generations if any(g.ready)]
        return served[-1] if served else self.generations[-1]

    @property
    def busy(self) -> bool:
        """Whether a reload would have to wait: for another one, or for requests in flight."""
        return self.reloading or len(self.generations) > MAX_RETIRING

    @property
    def config(self) -> AnyConfig:
        return self.serving.config

    def workers(self) -> list[WorkerProcess]:
        """Return all workers that answer orders, those that finish what is in flight, too."""
        return [worker for generation in self.generations for worker in generation.alive if worker.serves]

    # -- reading ------------------------------------------------------------------------------

    async def read(self) -> State:
        """Return the state of now. A worker that is busy counts with what it last reported."""
        serving = set(filter(None, self.serving.ready))
        workers = self.workers()
        reports = await asyncio.gather(*(self._report(worker, {"do": "report"}) for worker in workers))
        told = [(worker, report) for worker, report in zip(workers, reports, strict=True) if report]
        counts = self._ledger.update((r for _, r in told), (w.pid for w in self.workers()))
        return State(
            [report for worker, report in told if worker in serving],
            [report for worker, report in told if worker not in serving],
            counts,
        )

    @staticmethod
    async def _report(worker: WorkerProcess, order: Order) -> Report | None:
        """Return a worker's report, or a sample; None if it is busy, or has ended."""
        try:
            report: Report = await worker.send_order(order, PATIENCE)
        except (ValueError, TimeoutError, OSError):  # also for what is no answer
            return None
        return report

    async def record(self) -> None:
        """Sample the history, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._sample()
            due = max(due + INTERVAL, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _sample(self) -> None:
        """Add a sample to the history. It has to be cheap: it is taken whether or not a page is open."""
        history = self.history
        order = {"do": "sample", "part": history.number % EVERY, "of": EVERY}
        reports = await asyncio.gather(*(self._report(worker, order) for worker in self.workers()))
        alive = (worker.pid for worker in self.workers())
        history.add(self._ledger.update(filter(None, reports), alive, history.wants_latency))

    # -- changing -----------------------------------------------------------------------------

    async def order(self, order: Order, lasts: str = "") -> list[Any]:
        """Have every worker carry out an order; return the results of those that serve. Raises OrderError.

        `lasts`: a name under which the order also holds for workers that start later. An intent holds over
        reloads; other changes last until the next reload, which applies the file."""
        serving = self.serving
        results = await serving.send_order(order)
        if lasts:
            (self.intents if order["do"] == "intent" else serving.own)[lasts] = order
        others = [worker for worker in self.workers() if worker not in serving.ready]
        await asyncio.gather(*(worker.send_order(order) for worker in others), return_exceptions=True)
        return results

    async def set_intent(self, backend: str, intent: str) -> None:
        await self.order({"do": "intent", "backend": backend, "intent": intent}, f"intent {backend}")
        self.say(f"{backend} {intent}, by the operator")

    async def set_weight(self, backend: str, weight: float) -> None:
        """Raises OrderError for a weight that the algorithm has no room for."""
        await self.order({"do": "weight", "backend": backend, "weight": weight}, f"weight {backend}")
        self.say(f"{backend} has weight {weight:g}, by the operator")

    async def set_breaker(self, backend: str, opens: bool) -> None:
        await self.order({"do": "breaker", "backend": backend, "opens": opens})
        self.say(f"the breaker of {backend} is {'open' if opens else 'closed'}, by the operator")

    def check_algorithm(self, algorithm: str, options: Mapping[str, Any]) -> None:
        """Raise ValueError for an unknown algorithm, or for options that it does not have."""
        try:
            attrs.evolve(self.config.policy, algorithm=algorithm, options=options)
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from None

    async def switch(self, algorithm: str, options: dict[str, Any]) -> None:
        """Switch all pools to another algorithm. Raises OrderError."""
        await self.order({"do": "switch", "algorithm": algorithm, "options": options}, "switch")
        self.say(f"the algorithm is {algorithm}, by the operator")

    async def purge(self, url: str) -> int:
        """Return how many stored answers were removed."""
        return sum(await self.order({"do": "purge", "url": url}))

    # -- configuration ------------------------------------------------------------------------

    def faults(self, text: str) -> list[str]:
        """Return why a configuration could not be served, a line for each field. Reads the files it names."""
        try:
            return start_faults(config_of(parse(text, "TOML", ConfigError)))
        except ConfigError as error:
            return str(error).splitlines()

    def reloaded(self, faults: list[str]) -> None:
        """Called after each reload, by signal or by order; `faults`: why it did not take effect."""
        self.reloading = False
        self.failed_reload = (time.time(), faults) if faults else None
        self.reloads += not faults
