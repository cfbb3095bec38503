"""A heap of (running, turn, backend) with old entries left in it until they come up."""

from heapq import heapify, heappop, heappush
from itertools import count

from lbkit import Balancer


class FewestRunning(Balancer):
    def __init__(self):
        self.running = {}
        self.heap = []
        self.turns = count()

    def rebuild(self, backends):
        self.there = set(backends)
        self.heap = [(self.running.get(b, 0), next(self.turns), b) for b in backends]
        heapify(self.heap)

    def pick(self, backends, key, now):
        while True:
            number, _, backend = heappop(self.heap)
            if backend in self.there and number == self.running.get(backend, 0):
                break
            if backend in self.there and self.running.get(backend, 0) > number:
                heappush(self.heap, (self.running[backend], next(self.turns), backend))
        self.running[backend] = number + 1
        heappush(self.heap, (number + 1, next(self.turns), backend))
        return backend

    def pick_except(self, backends, exclude, key, now):
        left = [b for b in backends if b not in exclude]
        chosen = min(left, key=lambda b: self.running.get(b, 0))
        self.running[chosen] = self.running.get(chosen, 0) + 1
        return chosen

    def done(self, backend, latency, ok, now):
        if self.running.get(backend, 0):
            self.running[backend] -= 1
            if backend in self.there:
                heappush(self.heap, (self.running[backend], next(self.turns), backend))
