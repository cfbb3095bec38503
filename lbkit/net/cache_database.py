"""The database of a cache on disk, which all workers share.

It is SQLite's, which does what is hard with files: it finds an answer by its key, writes it whole or not at
all, whoever is killed in between, and counts the bytes of all workers. What one of them removes or replaces,
it also writes to a log there, by which the others forget it in memory, too. So memory never has what the disk
has lost. An answer with a wrong checksum is a miss.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from lbkit.caching import DiskRules
from lbkit.core.cache import CacheRules, Fields, Request, Response, Stored
from lbkit.core.cache.entry import Variant, variant

FORMAT = 2
NAME = "lbkit-cache.db"
PATIENCE = 0.25  # seconds to wait for another worker, which is done within milliseconds unless it is stopped
REST = 1.0  # seconds without the disk after a failure
MAX_NOTED = 256  # uses that are not written yet
MAX_LOG = 2000  # lines of the log; a worker that has slept longer forgets all that it has in memory
JOURNAL = 4 * 2**20  # bytes of the journal that stay when it is empty

_TABLES = """
CREATE TABLE answers (
  id INTEGER PRIMARY KEY, uri BLOB, variant BLOB, vary TEXT, used REAL, data BLOB, UNIQUE (uri, variant));
CREATE INDEX by_use ON answers (used);
CREATE TABLE gone (id INTEGER PRIMARY KEY AUTOINCREMENT, worker BLOB, uri BLOB, variant BLOB);
"""


def digest_of(text: str) -> bytes:
    """Return the key of a URI."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[:20]


def variant_digest(which: Variant) -> bytes:
    """Return the key of a variant."""
    return digest_of(json.dumps(which))


def dumped(stored: Stored[bytes]) -> bytes:
    """Return a response as bytes."""
    head = {
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
    """Return the response in `data`. Raises ValueError, KeyError or TypeError for anything else."""
    checksum, _, rest = data.partition(b" ")
    if sha256(rest).hexdigest().encode() != checksum:
        raise ValueError("the checksum is wrong")
    line, _, body = rest.partition(b"\n")
    head = json.loads(line)
    asked = [(str(name), value) for name, value in head["variant"]]
    partition = next((str(value) for name, value in asked if not name), "")
    fields = Fields((name, value) for name, value in asked if name and value is not None)
    request = Request("GET", head["uri"], fields, partition)
    response = Response(int(head["status"]), Fields(map(tuple, head["fields"])))
    received = float(head["received"])
    stored = Stored(request, response, body, received, received, rules)
    stored.initial_age = float(head["age"])
    return stored


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep the other workers from opening the database; the kernel frees the lock of a process that dies."""
    with open(os.open(folder / "lbkit-cache.lock", os.O_CREAT | os.O_RDWR, 0o600), "wb") as lock:
        with suppress(ImportError):  # on Windows there are no workers
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _opened(path: Path) -> sqlite3.Connection:
    """Return the database; one that is damaged, or of another format, is made anew. Raises OSError.

    Without fsync: a crash of the machine may cost what is stored, one of a process costs nothing."""
    for last in (False, True):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            db.executescript("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = OFF;")
            db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = {JOURNAL};")
            (found,) = db.execute("PRAGMA user_version").fetchone()
            if found not in (0, FORMAT):
                raise sqlite3.DatabaseError("another format")
            if not found:
                db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
            db.execute("SELECT id, uri, variant, vary, used, data FROM answers LIMIT 1").fetchall()
            return db
        except sqlite3.Error as error:
            db.close()
            if last:
                raise OSError(f"{path}: {error}") from None
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
    raise AssertionError


class Disk:
    """The answers in a folder, of at most `max_bytes`; the least recently used one goes first.

    After an error (a full disk, a worker that stands still) nothing is read or written for a while. If
    something could not be removed then, all is removed as soon as that is possible."""

    def __init__(self, rules: DiskRules, on_fault: Callable[[], object] = lambda: None) -> None:
        """`on_fault`: called in the handler of an error. Raises OSError."""
        self.max_bytes = rules.max_bytes
        self.on_fault = on_fault
        folder = Path(rules.folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._worker = os.urandom(8)  # in the log
        self._noted: set[tuple[str, Variant]] = set()  # uses
        self._errors = 0
        self._rests_until = 0.0
        self._owes = False  # something could not be removed
        with _alone(folder):
            self.db = _opened(folder / NAME)
            (self._page,) = self.db.execute("PRAGMA page_size").fetchone()
            (self._seen,) = self.db.execute("SELECT coalesce(max(id), 0) FROM gone").fetchone()
            self._version = self._data_version()
            with self.change() as possible:
                if possible:
                    self._make_room(0)
            self.db.executescript("PRAGMA incremental_vacuum")

    def __del__(self) -> None:
        if hasattr(self, "db"):
            self.db.close()

    @property
    def failing(self) -> bool:
        """Whether there was an error just now."""
        return time.monotonic() < self._rests_until

    @property
    def size(self) -> int:
        """The bytes of the database that are in use."""
        ((pages,), (free,)) = (
            self.db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count")
        )
        return int((pages - free) * self._page)

    def __len__(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM answers").fetchone()[0])

    # -- errors, and the other workers -------------------------------------------------------------

    @contextmanager
    def _guarded(self, always: bool = False) -> Iterator[bool]:
        """Report an error of the database; the value says whether to try at all."""
        if self._rests_until and not always and self.failing:
            yield False
            return
        try:
            yield True
        except sqlite3.Error:
            self._errors += 1
            self._rests_until = time.monotonic() + REST
            with suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            self.on_fault()

    @contextmanager
    def change(self, always: bool = False) -> Iterator[bool]:
        """A transaction, which one worker at a time has; the value says whether it has begun."""
        begun = False
        with self._guarded(always) as possible:
            if possible:
                self.db.execute("BEGIN IMMEDIATE")
                if self._owes:
                    self._remove_all()
                begun = True
        with self._guarded(always):
            yield begun
            if begun:
                self.db.execute("COMMIT")
                self._owes = False

    def _data_version(self) -> int:
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def lost(self) -> list[tuple[bytes | None, bytes | None]]:
        """Return what other workers have removed since the last call: a URI and a variant; None is any."""
        gone: list[tuple[bytes | None, bytes | None]] = []
        with self._guarded(always=True):
            if (version := self._data_version()) == self._version:
                return []
            select = "SELECT id, worker, uri, variant FROM gone WHERE id >= ? ORDER BY id"
            lines = self.db.execute(select, (self._seen,)).fetchall()
            if lines and lines[0][0] > max(self._seen, 1):
                gone = [(None, None)]  # some lines were not read in time
            gone += [line[2:] for line in lines if line[0] > self._seen and line[1] != self._worker]
            self._version = version
            self._seen = max([self._seen, *(line[0] for line in lines)])
        return gone

    def _log(self, uri: bytes | None, which: bytes | None) -> None:
        """Have the others forget it."""
        insert = "INSERT INTO gone (worker, uri, variant) VALUES (?, ?, ?)"
        number = self.db.execute(insert, (self._worker, uri, which)).lastrowid
        assert number
        self.db.execute("DELETE FROM gone WHERE id <= ?", (number - MAX_LOG,))

    # -- answers -------------------------------------------------------------------------------------

    def read(self, request: Request, rules: CacheRules) -> list[Stored[bytes]]:
        """Return the responses that Vary lets answer a request; what cannot be used is deleted."""
        found = []
        with self._guarded() as possible:
            if not possible or self._owes:
                return []
            uri = digest_of(request.uri)
            for which, vary in self.db.execute(
                "SELECT variant, vary FROM answers WHERE uri = ?", (uri,)
            ).fetchall():
                if variant_digest(variant(request, frozenset(str(vary).split()))) == which and (
                    stored := self._load(uri, which, request, rules)
                ):
                    found.append(stored)
        return found

    def _load(self, uri: bytes, which: bytes, request: Request, rules: CacheRules) -> Stored[bytes] | None:
        row = self.db.execute(
            "SELECT data FROM answers WHERE uri = ? AND variant = ?", (uri, which)
        ).fetchone()
        if row is None:
            return None
        try:
            stored = loaded(row[0], rules)
            if stored.uri != request.uri or variant_digest(stored.variant) != which:
                raise ValueError("it is another response's")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            self.db.execute("DELETE FROM answers WHERE uri = ? AND variant = ?", (uri, which))
            return None
        self.note(stored)
        return stored

    def note(self, stored: Stored[bytes]) -> None:
        """Note a use, for the order of eviction; it is written with the next response, or with others."""
        self._noted.add((stored.uri, stored.variant))
        if len(self._noted) >= MAX_NOTED:
            with self.change() as possible:
                if possible:
                    self._write_uses()
            self._noted.clear()

    def write(self, stored: Stored[bytes], most_variants: int) -> None:
        """Keep a response, in place of an older one."""
        uri, which, data = digest_of(stored.uri), variant_digest(stored.variant), dumped(stored)
        with self.change() as possible:
            if not possible:
                return
            self._write_uses()
            self._remove("uri = ? AND variant = ?", (uri, which))
            if len(data) + 2 * self._page > self.max_bytes:
                return
            others = "SELECT id FROM answers WHERE uri = ? ORDER BY used DESC LIMIT -1 OFFSET ?"
            self._remove(f"id IN ({others})", (uri, most_variants - 1))
            self._make_room(len(data) + 2 * self._page)
            self.db.execute(
                "INSERT INTO answers (uri, variant, vary, used, data) VALUES (?, ?, ?, ?, ?)",
                (uri, which, " ".join(sorted(stored.vary)), time.time(), data),
            )

    def _write_uses(self) -> None:
        noted, self._noted = self._noted, set()
        now = time.time()
        uses = [(now, digest_of(uri), variant_digest(which)) for uri, which in noted]
        self.db.executemany("UPDATE answers SET used = ? WHERE uri = ? AND variant = ?", uses)

    def _make_room(self, size: int) -> None:
        while self.size + size > self.max_bytes:
            if not self._remove("id = (SELECT id FROM answers ORDER BY used LIMIT 1)", ()):
                return

    def _remove(self, where: str, values: tuple[object, ...]) -> int:
        """Remove responses, in a transaction; return their number."""
        gone = self.db.execute(f"SELECT id, uri, variant FROM answers WHERE {where}", values).fetchall()
        for number, uri, which in gone:
            self.db.execute("DELETE FROM answers WHERE id = ?", (number,))
            self._log(uri, which)
        return len(gone)

    def _remove_all(self) -> int:
        self._log(None, None)
        return self.db.execute("DELETE FROM answers").rowcount

    def delete(self, uri: str, which: Variant | None = None) -> int:
        """Delete one variant, or all responses with a URI; return their number."""
        where, values = "uri = ?", [digest_of(uri)]
        if which is not None:
            where, values = f"{where} AND variant = ?", [*values, variant_digest(which)]
        with self._guarded(always=True):
            if not self.db.execute(f"SELECT 1 FROM answers WHERE {where}", values).fetchone():
                return 0  # nearly always: no need to wait for others
        return self._certainly(lambda: self._remove(where, tuple(values)))

    def clear(self) -> int:
        """Delete all; return their number."""
        return self._certainly(self._remove_all)

    def _certainly(self, remove: Callable[[], int]) -> int:
        """Remove something now, or all as soon as that is possible."""
        before, count = self._errors, 0
        with self.change(always=True) as possible:
            count = remove() if possible else 0
        self._owes = self._errors > before
        return count
