from pathlib import Path

import pytest

from lbkit.net import Proxy
from lbkit.net.address import split_address
from lbkit.net.config import ConfigError, ProxyConfig

GOOD = """
listen = "127.0.0.1:0"
workers = 2
trusted = ["10.0.0.0/8"]

[[backends]]
name = "a"
address = "127.0.0.1:9001"
weight = 3

[[backends]]
address = "[::1]:9002"

[policy]
algorithm = "least_connections"
retries = 2

[timeouts]
read = 5

[limits]
head = 4096
body = 1000
"""


def load(tmp_path: Path, text: str) -> ProxyConfig:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return ProxyConfig.load(path)


def test_a_whole_file(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    proxy = Proxy(config=config)
    a, b = proxy.pool.backends
    assert (a.name, a.host, a.port, a.weight) == ("a", "127.0.0.1", 9001, 3)
    assert (b.name, b.host, b.port, b.weight) == ("[::1]:9002", "::1", 9002, 1)
    assert proxy.pool.balancer.name == "least_connections"
    assert (config.policy.retries, config.timeouts.read, config.limits.body) == (2, 5, 1000)
    assert proxy.service.attempts.retries == 2
    assert ProxyConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"least_connections"', '"lest_connections"', "did you mean 'least_connections'"),
        ("weight = 3", "weight = -3", r"backends\[0\].weight is -3"),
        ("weight = 3", "wieght = 3", r"backends\[0\]: unknown wieght; known are address, name, weight"),
        ('"127.0.0.1:9001"', '"localhost"', r"backends\[0\].address is 'localhost': use host:port"),
        ("read = 5", 'read = "soon"', "timeouts.read is 'soon': use a number"),
        ("workers = 2", "workers = 0", "workers is 0: use a whole number of at least 1"),
        ("10.0.0.0/8", "10.0.0.0/99", "trusted: '10.0.0.0/99'"),
        ("[::1]:9002", "127.0.0.1:9001\"\nname = \"a", "backends: two are called 'a'"),
        ("[policy]", "[policy", "is not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, GOOD.replace(old, new))


def test_missing_things(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere.toml: No such file"):
        ProxyConfig.load(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="backends is missing"):
        load(tmp_path, "workers = 1")
    with pytest.raises(ConfigError, match="backends is missing: there must be at least one"):
        load(tmp_path, "backends = []")


def test_addresses() -> None:
    assert split_address("[::1]:80") == ("::1", 80)
    for bad in ("", "x", "x:", ":80", "x:-1", "x:65536", "x:٣"):
        with pytest.raises(ValueError, match="use host:port"):
            split_address(bad)


def test_a_name_with_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One backend an address, as nginx does it."""
    found = [(2, 1, 6, "", (f"10.0.0.{i}", 80)) for i in (2, 1, 2)]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    config = ProxyConfig.from_dict({"backends": [{"address": "web:80", "resolve": True, "weight": 2}]})
    assert [(b.host, b.port, b.weight) for b in Proxy(config=config).pool.backends] == [
        ("10.0.0.1", 80, 2),
        ("10.0.0.2", 80, 2),
    ]


def test_a_name_that_nobody_knows() -> None:
    config = ProxyConfig.from_dict({"backends": [{"address": "no.such.name.invalid:80", "resolve": True}]})
    with pytest.raises(ConfigError, match=r"backends\[0\]\.address: no\.such\.name\.invalid: .*; correct"):
        Proxy(config=config)
    with pytest.raises(ConfigError, match=r"backends\[0\]\.resolve is 1: use true or false"):
        ProxyConfig.from_dict({"backends": [{"address": "web:80", "resolve": 1}]})
