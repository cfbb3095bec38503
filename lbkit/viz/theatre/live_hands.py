"""What the viewer orders on the stage of a running session, done to the real processes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Any

from lbkit.core.options import number, whole
from lbkit.core.text import unknown
from lbkit.viz.theatre.deeds import deed
from lbkit.viz.theatre.happenings import BY_HAND, SERVER, Happening
from lbkit.viz.theatre.lanes import Lanes
from lbkit.viz.theatre.session import Send, Session

AT_ONCE = 8  # orders under way
MOST_BOOTS = 200
RATE = 20.0  # requests a second, of a client that sends several at once


class Hands:
    """`act` carries out an order. `boots`: servers that are being started by hand; the session itself notes a
    start only when it is over."""

    def __init__(self, session: Session, lanes: Lanes, send: Send) -> None:
        self.boots: deque[Happening] = deque(maxlen=MOST_BOOTS)
        self.noted = 0  # of these, so far
        self._session, self._lanes, self._send = session, lanes, send
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def act(self, what: Any, /, **how: Any) -> None:
        """Carry out an order in a thread of its own, as a start takes a second. A line on the stage says what
        has failed. Raises ValueError for an unknown order or server, and for wrong values."""
        if what == "send":
            how = {"rate": RATE, **how, "client": self._client(how.get("client"))}
            number(1, requests=how.get("requests", 1))
        deed(what, ACTS, 1, how)
        known = [server.name for server in self._session.experiment.leaves]
        if how.get("server", known[0]) not in known:
            raise ValueError(unknown(str(how["server"]), known, "server"))
        if not self._free.acquire(blocking=False):
            self._send({"fault": f"{AT_ONCE} orders are under way: wait until one is done"})
            return
        if what == "revive":
            self._note(how["server"], "booting")
        threading.Thread(target=self._do, args=(what, how), name="lbkit-hand", daemon=True).start()

    def _note(self, server: str, state: str) -> None:
        self.noted += 1
        self.boots.append(Happening(self._session.elapsed, server, SERVER, state, None, BY_HAND))

    def _do(self, what: str, how: dict[str, Any]) -> None:
        fault = ""
        try:
            ACTS[what](self._session, **how)
        except Exception as error:  # whatever the program in front says
            fault = (str(error).splitlines() or [type(error).__name__])[0]
            if what == "revive":
                self._note(how["server"], "down")
        finally:
            self._free.release()
        self._send({"fault": fault})

    def _client(self, named: Any) -> int:
        """Return a client, given by its number, or by the name of its lane."""
        lane = next((i for i, one in enumerate(self._lanes.named) if one["name"] == named), None)
        everyone = range(self._session.experiment.traffic.clients)
        if lane is not None:
            return next(client for client in everyone if self._lanes.of(client) == lane)
        whole(0, len(everyone) - 1, client=named)
        return int(named)


ACTS: dict[str, Callable[..., None]] = {
    "kill": lambda session, server: session.crash(server),
    "revive": lambda session, server: session.recover(server),
    "drain": lambda session, server: session.drain(server),
    "undrain": lambda session, server: session.undrain(server),
    "slow": lambda session, server, factor: session.slow(server, factor),
    "weight": lambda session, server, weight: session.set_weight(server, weight),
    "switch": lambda session, policy: session.switch(policy),
    "send": lambda session, client, requests=1, rate=RATE: session.send(client, ceil(requests), rate),
}
