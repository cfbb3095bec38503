"""A binary heap in columns, for compiled code, where entries need no objects, and comparisons no calls.

Interpreted, tuples in the standard library's heapq are faster, and give the same order.
"""

from __future__ import annotations

from math import inf

from mypy_extensions import i64

from lbkit.core.vectors import append, vec


class Heap:
    """Entries (key, number, item), ordered by key and then by number, which must be unique.

    If `size` is not 0, `keys[0]`, `numbers[0]` and `items[0]` are the first entry."""

    def __init__(self) -> None:
        self.keys: vec[float] = vec[float]()
        self.numbers: vec[i64] = vec[i64]()
        self.items: vec[i64] = vec[i64]()
        self.size: i64 = 0

    def first_key(self) -> float:
        """Return the lowest key; inf if the heap is empty."""
        return self.keys[0] if self.size else inf

    def push(self, key: float, number: i64, item: i64) -> None:
        """Add an entry. O(log n)"""
        keys, numbers, items = self.keys, self.numbers, self.items
        place: i64 = self.size
        if place == len(keys):
            keys = self.keys = append(keys, 0.0)
            numbers = self.numbers = append(numbers, 0)
            items = self.items = append(items, 0)
        self.size = place + 1
        while place > 0:  # sift up past larger entries
            above: i64 = (place - 1) >> 1
            if keys[above] < key or (keys[above] == key and numbers[above] < number):
                break
            keys[place], numbers[place], items[place] = keys[above], numbers[above], items[above]
            place = above
        keys[place], numbers[place], items[place] = key, number, item

    def pop(self) -> i64:
        """Remove the first entry and return its item. O(log n)"""
        first: i64 = self.items[0]
        last: i64 = self.size - 1
        self.size = last
        self._sink(self.keys[last], self.numbers[last], self.items[last])
        return first

    def clear(self) -> list[tuple[float, int, int]]:
        """Remove all entries and return them in order. O(n log n)"""
        entries = []
        while self.size:
            key, number = self.keys[0], int(self.numbers[0])
            entries.append((key, number, int(self.pop())))
        return entries

    def replace(self, key: float, number: i64, item: i64) -> None:
        """Replace the first entry by another one. O(log n)"""
        self._sink(key, number, item)

    def _sink(self, key: float, number: i64, item: i64) -> None:
        """Put an entry at the root and sift it down past smaller ones."""
        keys, numbers, items, size = self.keys, self.numbers, self.items, self.size
        place: i64 = 0
        while True:
            below: i64 = 2 * place + 1
            if below >= size:
                break
            lowest: float = keys[below]
            if below + 1 < size:
                other: float = keys[below + 1]
                if other < lowest or (other == lowest and numbers[below + 1] < numbers[below]):
                    below += 1
                    lowest = other
            if key < lowest or (key == lowest and number < numbers[below]):
                break
            keys[place], numbers[place], items[place] = lowest, numbers[below], items[below]
            place = below
        keys[place], numbers[place], items[place] = key, number, item
