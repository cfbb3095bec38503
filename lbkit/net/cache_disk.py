"""A cache on disk behind the one in memory: it is larger, and survives a restart.

A file has one response: a line of JSON, then the body. Its name is made of hashes of the URI and of the
variant, so that a folder's names and sizes are an index, and nothing has to be read at the start. A file is
written whole or not at all, and one with a wrong checksum is a miss.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from lbkit.caching import DiskRules
from lbkit.core.cache import CacheRules, Fields, Request, Response, Stored
from lbkit.core.cache.entry import Variant
from lbkit.core.cache.store import Store

FORMAT = 1
SUFFIX, HALF = ".cached", ".half"  # of whole files, and of those that are being written


def _digest(text: str, letters: int) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:letters]


def file_name(uri: str, variant: Variant) -> str:
    return f"{_digest(uri, 40)}-{_digest(json.dumps(variant), 24)}{SUFFIX}"


def dumped(stored: Stored[bytes]) -> bytes:
    """Return a response as the content of a file."""
    head = {
        "format": FORMAT,
        "uri": stored.uri,
        "variant": stored.variant,
        "status": stored.response.status,
        "fields": stored.response.fields.pairs,
        "received": stored.received,
        "age": stored.initial_age,
    }
    rest = json.dumps(head).encode() + b"\n" + stored.body
    return sha256(rest).hexdigest().encode() + b" " + rest


def loaded(data: bytes, rules: CacheRules) -> Stored[bytes]:
    """Return the response in a file. Raises ValueError, KeyError or TypeError for anything else."""
    checksum, _, rest = data.partition(b" ")
    if sha256(rest).hexdigest().encode() != checksum:
        raise ValueError("the checksum is wrong")
    line, _, body = rest.partition(b"\n")
    head = json.loads(line)
    if head["format"] != FORMAT:
        raise ValueError("another format")
    asked = [(str(name), value) for name, value in head["variant"]]
    partition = next((str(value) for name, value in asked if not name), "")
    fields = Fields((name, value) for name, value in asked if name and value is not None)
    request = Request("GET", head["uri"], fields, partition)
    response = Response(int(head["status"]), Fields(map(tuple, head["fields"])))
    received = float(head["received"])
    stored = Stored(request, response, body, received, received, rules)
    stored.initial_age = float(head["age"])
    return stored


class Disk:
    """The files of a folder, of at most `max_bytes`; the least recently used one goes first."""

    def __init__(self, rules: DiskRules, on_fault: Callable[[], object] = lambda: None) -> None:
        """`on_fault`: called in the handler of an OSError at writing. Raises OSError."""
        self.folder = Path(rules.folder)
        self.max_bytes = rules.max_bytes
        self.on_fault = on_fault
        self.size = 0
        self._files: OrderedDict[str, int] = OrderedDict()  # name -> bytes; least recent first
        self._by_uri: dict[str, dict[str, None]] = {}  # digest of the URI -> names
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = []
        for entry in os.scandir(self.folder):
            if entry.name.endswith(HALF):  # of a process that was killed
                os.unlink(entry.path)
            elif entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                at = entry.stat()
                found.append((at.st_mtime, entry.name, at.st_size))
        for _, name, size in sorted(found):
            self._add(name, size)
        self._make_room(0)

    def _add(self, name: str, size: int) -> None:
        self._files[name] = size
        self._by_uri.setdefault(name.partition("-")[0], {})[name] = None
        self.size += size

    def _forget(self, name: str) -> bool:
        size = self._files.pop(name, None)
        if size is None:
            return False
        self.size -= size
        digest = name.partition("-")[0]
        del self._by_uri[digest][name]
        if not self._by_uri[digest]:
            del self._by_uri[digest]
        return True

    def _make_room(self, size: int) -> None:
        while self._files and self.size + size > self.max_bytes:
            self.delete(next(iter(self._files)))

    def names(self, uri: str) -> list[str]:
        """Return the files of a URI."""
        return list(self._by_uri.get(_digest(uri, 40), ()))

    def read(self, name: str, uri: str, rules: CacheRules) -> Stored[bytes] | None:
        """Return the response in a file; None for one that cannot be used, which is deleted."""
        path = self.folder / name
        try:
            stored = loaded(path.read_bytes(), rules)
            if stored.uri != uri or file_name(uri, stored.variant) != name:
                raise ValueError("it is another response's file")
            os.utime(path)  # the order of use, for the next start
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.delete(name)
            return None
        self._files.move_to_end(name)
        return stored

    def write(self, stored: Stored[bytes], most_variants: int) -> None:
        """Keep a response, in place of an older one."""
        name, data = file_name(stored.uri, stored.variant), dumped(stored)
        self.delete(name)
        if len(data) > self.max_bytes:
            return
        for other in self.names(stored.uri)[: -most_variants + 1 or None]:
            self.delete(other)
        self._make_room(len(data))
        half = self.folder / (name + HALF)
        try:
            with open(os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            os.replace(half, self.folder / name)
        except OSError:
            with suppress(OSError):
                half.unlink()
            self.on_fault()
            return
        self._add(name, len(data))

    def delete(self, name: str) -> bool:
        """Delete a file; return whether there was one."""
        with suppress(OSError):
            (self.folder / name).unlink()
        return self._forget(name)

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)


class StoreOnDisk(Store[bytes]):
    """A store in memory with a disk behind it: what is evicted here stays there."""

    def __init__(self, rules: CacheRules, disk: Disk) -> None:
        super().__init__(rules)
        self.disk = disk

    def select(self, request: Request) -> Stored[bytes] | None:
        found = super().select(request)
        if found is None and (names := self.disk.names(request.uri)):
            here = {file_name(request.uri, which) for which in self._by_uri.get(request.uri, ())}
            for name in names:
                stored = None if name in here else self.disk.read(name, request.uri, self._rules)
                if stored and self.has_room(stored):
                    super().put(stored)
            found = super().select(request)
        return found

    def put(self, stored: Stored[bytes]) -> None:
        super().put(stored)
        self.disk.write(stored, self._rules.max_variants)

    def remove(self, uri: str, which: Variant) -> bool:
        there = self.disk.delete(file_name(uri, which))
        return super().remove(uri, which) or there

    def remove_uri(self, uri: str) -> int:
        here = super().remove_uri(uri)
        return here + sum(map(self.disk.delete, self.disk.names(uri)))

    def clear(self) -> int:
        """Forget all; return the number of files, as all that is here is there, too."""
        super().clear()
        return sum(map(self.disk.delete, list(self.disk)))
