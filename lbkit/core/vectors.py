"""Columns of numbers that are fast both compiled and interpreted.

Compiled, a column is a `vec`: unboxed numbers in contiguous memory. Interpreted, it is an array or a list,
which is faster there. Both are indexed alike; `append` may return another object, so assign its result:
`column = append(column, value)`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from types import FunctionType
from typing import Any

from mypy_extensions import i32, i64


def _function() -> None: ...


# Whether this module runs compiled: compiled functions have another type. mypyc takes it for true and drops
# the interpreter's branches (`always_true` in pyproject.toml).
COMPILED = not isinstance(_function, FunctionType)

if COMPILED:
    from librt.strings import read_i64_le
    from librt.vecs import append as append
    from librt.vecs import vec as vec

    def floats(count: i64, value: float) -> vec[float]:
        """Return a column with `count` times the same number."""
        return vec[float]([value] * count)  # mypyc makes no list of it

    def wholes(count: i64, value: i32) -> vec[i32]:
        """Return a column with `count` times the same whole number."""
        return vec[i32]([value] * count)

    def column_of(values: Iterable[float]) -> vec[float]:
        """Return a new column with these numbers; the bytes of an array are copied."""
        return vec[float](values)

    def wholes_of(values: Iterable[int]) -> vec[i32]:
        """Return a new column with these whole numbers; the bytes of an array are copied."""
        return vec[i32](values)

    def uniform_at(words: bytes, place: i64) -> float:
        """Return what `random()` returns for 8 bytes of the same generator's `randbytes`.

        53 bits: 27 of the first word of 32, 26 of the second. (CPython, _randommodule.c.)"""
        word = read_i64_le(words, place)
        high, low = (word >> 5) & 0x7FFFFFF, (word >> 38) & 0x3FFFFFF
        return float((high << 26) + low) * 2.0**-53

    def packed(code: str, column: Any) -> array[Any]:
        """Return a column as an array of type code `code`: "d" for floats, "i" for whole numbers."""
        found: array[Any] = array(code)
        found.frombytes(memoryview(column).cast("B"))
        return found

else:

    class vec:  # noqa: N801
        """`vec[float]()` returns an empty column, here a list."""

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

    def uniform_at(words, place):
        word = int.from_bytes(words[place : place + 8], "little")
        return ((word >> 5 & 0x7FFFFFF) << 26 | word >> 38) / 2**53

    packed = array
