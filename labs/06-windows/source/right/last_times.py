"""A ring of the last `limit` admitted times of each client: the oldest one says it all."""

import time
from collections import OrderedDict


class SlidingWindow:
    def __init__(self, limit, window, clock=time.monotonic):
        self.limit, self.window, self.clock = limit, window, clock
        self.clients = OrderedDict()  # the client that was admitted longest ago comes first

    def allow(self, client=""):
        now = self.clock()
        while self.clients:
            first = next(iter(self.clients))
            if self.clients[first][-1] > now - self.window:
                break
            del self.clients[first]
        times = self.clients.get(client, [])
        if len(times) == self.limit and times[0] > now - self.window:
            return False
        self.clients[client] = [*times, now][-self.limit :]
        self.clients.move_to_end(client)
        return True
