"""The cache on disk: it survives a restart, is bounded, and never believes a broken file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Client, Connection, pool_of, proxied

from lbkit.caching import Caching, DiskRules
from lbkit.core.cache import Cache, CacheRules, Fields, Request, Response, Verdict
from lbkit.net import Proxy, ProxyConfig
from lbkit.net.cache_disk import SUFFIX, Disk, StoreOnDisk, dumped, loaded
from lbkit.net.config import ConfigError
from lbkit.net.preflight import folder_fault

FRESH = Fields((("cache-control", "max-age=1000"), ("date", "Fri, 01 Jan 2100 00:00:00 GMT")))
NOW = 2e9


def cache(folder: Path, max_bytes: int = 10**6, rules: CacheRules | None = None) -> Cache[bytes]:
    rules = rules or CacheRules()
    return Cache(rules, StoreOnDisk(rules, Disk(DiskRules(str(folder), max_bytes))))


def get(path: str = "/a", *fields: tuple[str, str], partition: str = "") -> Request:
    return Request("GET", f"http://a{path}", Fields(fields), partition)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def test_what_is_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    fields = FRESH.and_also(("vary", "accept"), ("etag", '"ä"'), ("age", "7"))
    before = cache(tmp_path)
    for accept in ("de", "en"):
        request = get("/a", ("accept", accept), partition="canary")
        before.store(request, Response(200, fields), accept.encode() + b"\n\0", NOW, NOW + 1)
    after = cache(tmp_path)
    for accept in ("de", "en"):
        request = get("/a", ("accept", accept), partition="canary")
        found, known = after.lookup(request, NOW + 9), before.lookup(request, NOW + 9)
        assert found.verdict is Verdict.HIT
        assert found.stored
        assert known.stored
        assert found.stored.body == accept.encode() + b"\n\0"
        assert found.stored.fields(NOW + 9).pairs == known.stored.fields(NOW + 9).pairs
        assert found.ttl == known.ttl
    assert after.lookup(get("/a", ("accept", "fr"), partition="canary"), NOW).stored is None
    assert after.lookup(get("/a", ("accept", "de")), NOW).stored is None


def test_memory_evicts_to_the_disk(tmp_path: Path) -> None:
    small = cache(tmp_path, rules=CacheRules(max_bytes=10_000))
    for i in range(50):
        small.store(get(f"/{i}"), Response(200, FRESH), b"%d" % i * 500, NOW, NOW)
    assert len(small.entries) < 10
    for i in range(50):
        found = small.lookup(get(f"/{i}"), NOW)
        assert found.stored
        assert found.stored.body == b"%d" % i * 500
    assert small.entries.size <= 10_000


def test_the_disk_is_bounded_and_the_least_used_goes_first(tmp_path: Path) -> None:
    rules = CacheRules(max_bytes=5000)
    small = cache(tmp_path, 20_000, rules)
    for i in range(40):
        small.store(get(f"/{i}"), Response(200, FRESH), b"x" * 1000, NOW, NOW)
        small.lookup(get("/0"), NOW)
        assert sum(file.stat().st_size for file in files(tmp_path)) <= 20_000
    small.store(get("/big"), Response(200, FRESH), b"x" * 30_000, NOW, NOW)
    assert cache(tmp_path, 20_000).lookup(get("/39"), NOW).stored
    assert cache(tmp_path, 2_000).lookup(get("/5"), NOW).stored is None
    assert len(files(tmp_path)) == 1  # as the new bound is smaller


def test_variants_are_bounded_on_disk_too(tmp_path: Path) -> None:
    few = cache(tmp_path, rules=CacheRules(max_variants=2))
    for i in range(6):
        fields = FRESH.and_also(("vary", "x"))
        few.store(get("/a", ("x", str(i))), Response(200, fields), b"", NOW, NOW)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("broken", [b"", b"x", b"x" * 100, b"0" * 64 + b" {}\n"])
def test_a_broken_file_is_a_miss_and_goes(tmp_path: Path, broken: bytes) -> None:
    cache(tmp_path).store(get(), Response(200, FRESH), b"body", NOW, NOW)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for data in (broken, whole[:-1], whole[:70] + b"?" + whole[71:], whole + b"more"):
        file.write_bytes(data)
        assert cache(tmp_path).lookup(get(), NOW).stored is None
        assert not file.exists()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.binary(max_size=3))
def test_no_file_raises_more_than_a_value_error(junk: bytes, at: int, patch: bytes) -> None:
    rules = CacheRules()
    stored, _ = Cache[bytes](rules).store(get(), Response(200, FRESH), b"body", NOW, NOW)
    assert stored
    data = dumped(stored)
    for broken in (junk, data[:at] + patch + data[at + len(patch) :]):
        with suppress(ValueError, KeyError, TypeError):
            assert loaded(broken, rules).body == b"body"


def test_a_file_under_another_ones_name_is_not_believed(tmp_path: Path) -> None:
    cache(tmp_path).store(get("/a"), Response(200, FRESH), b"a", NOW, NOW)
    (a,) = files(tmp_path)
    cache(tmp_path).store(get("/b"), Response(200, FRESH), b"b", NOW, NOW)
    (b,) = [file for file in files(tmp_path) if file != a]
    b.write_bytes(a.read_bytes())
    assert cache(tmp_path).lookup(get("/b"), NOW).stored is None


def test_purges_and_changes_reach_the_disk(tmp_path: Path) -> None:
    made = cache(tmp_path)
    for path in ("/a", "/b", "/c"):
        made.store(get(path), Response(200, FRESH), b"", NOW, NOW)
    again = cache(tmp_path)  # nothing is in memory
    assert again.purge("http://a/a") == 1
    assert again.changed(Request("POST", "http://a/b"), Response(200)) == 1
    assert again.clear() == 1
    assert files(tmp_path) == []


def test_a_half_written_file_is_removed_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a-b.cached.half").write_bytes(b"half")
    (tmp_path / "mine.txt").write_bytes(b"someone's")
    cache(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_disk_that_fails_is_reported_and_the_memory_serves(tmp_path: Path) -> None:
    faults: list[str] = []
    rules = CacheRules()
    disk = Disk(DiskRules(str(tmp_path / "folder")), lambda: faults.append("fault"))
    made = Cache(rules, StoreOnDisk(rules, disk))
    os.rmdir(tmp_path / "folder")
    made.store(get(), Response(200, FRESH), b"", NOW, NOW)
    assert made.lookup(get(), NOW).stored
    assert faults == ["fault"]


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
    with Proxy(pool_of(1), cache=rules) as second, Client(second) as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.answer()[2] == b"hi"
        assert second.call(second.purge) == 1
    assert len(asked) == 1


def test_the_file_names_what_is_wrong(tmp_path: Path) -> None:
    data = {"backends": [{"address": "127.0.0.1:1"}], "cache": {"disk": {"folder": str(tmp_path)}}}
    assert ProxyConfig.from_dict(data).cache == Caching(disk=DiskRules(str(tmp_path)))
    with pytest.raises(ConfigError, match=r"cache\.disk: 2 workers cannot share"):
        ProxyConfig.from_dict({**data, "workers": 2})
    (tmp_path / "file").touch()
    assert "is a file" in folder_fault(str(tmp_path / "file" / "more"))
    assert folder_fault(str(tmp_path / "new" / "one")) == ""
