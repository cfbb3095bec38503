"""Uses read() only, and keeps what it read too much in a buffer of its own; classes instead of functions."""

import asyncio

LONGEST = 32_000
DROPPED = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authorization"}


class Broken(Exception):
    pass


class Source:
    def __init__(self, reader):
        self.reader = reader
        self.buffer = b""

    async def more(self):
        data = await self.reader.read(LONGEST)
        self.buffer += data
        return bool(data)

    async def until(self, mark):
        """Return all up to the mark, and the mark; b"" at the end."""
        while mark not in self.buffer:
            if len(self.buffer) > LONGEST:
                raise Broken
            if not await self.more():
                if self.buffer:
                    raise Broken
                return b""
        found, self.buffer = self.buffer.split(mark, 1)
        return found + mark

    async def some(self, most):
        if not self.buffer:
            await self.more()
        data, self.buffer = self.buffer[:most], self.buffer[most:]
        return data

    async def transfer(self, size, writer):
        """Pass on `size` bytes; all there are for None."""
        while size is None or size > 0:
            data = await self.some(LONGEST if size is None else size)
            if not data:
                if size is None:
                    return
                raise Broken
            writer.write(data)
            await writer.drain()
            if size is not None:
                size -= len(data)

    async def transfer_chunks(self, writer):
        while True:
            line = await self.until(b"\r\n")
            if not line:
                raise Broken
            writer.write(line)
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            await self.transfer(size + 2, writer)
        while line != b"\r\n":
            line = await self.until(b"\r\n")
            writer.write(line)
        await writer.drain()


class Head:
    def __init__(self, data):
        self.first, *lines = data[:-4].decode("latin-1").split("\r\n")
        self.fields = []
        for line in lines:
            if ":" not in line or line.split(":")[0] != line.split(":")[0].strip():
                raise Broken
            name, value = line.split(":", 1)
            self.fields.append((name, value.strip()))
        lengths = self.all("content-length")
        encodings = [e.lower() for e in self.all("transfer-encoding")]
        if (lengths and encodings) or len(set(lengths)) > 1 or encodings not in ([], ["chunked"]):
            raise Broken
        if lengths and not set(lengths[0]) <= set("0123456789"):
            raise Broken
        self.chunked = bool(encodings)
        self.length = int(lengths[0]) if lengths else None
        self.tokens = {t.strip().lower() for value in self.all("connection") for t in value.split(",")}

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name]

    def bytes(self, drop=(), add=()):
        gone = DROPPED | self.tokens | set(drop)
        lines = [f"{n}: {v}" for n, v in self.fields if n.lower() not in gone]
        return "\r\n".join([self.first, *lines, *add, "", ""]).encode("latin-1")


class Session:
    def __init__(self, reader, writer, pick):
        self.source, self.writer, self.pick = Source(reader), writer, pick
        self.open = {}

    async def backend(self, address):
        if address not in self.open:
            reader, writer = await asyncio.open_connection(*address)
            self.open[address] = Source(reader), writer
        return self.open[address]

    async def fail(self, text):
        self.writer.write(f"HTTP/1.1 {text}\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsorry\n".encode())
        await self.writer.drain()

    async def once(self):
        try:
            data = await self.source.until(b"\r\n\r\n")
            if not data:
                return False
            request = Head(data)
            method, _, version = request.first.split(" ")
            if not version.startswith("HTTP/1."):
                raise Broken
        except (Broken, ValueError):
            await self.fail("400 Bad Request")
            return False
        address = self.pick()
        peer = self.writer.get_extra_info("peername")[0]
        try:
            source, to_backend = await self.backend(address)
            to_backend.write(request.bytes(["x-forwarded-for"], [f"X-Forwarded-For: {peer}"]))
            if request.chunked:
                await self.source.transfer_chunks(to_backend)
            else:
                await self.source.transfer(request.length or 0, to_backend)
            data = await source.until(b"\r\n\r\n")
            if not data:
                raise Broken
            answer = Head(data)
            status = answer.first.split(" ")[1]
        except (OSError, Broken, ValueError):
            await self.fail("502 Bad Gateway")
            return False
        bare = method == "HEAD" or status in ("204", "304")
        endless = not bare and not answer.chunked and answer.length is None
        last = "close" in request.tokens or version == "HTTP/1.0" or endless
        self.writer.write(answer.bytes(add=["Connection: close"] if last else []))
        if not bare and answer.chunked:
            await source.transfer_chunks(self.writer)
        elif not bare:
            await source.transfer(answer.length, self.writer)
        await self.writer.drain()
        if endless or "close" in answer.tokens or answer.first.startswith("HTTP/1.0"):
            self.open.pop(address)[1].close()
        return not last


async def proxy(reader, writer, pick):
    session = Session(reader, writer, pick)
    try:
        while await session.once():
            continue
    except (OSError, Broken, ValueError):
        pass
    for _, to_backend in session.open.values():
        to_backend.close()
    writer.close()


class OneWay:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def run(self):
        while True:
            data = await self.reader.read(10_000)
            if not data:
                self.writer.write_eof()
                return
            self.writer.write(data)
            await self.writer.drain()


async def relay(reader, writer, backend):
    upstream, to_upstream = await asyncio.open_connection(*backend)
    ways = [asyncio.ensure_future(OneWay(reader, to_upstream).run()), asyncio.ensure_future(OneWay(upstream, writer).run())]
    try:
        await asyncio.gather(*ways)
    except OSError:
        for way in ways:
            way.cancel()
    to_upstream.close()
    writer.close()
