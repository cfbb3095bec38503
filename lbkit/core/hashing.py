"""Hash functions: from a key or a name to a number, the same in every process."""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv6Address
from zlib import crc32

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: steps that spread evenly


def hash64(key: str) -> int:
    """Return 64 bits of `key`, the same in every process (Python's own hash() is salted).

    CRC-32, as in nginx, spread over 64 bits by a multiplication (Knuth, TAOCP 3, 6.4): a tenth of a
    microsecond, where a cryptographic hash takes half of one. It has 2^32 different values at most."""
    return crc32(key.encode()) * GOLDEN & 0xFFFFFFFFFFFFFFFF


def place64(name: str) -> int:
    """Return 64 bits for a backend's name, by a cryptographic hash: few names decide for many keys."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def mix64(x: int) -> int:
    """Return 64 bits that each depend on all 64 bits of `x`. (SplitMix64: Steele et al., OOPSLA 2014.)"""
    x = (x + GOLDEN) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def address_bytes(key: str) -> bytes:
    """Return the bytes of an IPv4 or IPv6 address; of any other text, its UTF-8 bytes."""
    parts = key.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() and int(p) < 256 for p in parts):
        return bytes(map(int, parts))
    if ":" in key:
        try:
            return IPv6Address(key).packed
        except ValueError:
            pass
    return key.encode()
