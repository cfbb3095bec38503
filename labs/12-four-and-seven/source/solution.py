import asyncio
import re

PIECE = 65536  # bytes that are read at once, at most; a StreamReader's own limit of a head is the same
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a field
HOP_BY_HOP = {"connection", "proxy-connection", "keep-alive", "te", "upgrade"}


class BadHead(Exception):
    """What arrived is no head of HTTP/1.1, or is too long."""


async def relay(reader, writer, backend):
    """Join a client with `backend`, a (host, port), until both directions have ended."""
    ### BEGIN SOLUTION
    try:
        there, to_there = await asyncio.open_connection(*backend)
    except OSError:
        writer.close()
        return
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(copy(reader, to_there))
            both.create_task(copy(there, writer))
    except* OSError:
        pass  # one of them was lost: the other's task is cancelled
    finally:
        to_there.close()
        writer.close()
    ### END SOLUTION


# %%


async def proxy(reader, writer, pick):
    """Serve a client's requests, each by the backend (host, port) that `pick()` returns."""
    ### BEGIN SOLUTION
    kept = {}  # (reader, writer) of open connections to backends, by address
    try:
        while await exchange(reader, writer, pick, kept):
            pass
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, BadHead):
        pass  # in the middle of an answer: all that can be done is to end the connection
    finally:
        for _, to_there in kept.values():
            to_there.close()
        writer.close()


async def copy(reader, writer):
    """Copy to the end, and pass the end on."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def copy_bytes(reader, writer, count):
    while count:
        piece = await reader.read(min(count, PIECE))
        if not piece:
            raise ConnectionError(f"it ended {count} bytes too early")
        writer.write(piece)
        await writer.drain()
        count -= len(piece)


async def copy_chunks(reader, writer):
    size = None
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        digits = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]+", digits):
            raise ConnectionError(f"no size of a chunk: {line!r}")
        size = int(digits, 16)
        writer.write(line)
        if size:
            await copy_bytes(reader, writer, size + 2)  # with the CR LF after the data
    while line != b"\r\n":  # trailers
        line = await reader.readuntil(b"\r\n")
        writer.write(line)
    await writer.drain()


async def copy_body(reader, writer, length):
    if length == "chunked":
        await copy_chunks(reader, writer)
    elif length == "to the end":
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    else:
        await copy_bytes(reader, writer, length)


async def read_head(reader):
    """Return the words of the first line and the fields; None if the connection ended before it."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise BadHead("too long") from None
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadHead("it ends in the middle") from None
        return None
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not NAME.fullmatch(name) or "\n" in value or "\r" in value:
            raise BadHead(line)
        fields.append((name, value.strip()))
    return first.split(" ", 2), fields


def values(fields, wanted):
    """Return what a field lists, in lower case."""
    return [v.strip().lower() for name, value in fields if name.lower() == wanted for v in value.split(",")]


def body_length(fields, otherwise):
    codings, lengths = values(fields, "transfer-encoding"), set(values(fields, "content-length"))
    if codings:
        if codings != ["chunked"] or lengths:
            raise BadHead("two opinions of where the body ends")
        return "chunked"
    if not lengths:
        return otherwise
    length = lengths.pop()
    if lengths or not re.fullmatch("[0-9]+", length):
        raise BadHead("no length, or two")
    return int(length)


def head_of(first, fields, *more):
    """Return a head as it is passed on: without what is for one connection only, and with `more` fields."""
    dropped = HOP_BY_HOP | set(values(fields, "connection")) - {"content-length", "transfer-encoding", "host"}
    kept = [(name, value) for name, value in fields if name.lower() not in dropped]
    lines = [" ".join(first), *(f"{name}: {value}" for name, value in [*kept, *more])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def refuse(writer, status):
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()


async def exchange(reader, writer, pick, kept):
    """Serve one request; return whether another may follow it."""
    try:
        head = await read_head(reader)
        if head is None:
            return False
        first, fields = head
        length = body_length(fields, 0)
        if len(first) != 3 or not all(first) or first[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadHead(first)
    except BadHead:
        await refuse(writer, "400 Bad Request")
        return False
    more = first[2] == "HTTP/1.1" and "close" not in values(fields, "connection")
    fields = [field for field in fields if field[0].lower() != "x-forwarded-for"]
    address = pick()
    try:
        if address not in kept or kept[address][0].at_eof():
            kept[address] = await asyncio.open_connection(*address)
        there, to_there = kept[address]
        client = writer.get_extra_info("peername")[0]
        to_there.write(head_of([*first[:2], "HTTP/1.1"], fields, ("X-Forwarded-For", client)))
        await copy_body(reader, to_there, length)
        answer = await read_head(there)
        if answer is None or len(answer[0]) < 2:
            raise ConnectionError("no answer")
        status, answer_fields = answer
        length = body_length(answer_fields, "to the end")
    except (OSError, BadHead, asyncio.IncompleteReadError):
        await refuse(writer, "502 Bad Gateway")
        return False
    if first[0] == "HEAD" or status[1] in ("204", "304"):
        length = 0
    again = status[0] == "HTTP/1.1" and "close" not in values(answer_fields, "connection")
    more = more and length != "to the end"
    writer.write(head_of(status, answer_fields, *([] if more else [("Connection", "close")])))
    await copy_body(there, writer, length)
    await writer.drain()
    if not again or length == "to the end":
        kept.pop(address)[1].close()
    return more
    ### END SOLUTION
