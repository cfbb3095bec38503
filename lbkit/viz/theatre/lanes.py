"""The lanes of a film: one for each of the busiest clients, and one that all others share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lbkit.viz.style import CLIENTS, INK

MOST = len(CLIENTS)
MOST_LANED = 1000  # clients that are looked at: far more than there are lanes


class Lanes:
    """A lane, and a colour, for each client. `named` has the name, the colour and the number of each lane.

    With more clients than colours the rarest share the last lane, in grey. If those sent most requests, most
    dots would be grey, so all clients share all lanes evenly instead."""

    def __init__(self, clients: Iterable[int]) -> None:
        """`clients`: the client of each request."""
        self.named: list[dict[str, Any]]
        often = Counter(clients)
        ranked = sorted(often, key=lambda client: (-often[client], client))
        own = ranked if len(ranked) <= MOST else ranked[: MOST - 1]
        if sum(often[client] for client in own) * 2 < often.total():
            self._lane = {client: client % MOST for client in often}
            self.named = [
                {"name": f"c{lane} c{lane + MOST}…", "colour": colour, "number": lane}
                for lane, colour in enumerate(CLIENTS)
            ]
            return
        self._lane = {client: lane for lane, client in enumerate(sorted(own))}
        self.named = [
            {"name": f"c{client}", "colour": CLIENTS[lane], "number": client}
            for client, lane in self._lane.items()
        ]
        if len(own) < len(ranked):
            self.named.append({"name": "others", "colour": INK, "number": None})

    def of(self, client: int) -> int:
        """Return the lane of a client."""
        return self._lane.get(client, len(self.named) - 1)
