from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lbkit.core.key import about_client, key_of


@dataclass
class RequestView:
    client: str = "10.0.0.9"
    target: bytes = b"/a/b?user=7&user=8&empty="
    flow: str = "tcp 10.0.0.9:1234 10.0.0.1:80"
    fields: dict[bytes, bytes] = field(default_factory=dict)

    def field(self, name: bytes) -> bytes:
        return self.fields.get(name, b"")


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ("client", "10.0.0.9"),
        ("path", "/a/b"),
        ("uri", "/a/b?user=7&user=8&empty="),
        ("flow", "tcp 10.0.0.9:1234 10.0.0.1:80"),
        ("header:X-User", "ann"),
        ("cookie:sid", "42"),
        ("query:user", "7"),
        # Who has none of it is known by address.
        ("header:X-Other", "10.0.0.9"),
        ("cookie:other", "10.0.0.9"),
        ("query:empty", "10.0.0.9"),
    ],
)
def test_keys(spec: str, key: str) -> None:
    asked = RequestView(fields={b"x-user": b"ann", b"cookie": b"other=; a=b; sid=42; sidx=1"})
    assert key_of(spec)(asked) == key


@pytest.mark.parametrize("spec", ["colour", "cookie", "header:", "client:x", ""])
def test_no_such_key(spec: str) -> None:
    with pytest.raises(ValueError, match="use one of client, path, uri, flow, header:NAME"):
        key_of(spec)


def test_what_a_simulation_takes_for_it() -> None:
    assert [about_client(s) for s in ("client", "header:A", "cookie:b", "path", "query:c", "flow")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
