"""Writes small databases in the MaxMind DB format: a binary tree over the bits of addresses, and records.

https://maxmind.github.io/MaxMind-DB/ (version 2.0). For labs: the whole tree is built in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lbkit.core.networks import networks
from lbkit.core.options import FINITE
from lbkit.core.text import shown

MARKER = b"\xab\xcd\xefMaxMind.com"
RECORD_SIZE = 24  # bits of each side of a node: enough for 16 million nodes and bytes
SEPARATOR = 16  # zero bytes between tree and records
MOST = 65_821 + (1 << 24)  # bytes or items of a value
STRING, DOUBLE, UINT16, UINT32, MAP, UINT64, ARRAY, BOOLEAN = 2, 3, 5, 6, 7, 9, 11, 14


class _Whole(NamedTuple):
    """A whole number of a type."""

    kind: int
    number: int


class _Node:
    """A node of the tree: for the next bit, 0 or 1, another node, the index of a record, or None."""

    __slots__ = ("sides",)

    def __init__(self, both: int | None = None) -> None:
        self.sides: list[_Node | int | None] = [both, both]


def write_database(path: str | Path, records: Mapping[str, Mapping[str, Any]], name: str = "lbkit") -> None:
    """Write a database of `records` by network, such as {"192.0.2.0/24": {"country": {"iso_code": "FR"}}}.

    The longest matching prefix counts. Values are texts, numbers, true or false, lists and tables. Raises
    ValueError for a key that is not a network and for too much data, TypeError for other values, OSError."""
    if not isinstance(records, Mapping):
        raise TypeError(f"records is {shown(records)}: use a table by network")
    root = _Node()
    names = list(records)
    for number in sorted(range(len(names)), key=lambda n: networks([names[n]])[0].prefixlen):
        (network,) = networks([names[number]])
        # IPv4 is in the tree of IPv6, below ::/96.
        length = network.prefixlen + (96 if network.version == 4 else 0)
        _insert(root, int(network.network_address), length, number)
    data, places = b"", []
    for network_name in names:
        places.append(len(data))
        data += _encoded(records[network_name])
    nodes = _numbered(root)
    if len(nodes) + SEPARATOR + len(data) >= 1 << RECORD_SIZE:
        raise ValueError(f"records: {len(nodes):,} nodes and {len(data):,} bytes: at most 16 million fit")
    about = {
        "binary_format_major_version": _Whole(UINT16, 2),
        "binary_format_minor_version": _Whole(UINT16, 0),
        "build_epoch": _Whole(UINT64, 1),  # the same each time; 0 counts as missing
        "database_type": name,
        "description": {"en": "Locations for a lab"},
        "ip_version": _Whole(UINT16, 6),
        "languages": ["en"],
        "node_count": _Whole(UINT32, len(nodes)),
        "record_size": _Whole(UINT16, RECORD_SIZE),
    }
    tree = b"".join(_side(side, nodes, places) for node in nodes for side in node.sides)
    Path(path).write_bytes(tree + bytes(SEPARATOR) + data + MARKER + _encoded(about))


def _insert(root: _Node, address: int, length: int, number: int) -> None:
    """Put a record at a prefix; a shorter prefix keeps its record for the rest of its network."""
    node = root
    for depth in range(length):
        bit = address >> (127 - depth) & 1
        if depth == length - 1:
            node.sides[bit] = number
            return
        below = node.sides[bit]
        if not isinstance(below, _Node):
            below = node.sides[bit] = _Node(below)
        node = below
    root.sides = [number, number]  # length 0: the network of all addresses


def _numbered(root: _Node) -> dict[_Node, int]:
    """Return all nodes with their indices in the file, the root first."""
    nodes = {root: 0}
    waiting = [root]
    while waiting:
        for side in waiting.pop().sides:
            if isinstance(side, _Node):
                nodes[side] = len(nodes)
                waiting.append(side)
    return nodes


def _side(side: _Node | int | None, nodes: Mapping[_Node, int], places: Sequence[int]) -> bytes:
    if isinstance(side, _Node):
        value = nodes[side]
    else:
        value = len(nodes) if side is None else len(nodes) + SEPARATOR + places[side]
    return value.to_bytes(RECORD_SIZE // 8, "big")


def _encoded(value: Any) -> bytes:
    """Return a value as bytes of the data section."""
    if isinstance(value, bool):
        return _head(BOOLEAN, int(value))
    if isinstance(value, str):
        text = value.encode()
        return _head(STRING, len(text)) + text
    if isinstance(value, _Whole):
        digits = value.number.to_bytes((value.number.bit_length() + 7) // 8, "big")
        return _head(value.kind, len(digits)) + digits
    if isinstance(value, int | float) and abs(value) <= FINITE:
        return _head(DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, Mapping):
        return _head(MAP, len(value)) + b"".join(_encoded(str(k)) + _encoded(v) for k, v in value.items())
    if isinstance(value, list):
        return _head(ARRAY, len(value)) + b"".join(map(_encoded, value))
    raise TypeError(f"{shown(value)}: use texts, numbers, true or false, lists and tables")


def _head(kind: int, size: int) -> bytes:
    """Return the control bytes before a value: its type and size."""
    more = b""
    if size >= MOST:
        raise ValueError(f"a value has {size:,} bytes or items: use less than {MOST:,}")
    if size >= 65_821:
        size, more = 31, (size - 65_821).to_bytes(3, "big")
    elif size >= 285:
        size, more = 30, (size - 285).to_bytes(2, "big")
    elif size >= 29:
        size, more = 29, bytes([size - 29])
    return bytes([kind << 5 | size]) + more if kind <= 7 else bytes([size, kind - 7]) + more
