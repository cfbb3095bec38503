"""What runs from `start` to `stop`: also as a context manager, in a script or in a coroutine."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Self


class Started(ABC):
    """Base of proxies, fleets, sessions and servers. A coroutine starts and stops them in a thread."""

    @abstractmethod
    def start(self) -> Self:
        """Return when it serves; where it raises, nothing of it is left."""

    @abstractmethod
    def stop(self) -> None:
        """Safe to repeat."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)
