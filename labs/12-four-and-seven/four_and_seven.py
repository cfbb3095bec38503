import asyncio
import re

PIECE = 65536  # bytes that are read at once, at most; a StreamReader's own limit of a head is the same
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a field
HOP_BY_HOP = {"connection", "proxy-connection", "keep-alive", "te", "upgrade"}


class BadHead(Exception):
    """What arrived is no head of HTTP/1.1, or is too long."""


async def relay(reader, writer, backend):
    """Join a client with `backend`, a (host, port), until both directions have ended."""
    raise NotImplementedError  # your code here


async def proxy(reader, writer, pick):
    """Serve a client's requests, each by the backend (host, port) that `pick()` returns."""
    raise NotImplementedError  # your code here
