from __future__ import annotations

import asyncio
import random
import socket

import pytest

from lbkit.net import BackendConfig, ProxyConfig
from lbkit.net.running import ProxyError
from lbkit.net.workers.generation import Generation, WorkerProcess


class OneFails(Generation):
    """The second worker cannot start, once the first one is ready."""

    async def _launch(self, slot: int) -> WorkerProcess:
        if slot == 0:
            return await super()._launch(slot)
        while not self.alive or not next(iter(self.alive)).duty:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        raise ProxyError("no second one")


def test_a_start_that_fails_ends_the_workers_that_were_ready() -> None:
    config = ProxyConfig((BackendConfig("127.0.0.1:9", "s1"),), listen="127.0.0.1:0", workers=2)

    async def start() -> Generation:
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            generation = OneFails(config, [one, two], 2, print, random.Random(1), {})
            async with asyncio.timeout(30):
                with pytest.raises(ProxyError, match="no second one"):
                    await generation.start()
            return generation

    assert not asyncio.run(start()).alive
