"""Ports where many people share a machine: LBKIT_PORTS=20000-20049 gives each a range of their own.

Most ports of the kit are chosen by the kernel while they are bound, and never meet. Two kinds can: the usual
ports of programs that are started by hand, and ports that are looked up for another program, which binds them
a moment later.
"""

from __future__ import annotations

import os
import re

VARIABLE = "LBKIT_PORTS"
USUAL = (8080, 9901, 5353)  # of the proxy, its admin page and the DNS server: the first three of a range
FEWEST = 20


def own_ports() -> range | None:
    """Return the range of LBKIT_PORTS; None without it. Raises ValueError."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    ports = range(int(found[1]), int(found[2]) + 1) if found else range(0)
    if len(ports) < FEWEST or ports[0] < 1024 or ports[-1] > 65535:
        raise ValueError(
            f"{VARIABLE} is {text!r}: use {FEWEST} ports or more, from 1024 on, as in 20000-20049"
        )
    return ports


def unreserved_ports() -> list[int]:
    """Return the ports of LBKIT_PORTS after those that replace the usual ones; empty if it is not set."""
    return list(own_ports() or ())[len(USUAL) :]


def with_own_ports(example: str) -> str:
    """Return an example file that listens on one's own ports, if there is a range. Raises ValueError."""
    if own := own_ports():
        for usual, port in zip(USUAL, own, strict=False):
            example = example.replace(f'"127.0.0.1:{usual}"', f'"127.0.0.1:{port}"')
        # Where the usual port is the default, the line is a comment.
        example = example.replace(f'# listen = "127.0.0.1:{own[0]}" ', f'listen = "127.0.0.1:{own[0]}"   ', 1)
    return example
