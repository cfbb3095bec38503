from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbkit.core.affinity import Session, SessionCookies, StickTable

SECRET = b"a secret of sixteen bytes"
NAMES = ["s1", "s2", "10.0.0.3:80"]


def cookies(**fields) -> SessionCookies:
    return SessionCookies(SECRET, NAMES, **fields)


@given(st.sampled_from(NAMES), st.integers(0, 2**31), st.integers(0, 10_000))
def test_what_is_encoded_is_decoded(name: str, began: int, age: int) -> None:
    value = cookies().encode(name, began, began + age)
    assert cookies().decode(value, began + age) == Session(name, began, began + age)
    assert value.isascii()
    assert not set(value) & set(' ",;\\=')  # what a cookie may not hold


@given(st.text() | st.binary().map(lambda b: urlsafe_b64encode(b).decode()))
def test_a_value_of_ones_own_is_refused(value: str) -> None:
    assert cookies().decode(value, 0) is None


@given(st.integers(0, 39), st.integers(1, 255))
def test_a_value_that_was_changed_is_refused(at: int, by: int) -> None:
    data = bytearray(urlsafe_b64decode(cookies().encode("s1", 0, 0) + "=="))
    data[at] ^= by
    assert cookies().decode(urlsafe_b64encode(data).decode().rstrip("="), 0) is None


def test_a_value_does_not_tell_the_backend() -> None:
    value = cookies().encode("s1", 0, 0)
    data = urlsafe_b64decode(value + "==")
    assert b"s1" not in data
    other = SessionCookies(b"another secret, as long", NAMES)
    assert other.encode("s1", 0, 0)[:10] != value[:10]
    assert other.decode(value, 0) is None


def test_times_of_less_than_a_second_count_in_full() -> None:
    found = cookies(idle=0.5, life=2.25)
    assert found.decode(found.encode("s1", 0.75, 0.75), 1.25)
    assert found.decode(found.encode("s1", 0.75, 0.75), 1.26) is None
    assert found.decode(found.encode("s1", 0.75, 2.75), 3.0)
    assert found.decode(found.encode("s1", 0.75, 2.75), 3.01) is None


def test_sessions_end() -> None:
    found = cookies(idle=60, life=600)
    assert found.decode(found.encode("s1", 0, 100), 160)
    assert found.decode(found.encode("s1", 0, 100), 161) is None
    assert found.decode(found.encode("s1", 0, 590), 600)
    assert found.decode(found.encode("s1", 0, 590), 601) is None


def test_a_cookie_of_a_removed_backend_is_not_accepted() -> None:
    found = cookies()
    value = found.encode("s1", 0, 0)
    found.remove("s1")
    assert found.decode(value, 0) is None
    found.add("s1")
    assert found.decode(value, 0).backend == "s1"


def test_a_secret_must_be_long() -> None:
    with pytest.raises(ValueError, match="secret has 5 bytes: use at least 16"):
        SessionCookies(b"short", NAMES)


def test_a_table_forgets_what_was_unused_for_longest() -> None:
    table = StickTable(size=2)
    table.put("a", "s1", 0)
    table.put("b", "s2", 1)
    assert table.get("a", 2) == "s1"
    table.put("c", "s3", 3)
    assert [table.get(key, 4) for key in "abc"] == ["s1", None, "s3"]


def test_an_entry_that_is_used_stays() -> None:
    table = StickTable(idle=10)
    table.put("a", "s1", 0)
    assert table.get("a", 9) == "s1"
    assert table.get("a", 18) == "s1"
    assert table.get("a", 29) is None
    assert len(table) == 0


def test_a_backend_that_dies_loses_its_entries() -> None:
    table = StickTable()
    for key, name in (("a", "s1"), ("b", "s2"), ("c", "s1")):
        table.put(key, name, 0)
    assert table.forget("s1") == 2
    assert table.get("b", 1) == "s2"


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3))), st.integers(1, 5))
def test_a_table_is_bounded(steps: list, size: int) -> None:
    table = StickTable(size=size)
    for i, (key, server) in enumerate(steps):
        table.put(str(key), f"s{server}", i)
        assert table.get(str(key), i) == f"s{server}"
        assert len(table) <= size


@pytest.mark.parametrize("fields", [{"size": 0}, {"idle": 0}])
def test_a_table_of_nothing(fields: dict) -> None:
    with pytest.raises(ValueError, match="use"):
        StickTable(**fields)
