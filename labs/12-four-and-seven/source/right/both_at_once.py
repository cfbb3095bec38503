"""Bodies are decoded into pieces and encoded anew; the request's is sent by a task while the answer is read."""

import asyncio

IDLE = {}  # address -> idle connections to it, for all clients
ONE_HOP = ("connection", "keep-alive", "proxy-connection", "te", "upgrade", "transfer-encoding")


async def pump(reader, writer):
    try:
        while data := await reader.read(1 << 15):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def relay(reader, writer, backend):
    try:
        up, up_writer = await asyncio.open_connection(*backend)
    except OSError:
        return writer.close()
    await asyncio.gather(pump(reader, up_writer), pump(up, writer))
    up_writer.close()
    writer.close()


class Message:
    """A head, and the pieces of the body that follows it."""

    @classmethod
    async def read(cls, reader):
        """Raises EOFError before a head, ValueError for a bad one."""
        self = cls()
        self.reader = reader
        try:
            block = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise ValueError from None
        start, *lines = block[:-4].decode("latin-1").split("\r\n")
        self.start = start.split(" ", 2)
        self.fields = [line.split(":", 1) for line in lines]
        if len(self.start) < 2 or any(len(f) != 2 or f[0] != f[0].strip() or not f[0] for f in self.fields):
            raise ValueError
        self.fields = [(name.lower(), value.strip()) for name, value in self.fields]
        lengths = {value for name, value in self.fields if name == "content-length"}
        coding = ",".join(value.lower() for name, value in self.fields if name == "transfer-encoding")
        self.chunked = coding == "chunked"
        if (coding and (lengths or not self.chunked)) or len(lengths) > 1:
            raise ValueError
        self.length = None
        for value in lengths:
            if not (value.isascii() and value.isdigit()):
                raise ValueError
            self.length = int(value)
        return self

    def listed(self, wanted):
        return [part.strip().lower() for name, value in self.fields if name == wanted for part in value.split(",")]

    def closes(self):
        return "close" in self.listed("connection") or "HTTP/1.0" in self.start

    def head(self, *more):
        gone = {*ONE_HOP, "x-forwarded-for", *self.listed("connection")} - {"content-length", "host"}
        fields = [f for f in self.fields if f[0] not in gone] + list(more)
        if self.chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        return "\r\n".join([" ".join(self.start), *(f"{n}: {v}" for n, v in fields), "", ""]).encode("latin-1")

    async def pieces(self):
        if self.chunked:
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                async for piece in self.counted(size):
                    yield piece
                await self.reader.readexactly(2)
            while await self.reader.readuntil(b"\r\n") != b"\r\n":
                pass
        elif self.length is not None:
            async for piece in self.counted(self.length):
                yield piece
        else:
            while piece := await self.reader.read(1 << 15):
                yield piece

    async def counted(self, left):
        while left:
            piece = await self.reader.read(min(left, 1 << 15))
            if not piece:
                raise ConnectionError
            left -= len(piece)
            yield piece

    async def body_to(self, writer):
        async for piece in self.pieces():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
            await writer.drain()
        if self.chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def proxy(reader, writer, pick):
    try:
        while await serve(reader, writer, pick):
            pass
    except (OSError, EOFError, ValueError):
        pass
    finally:
        writer.close()


async def error(writer, words):
    writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % words)
    await writer.drain()


async def serve(reader, writer, pick):
    try:
        asked = await Message.read(reader)
        if len(asked.start) != 3 or not asked.start[2].startswith("HTTP/1."):
            raise ValueError
    except ValueError:
        return await error(writer, b"400 Bad Request")
    if asked.length is None and not asked.chunked:
        asked.length = 0
    address = pick()
    sending = None
    up_writer = None
    try:
        idle = [c for c in IDLE.pop(address, []) if not c[0].at_eof()]
        up, up_writer = idle.pop() if idle else await asyncio.open_connection(*address)
        IDLE[address] = idle
        up_writer.write(asked.head(("X-Forwarded-For", writer.get_extra_info("peername")[0])))
        sending = asyncio.create_task(asked.body_to(up_writer))
        answer = await Message.read(up)
    except (OSError, EOFError, ValueError):
        if sending:
            sending.cancel()
        if up_writer:
            up_writer.close()
        return await error(writer, b"502 Bad Gateway")
    if asked.start[0] == "HEAD" or answer.start[1] in ("204", "304"):
        answer.chunked, answer.length = False, 0
    endless = answer.length is None and not answer.chunked
    last = asked.closes() or endless
    writer.write(answer.head(*([("Connection", "close")] if last else [])))
    await answer.body_to(writer)
    await sending
    if endless or answer.closes():
        up_writer.close()
    else:
        IDLE[address].append((up, up_writer))
    return not last
