"""The calls of a backend process to the balancer of another service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from lbkit.workload import needs

UNREACHABLE = 503  # the status of a call that gets no answer


class Calls(NamedTuple):
    """The service that a server calls: its name, its balancer's URL, and the share of paths that need it."""

    name: str
    url: str
    share: float = 1.0

    async def answered(self, path: str, headers: Mapping[bytes, bytes]) -> int:
        """Return the status of the service's answer for a path; 200 at once if the path does not need it.

        503 without an answer. There is no timeout here: the balancer's policy has one."""
        if not needs(path, self.name, self.share):
            return 200
        place = urlsplit(self.url)
        client = headers.get(b"x-forwarded-for", b"127.0.0.1")
        head = b"GET %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: %s\r\nConnection: close\r\n\r\n"
        try:
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(head % (path.encode("latin-1"), place.netloc.encode("ascii"), client))
                answer = await reader.read()
            finally:
                writer.close()
            return int(answer.split(None, 2)[1])
        except (OSError, IndexError, ValueError):
            return UNREACHABLE
