"""Columns of numbers that are fast in both kinds of Python.

Compiled, a column is a `vec`: plain numbers in a row, without an object for each. Interpreted, it is an array
or a list, which an interpreter reads faster. Both are indexed alike; to make one longer, assign what `append`
returns: `column = append(column, value)`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from types import FunctionType
from typing import Any

from mypy_extensions import i32


def _function() -> None: ...


# Whether this is compiled code: there, functions are of another type. The compiler takes it for true, and
# leaves out what is for the interpreter (`always_true` in pyproject.toml).
COMPILED = not isinstance(_function, FunctionType)

if COMPILED:
    from librt.vecs import append as append
    from librt.vecs import vec as vec

    def floats(count: int, value: float) -> vec[float]:
        """Return a column of `count` equal numbers."""
        column = vec[float](capacity=count)
        for _ in range(count):
            column = append(column, value)
        return column

    def wholes(count: int, value: i32) -> vec[i32]:
        """Return a column of `count` equal whole numbers."""
        column = vec[i32](capacity=count)
        for _ in range(count):
            column = append(column, value)
        return column

    def column_of(values: Iterable[float]) -> vec[float]:
        """Return the numbers as a column of their own."""
        column = vec[float]()
        for value in values:
            column = append(column, value)
        return column

    def wholes_of(values: Iterable[int]) -> vec[i32]:
        """Return the whole numbers as a column of their own."""
        column = vec[i32]()
        for value in values:
            column = append(column, value)
        return column

    def packed(code: str, column: Any) -> array[Any]:
        """Return a column as an array: of floats, "d", or of whole numbers, "i"."""
        found: array[Any] = array(code)
        found.frombytes(memoryview(column).cast("B"))
        return found

else:

    class vec:  # noqa: N801
        """`vec[float]()` is an empty column, here a list."""

        def __class_getitem__(cls, item):
            return list

    def append(column, value):
        column.append(value)
        return column

    def floats(count, value):
        return array("d", [value]) * count

    def wholes(count, value):
        return [value] * count  # a list: read and written faster than an array

    def column_of(values):
        return array("d", values)

    def wholes_of(values):
        return array("i", values)

    packed = array
