"""A temporary Redis server, for notebooks, benchmarks and tests."""

from __future__ import annotations

from lbkit.live.server import Server


class RedisServer(Server):
    """`lasting`: every write is on disk before it is answered, so that a crash forgets nothing; without, all
    is gone with the process. Raises EngineError where there is no redis-server."""

    program = "redis-server"

    def __init__(self, lasting: bool = False) -> None:
        super().__init__()
        self.lasting = lasting

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._room.name, "--save", ""]
        keep = ["--appendonly", "yes", "--appendfsync", "always"] if self.lasting else []
        return [self.tool(self.program), *place, *keep]
