"""Requests for the checks of this lab, and how they are sent and read."""

from lbkit.course.sockets import shown

GET = b"GET /cats HTTP/1.1\r\nHost: shop.example\r\n\r\n"
LAST = b"GET /cats HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
FLOOD = 24 << 20  # bytes: much more than all sockets hold


def fields_of(head):
    """The first line of a head, and its fields with lower-case names, in order."""
    first, *lines = head.split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return first, [(name.strip().lower(), value.strip()) for name, _, value in pairs]


def unchunked(raw):
    """The data of a chunked body and what follows it; None if it is not whole."""
    data = b""
    while True:
        line, found, raw = raw.partition(b"\r\n")
        if not found:
            return None
        size = int(line.split(b";")[0], 16)
        if not size:
            break
        if len(raw) < size + 2:
            return None
        data, raw = data + raw[:size], raw[size + 2 :]
    while True:  # trailers
        line, found, raw = raw.partition(b"\r\n")
        if not found:
            return None
        if not line:
            return data, raw


async def requested(scene, proxy, raw, hint=""):
    """A client that has sent `raw` through the proxy, and the backend that has the head of it."""
    address, lines = await scene.backend()
    client = await scene.connect(await scene.front(proxy, lambda: address))
    await client.send(raw)
    backend = await scene.accept(lines, f"a connection to the backend after {shown(raw)}", hint)
    head = await backend.head(f"the head of {shown(raw)} at the backend", hint)
    return client, backend, *fields_of(head)
