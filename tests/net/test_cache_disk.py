"""The cache on disk: it survives a restart, is bounded, is shared, and never believes what is broken."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted import Client, Connection, pool_of, proxied

from lbkit.caching import Caching, DiskRules
from lbkit.core.cache import Cache, CacheRules, Fields, Request, Response, Verdict
from lbkit.net import Proxy, ProxyConfig
from lbkit.net import cache_database as database
from lbkit.net.cache_database import NAME, Disk, dumped, loaded
from lbkit.net.cache_disk import StoreOnDisk
from lbkit.net.preflight import folder_fault

FRESH = Fields((("cache-control", "max-age=1000"), ("date", "Fri, 01 Jan 2100 00:00:00 GMT")))
NOW = 2e9
MIB = 2**20


def cache(folder: Path, max_bytes: int = 10 * MIB, rules: CacheRules | None = None) -> Cache[bytes]:
    """A cache, as a worker has it."""
    rules = rules or CacheRules()
    return Cache(rules, StoreOnDisk(rules, Disk(DiskRules(str(folder), max_bytes))))


def disk(made: Cache[bytes]) -> Disk:
    assert isinstance(made.entries, StoreOnDisk)
    return made.entries.disk


def get(path: str = "/a", *fields: tuple[str, str], partition: str = "") -> Request:
    return Request("GET", f"http://a{path}", Fields(fields), partition)


def put(made: Cache[bytes], path: str = "/a", body: bytes = b"body") -> None:
    assert made.store(get(path), Response(200, FRESH), body, NOW, NOW)[0]


def found(made: Cache[bytes], path: str = "/a") -> bytes | None:
    stored = made.lookup(get(path), NOW).stored
    return stored.body if stored else None


def test_what_is_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    fields = FRESH.and_also(("vary", "accept"), ("etag", '"ä"'), ("age", "7"))
    before = cache(tmp_path)
    for accept in ("de", "en"):
        request = get("/a", ("accept", accept), partition="canary")
        before.store(request, Response(200, fields), accept.encode() + b"\n\0", NOW, NOW + 1)
    after = cache(tmp_path)
    for accept in ("de", "en"):
        request = get("/a", ("accept", accept), partition="canary")
        again, known = after.lookup(request, NOW + 9), before.lookup(request, NOW + 9)
        assert again.verdict is Verdict.HIT
        assert again.stored
        assert known.stored
        assert again.stored.body == accept.encode() + b"\n\0"
        assert again.stored.fields(NOW + 9).pairs == known.stored.fields(NOW + 9).pairs
        assert again.ttl == known.ttl
    assert after.lookup(get("/a", ("accept", "fr"), partition="canary"), NOW).stored is None
    assert after.lookup(get("/a", ("accept", "de")), NOW).stored is None


def test_memory_evicts_to_the_disk(tmp_path: Path) -> None:
    small = cache(tmp_path, rules=CacheRules(max_bytes=10_000))
    for i in range(50):
        put(small, f"/{i}", b"%d" % i * 500)
    assert len(small.entries) < 10
    for i in range(50):
        assert found(small, f"/{i}") == b"%d" % i * 500
    assert small.entries.size <= 10_000


def test_the_disk_is_bounded_over_all_workers_and_the_least_used_goes_first(tmp_path: Path) -> None:
    rules = CacheRules(max_bytes=50_000)
    workers = [cache(tmp_path, MIB, rules) for _ in range(2)]
    for i in range(150):
        put(workers[i % 2], f"/{i}", b"x" * 20_000)
        found(workers[i % 2], "/0")
    for worker in workers:
        assert disk(worker).size <= MIB
    assert (tmp_path / NAME).stat().st_size <= MIB
    assert found(cache(tmp_path, MIB), "/0")
    assert found(cache(tmp_path, MIB), "/149")
    assert found(cache(tmp_path, MIB), "/5") is None
    assert cache(tmp_path, MIB).store(get("/big"), Response(200, FRESH), b"x" * 900_000, NOW, NOW)[0]
    assert (tmp_path / NAME).stat().st_size <= MIB


def test_a_smaller_bound_holds_from_the_start(tmp_path: Path) -> None:
    large = cache(tmp_path)
    for i in range(100):
        put(large, f"/{i}", b"x" * 40_000)
    assert disk(large).size > 3 * MIB
    small = cache(tmp_path, MIB)
    assert disk(small).size <= MIB
    del large, small
    assert (tmp_path / NAME).stat().st_size <= MIB


def test_variants_are_bounded_on_disk_too(tmp_path: Path) -> None:
    few = cache(tmp_path, rules=CacheRules(max_variants=2))
    for i in range(6):
        fields = FRESH.and_also(("vary", "x"))
        few.store(get("/a", ("x", str(i))), Response(200, fields), b"", NOW, NOW)
    assert len(disk(few)) == 2


@pytest.mark.parametrize("broken", [b"", b"x", b"x" * 100, b"0" * 64 + b" {}\n", None, 7, "text"])
def test_a_broken_answer_is_a_miss_and_goes(tmp_path: Path, broken: object) -> None:
    put(cache(tmp_path))
    with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        db.execute("UPDATE answers SET data = ?", (broken,))
    again = cache(tmp_path)
    assert found(again) is None
    assert len(disk(again)) == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=3))
def test_no_bytes_raise_more_than_a_value_error(junk: bytes, at: int, patch: bytes) -> None:
    rules = CacheRules()
    stored, _ = Cache[bytes](rules).store(get(), Response(200, FRESH), b"body", NOW, NOW)
    assert stored
    data = dumped(stored)
    for broken in (junk, data[:at] + patch + data[at + len(patch) :]):
        with suppress(ValueError, KeyError, TypeError):
            assert loaded(broken, rules).body == b"body"


def test_an_answer_under_another_ones_key_is_not_believed(tmp_path: Path) -> None:
    made = cache(tmp_path)
    put(made, "/a")
    put(made, "/b")
    with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        db.execute("UPDATE answers SET data = (SELECT data FROM answers ORDER BY id LIMIT 1)")
    again = cache(tmp_path)
    assert found(again, "/a")
    assert found(again, "/b") is None


@pytest.mark.parametrize("junk", [b"junk" * 3000, b"SQLite format 3\0" + b"\xff" * 9000, b"x"])
def test_a_damaged_database_is_made_anew(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / NAME).write_bytes(junk)
    (tmp_path / "mine.txt").write_bytes(b"someone's")
    put(cache(tmp_path))
    assert found(cache(tmp_path)) == b"body"
    assert (tmp_path / "mine.txt").exists()


def test_a_database_of_another_format_is_made_anew(tmp_path: Path) -> None:
    put(cache(tmp_path))
    with closing(sqlite3.connect(tmp_path / NAME)) as db:
        db.execute(f"PRAGMA user_version = {database.FORMAT + 1}")
    assert found(cache(tmp_path)) is None


def test_a_folder_in_place_of_the_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match=NAME):
        cache(tmp_path)


# -- several workers ------------------------------------------------------------------------------


def test_purges_and_changes_reach_the_disk_and_the_memory_of_others(tmp_path: Path) -> None:
    one, other = cache(tmp_path), cache(tmp_path)
    for path in ("/a", "/b", "/c"):
        put(one, path)
        assert found(other, path) == b"body"
    assert other.purge("http://a/a") == 1
    assert found(one, "/a") is None
    assert other.changed(Request("POST", "http://a/b"), Response(200)) == 1
    assert found(one, "/b") is None
    assert other.clear() == 1
    assert [found(worker, "/c") for worker in (one, other)] == [None, None]
    assert len(disk(one)) == 0


def test_what_one_worker_renews_the_others_read_anew(tmp_path: Path) -> None:
    one, other = cache(tmp_path), cache(tmp_path)
    put(one, body=b"old")
    assert found(other) == b"old"
    put(other, body=b"new")
    assert found(one) == b"new"
    assert one.lookup(get(), NOW).stored is one.lookup(get(), NOW).stored  # from memory


def test_a_confirmed_answer_is_not_put_back_if_another_worker_has_removed_it(tmp_path: Path) -> None:
    one, other = cache(tmp_path), cache(tmp_path)
    put(one)
    stored = one.lookup(get(), NOW).stored
    assert stored
    other.purge("http://a/a")
    assert one.freshen(get(), stored, Response(304, FRESH), NOW, NOW)
    assert [found(worker) for worker in (one, other)] == [None, None]


def test_a_worker_that_has_missed_lines_of_the_log_forgets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MAX_LOG", 3)
    sleeper, other = cache(tmp_path), cache(tmp_path)
    put(sleeper, "/kept")
    put(sleeper, "/gone")
    other.purge("http://a/gone")
    for _ in range(9):
        put(other, "/x")
    assert found(sleeper, "/gone") is None
    assert found(sleeper, "/kept") == b"body"


OPERATIONS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["put", "put", "get", "get", "purge", "clear"]), st.integers(0, 3)
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(OPERATIONS, st.sampled_from([1, 5, 2000]))
@example([(0, "put", 0), (1, "get", 0), (0, "put", 0), (1, "get", 0), (1, "purge", 0), (0, "get", 0)], 2000)
def test_no_worker_ever_gives_what_was_removed_or_replaced(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int]], log: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    before, database.MAX_LOG = database.MAX_LOG, log
    try:
        workers = [cache(folder, rules=CacheRules(max_bytes=5_000)) for _ in range(3)]
        truth: dict[str, bytes] = {}
        for number, (who, what, which) in enumerate(steps):
            path, worker = f"/{which}", workers[who]
            if what == "put":
                truth[path] = b"%d" % number
                put(worker, path, truth[path])
            elif what == "get":
                assert found(worker, path) == truth.get(path)
            elif what == "purge":
                assert worker.purge(f"http://a{path}") == (truth.pop(path, None) is not None)
            else:
                assert worker.clear() == len(truth)
                truth.clear()
    finally:
        database.MAX_LOG = before


WRITER = """
import sys
from lbkit.caching import DiskRules
from lbkit.core.cache import Cache, CacheRules, Fields, Request, Response
from lbkit.net.cache_database import Disk
from lbkit.net.cache_disk import StoreOnDisk
rules = CacheRules()
made = Cache(rules, StoreOnDisk(rules, Disk(DiskRules(sys.argv[1], 2**20))))
answer = Response(200, Fields((("cache-control", "max-age=1000"), ("date", "Fri, 01 Jan 2100 00:00:00 GMT"))))
print("ready", flush=True)
for i in range(10**9):
    which = i % 50
    made.store(Request("GET", f"http://a/{which}"), answer, b"%d " % which * (1000 + i % 7000), 2e9, 2e9)
    made.lookup(Request("GET", f"http://a/{(i * 7) % 50}"), 2e9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no workers")
def test_workers_that_are_killed_in_the_middle_leave_only_whole_answers(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[bytes]:
        here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, env=here)

    reader = cache(tmp_path, MIB, CacheRules(max_bytes=100_000))
    writers = [start() for _ in range(2)]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()
    seen, until = 0, time.monotonic() + 20
    while seen < 100 and time.monotonic() < until:
        for which in range(50):
            body = found(reader, f"/{which}")
            if body is not None:
                seen += 1
                words = body.split()
                assert len(words) >= 1000
                assert set(words) == {b"%d" % which}
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    assert seen >= 100
    assert disk(reader).size <= MIB
    assert reader.clear() > 0
    put(reader)
    assert found(cache(tmp_path)) == b"body"


def test_a_worker_that_stands_still_holds_others_up_for_a_moment_only(tmp_path: Path) -> None:
    faults: list[str] = []
    rules = CacheRules()
    mine = Disk(DiskRules(str(tmp_path)), lambda: faults.append("fault"))
    made = Cache(rules, StoreOnDisk(rules, mine))
    put(made, "/before")
    with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as stopped:
        stopped.execute("BEGIN IMMEDIATE")
        put(made, "/a")
        assert faults == ["fault"]
        for i in range(100):
            put(made, f"/{i}")
        assert faults == ["fault"]  # not another time within a second
        assert found(made, "/99") == b"body"
        assert made.purge("http://a/before") == 1  # from memory
        assert len(faults) == 2
        assert found(made, "/before") is None  # nor from the disk
    mine._rests_until = 0.0
    put(made, "/after")
    again = cache(tmp_path)
    assert found(again, "/after") == b"body"
    assert found(again, "/before") is None


# -- in a proxy -------------------------------------------------------------------------------------


def test_a_proxy_serves_what_the_one_before_has_stored(tmp_path: Path) -> None:
    asked = []

    def origin(connection: Connection) -> None:
        while head := connection.head():
            asked.append(head)
            connection.send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=99\r\nContent-Length: 2\r\n\r\nhi")

    rules = Caching(disk=DiskRules(str(tmp_path / "cache")))
    with proxied(origin, cache=rules) as first, Client(first) as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"hi"
        with Proxy(pool_of(1), cache=rules) as second, Client(second) as other:
            other.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            assert other.answer()[2] == b"hi"
            assert second.call(second.purge) == 1
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"hi"
    assert len(asked) == 2


def test_several_workers_may_share_a_folder(tmp_path: Path) -> None:
    data = {"backends": [{"address": "127.0.0.1:1"}], "cache": {"disk": {"folder": str(tmp_path)}}}
    config = ProxyConfig.from_dict({**data, "workers": 2})
    assert config.cache == Caching(disk=DiskRules(str(tmp_path)))
    (tmp_path / "file").touch()
    assert "is a file" in folder_fault(str(tmp_path / "file" / "more"))
    assert folder_fault(str(tmp_path / "new" / "one")) == ""
