import re
import socket
import tomllib
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import attrs
import pytest

from lbkit.net import Proxy, descriptors
from lbkit.net.address import split_address
from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig
from lbkit.net.preflight import log_fault, redis_fault, start_faults
from lbkit.net.serve import checked
from lbkit.net.settings import AdminRules
from lbkit.net.shared_store import SharedStore

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


def test_a_file_with_every_section(tmp_path: Path) -> None:
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
        ('"least_connections"', '"lest_connections"', "did you mean least_connections"),
        ("weight = 3", "weight = -3", r"backends\[0\].weight is -3"),
        ("weight = 3", "wieght = 3", r"backends\[0\]: unknown wieght; known are address, name, weight"),
        ('"127.0.0.1:9001"', '"localhost"', r"backends\[0\].address is 'localhost': use host:port"),
        ("read = 5", 'read = "soon"', "timeouts.read is 'soon': use a number"),
        ("workers = 2", "workers = 0", "workers is 0: use a whole number of at least 1"),
        ("10.0.0.0/8", "10.0.0.0/99", "trusted: '10.0.0.0/99'"),
        ("[::1]:9002", "127.0.0.1:9001\"\nname = \"a", "backends: two have the name 'a'"),
        ("[policy]", "[policy", "line 14, column 8: not TOML"),
    ],
)  # fmt: skip
def test_an_error_names_the_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, GOOD.replace(old, new))


def test_required_fields_are_named(tmp_path: Path) -> None:
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


def test_an_unknown_host_name() -> None:
    config = ProxyConfig.from_dict({"backends": [{"address": "no.such.name.invalid:80", "resolve": True}]})
    with pytest.raises(ConfigError, match=r"backends\[0\]\.address: no\.such\.name\.invalid: .*; correct"):
        Proxy(config=config)
    with pytest.raises(ConfigError, match=r"backends\[0\]\.resolve is 1: use true or false"):
        ProxyConfig.from_dict({"backends": [{"address": "web:80", "resolve": 1}]})


def test_workers_start_at_different_places() -> None:
    """Eight workers that each get three requests for ten backends: three of them would get everything."""
    backends = [{"address": f"127.0.0.1:{port}"} for port in range(1, 11)]
    config = ProxyConfig.from_dict({"backends": backends})
    picks = Counter(
        pool.acquire("", 0.0).backend.name
        for pool in (config.pool(seed=worker, start=worker / 8) for worker in range(8))
        for _ in range(3)
    )
    assert len(picks) == 10
    assert max(picks.values()) <= 3


def test_workers_draw_different_numbers_and_the_same_ones_again() -> None:
    backends = [{"address": f"127.0.0.1:{port}"} for port in range(1, 11)]
    config = ProxyConfig.from_dict({"backends": backends, "policy": {"algorithm": "random"}})

    def drawn(seed: int) -> list[str]:
        pool = config.pool(seed=seed)
        return [pool.acquire("", 0.0).backend.name for _ in range(20)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


# -- every field, and every kind of wrong value ------------------------------------------------


EXAMPLE = resources.files("lbkit.net").joinpath("example.toml").read_text("utf-8")


def uncommented(text: str) -> str:
    """The example with all of its settings in force."""
    lines = []
    for line in text.splitlines():
        setting = line.removeprefix("# ")
        lines.append(
            setting if line.startswith(("# [", "# ")) and ("= " in setting or "[" in setting) else line
        )
    return "\n".join(line for line in lines if not line.startswith("#") and not line.startswith("choices"))


def test_the_example_has_every_field_with_its_default() -> None:
    assert ProxyConfig.from_dict(tomllib.loads(EXAMPLE)) == ProxyConfig((BackendConfig("127.0.0.1:9001"),))
    data = tomllib.loads(uncommented(EXAMPLE))
    given = {
        "address",
        "body",
        "max_body",
        "connections_per_client",
        "limiter",
        "limit",
        "rate",
        "priorities",
    }  # these have no default, or None

    def compare(cls: type, table: dict[str, Any]) -> None:
        assert {f.name for f in attrs.fields(cls)} - {"slow_start", "options"} <= table.keys(), cls
        for f in attrs.fields(cls):
            value = table.get(f.name)
            if f.name in given or isinstance(value, dict) or (isinstance(value, list) and value):
                continue
            if (
                f.default is not attrs.NOTHING
                and not isinstance(f.default, attrs.Factory)
                and f.name in table
            ):
                assert value == (list(f.default) if isinstance(f.default, tuple) else f.default), f.name

    config = ProxyConfig.from_dict(data)
    compare(ProxyConfig, data)
    assert data["admin"] == attrs.asdict(AdminRules(listen="127.0.0.1:9901"))
    assert config.redis
    assert config.admission
    assert config.compression
    assert config.tls
    assert config.firewall
    for one, table in (
        (config.backends[0], data["backends"][0]),
        (config.policy, data["policy"]),
        (config.timeouts, data["timeouts"]),
        (config.limits, data["limits"]),
        (config.rate_limits[0], data["rate_limits"][0]),
        (config.redis, data["redis"]),
        (config.admission, data["admission"]),
        (config.bandwidth[0], data["bandwidth"][0]),
        (config.compression, data["compression"]),
        (config.tls, data["tls"]),
        (config.tls.certificates[0], data["tls"]["certificates"][0]),
        (config.firewall, data["firewall"]),
    ):
        compare(type(one), table)


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            """
            workers = 0
            listen = "8080"
            hide = "Server"
            trusted = ["10.0.0.0/99", "10.0.0.0/8", "here"]
            wokers = 2
            [[backends]]
            address = "127.0.0.1:0"
            weight = nan
            [limits]
            body = -5
            head = true
            [policy]
            algorithm = "nothing"
            key = "colour"
            [redis]
            """,
        )
    lines = str(caught.value).splitlines()
    file = tmp_path / "config.toml"
    for start in (
        "workers is 0: use a whole number of at least 1",
        "listen is '8080': use host:port",
        "hide is 'Server': use a list",
        "trusted: '10.0.0.0/99'",
        "trusted: 'here'",
        "unknown wokers; known are backends",
        "backends[0].address is '127.0.0.1:0': a backend has a port from 1",
        "backends[0].weight is nan",
        "limits.body is -5: use a whole number of at least 0",
        "limits.head is True: use a whole number",
        "policy: no algorithm 'nothing'",
        "policy.key is 'colour'",
        "redis is set, but there are no rate_limits",
    ):
        assert [line.startswith(f"{file}: {start}") for line in lines].count(True) == 1, (start, lines)
    assert len(lines) == 13


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"hide": ["Server\r\nX: y"]},
            "hide[0] is 'Server\\r\\nX: y': use a text without control characters",
        ),
        ({"hide": ["My Server"]}, "hide has 'My Server': use the name of a header field"),
        ({"hide": ["Content-Length"]}, "hide has 'Content-Length': without it clients cannot read answers"),
        ({"hide": {"Server": True}}, "hide is {'Server': True}: use a list"),
        ({"grace": -1}, "grace is -1"),
        ({"grace": float("inf")}, "grace is inf"),
        ({"grace": 10**400}, "use a smaller number"),
        ({"expose": "no"}, "expose is 'no': use true or false"),
        ({"workers": True}, "workers is True"),
        ({"workers": 100_000}, "workers is 100000: use a whole number of at least 1 and at most 512"),
        ({"access_log": "a\nb"}, "access_log is 'a\\nb': use a text without control characters"),
        ({"probe": ""}, "probe is ''"),
        ({"listen": "here\n:80"}, "listen is"),
        ({"listen": "http://a:80"}, "listen is 'http://a:80': use host:port"),
        ({"listen": "::1:80"}, "that is [::1]:80"),
        ({"backends": [{"address": "a:1", "name": "x\x1b[2J"}]}, "backends[0].name is"),
        ({"backends": [{"address": "a..b:1"}]}, "backends[0].address is 'a..b:1'"),
        ({"backends": [{"address": "1.2.3:1"}]}, "backends[0].address is '1.2.3:1'"),
        ({"backends": "a:1"}, "backends is 'a:1': use a list"),
        ({"backends": [{"address": "127.0.0.1:8080"}]}, "requests would go round in circles"),
        ({"backends": [{"address": "localhost:8080"}]}, "requests would go round in circles"),
        ({"listen": "0.0.0.0:99", "backends": [{"address": "[::1]:99"}]}, "round in circles"),
        (
            {"policy": {"algorithm": "random", "options": {"choices": 2}}},
            "policy: unknown option choices; there are none",
        ),
        ({"policy": {"algorithm": "power_of_choices", "options": {"choice": 2}}}, "did you mean choices?"),
        (
            {"policy": {"algorithm": "peak_ewma", "options": {"decay": float("nan")}}},
            "decay is nan: use a number",
        ),
        (
            {"policy": {"algorithm": "maglev", "options": {"slots": 10**30}}},
            "and at most 5000011",
        ),
        (
            {"rate_limits": [{"limiter": {"kind": "gcra", "rate": True}}]},
            "limiter: rate is True: use a number",
        ),
        ({"rate_limits": [{"limiter": {"kind": "gcra", "rate": 1, "brust": 1}}]}, "did you mean burst?"),
        ({"redis": {}}, "redis is set, but there are no rate_limits"),
    ],
)
def test_wrong_values_of_every_kind(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], **wrong})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_equivalent_spellings_are_accepted() -> None:
    data = {"backends": [{"address": "bücher.example:80", "name": "Bücher"}, {"address": "my_service:8000"}]}
    config = ProxyConfig.from_dict({**data, "hide": ["Server"], "listen": "[::]:80", "limits": {"body": 0}})
    assert config.hide == ("Server",)
    assert config.limits.body == 0
    for fine in ("127.0.0.1:8081", "example.com:8080", "10.0.0.1:8080"):
        ProxyConfig.from_dict({"backends": [{"address": fine}]})


BAD = [
    None,
    True,
    -5,
    10**400,
    1e308,
    float("nan"),
    float("-inf"),
    "",
    "x\r\ny",
    [],
    ["a"],
    {},
    {"a": 1},
    2.5,
]


def places(table: Any) -> list[tuple[Any, Any]]:
    """Return each table or list in `table`, itself included, with each of its keys."""
    if not isinstance(table, dict | list):
        return []
    keys = list(range(len(table))) if isinstance(table, list) else list(table)
    return [(table, key) for key in keys] + [place for key in keys for place in places(table[key])]


def test_any_value_is_accepted_or_refused_with_config_error() -> None:
    """Each place of a whole file, with each bad value: it is taken, or it is a ConfigError in lines."""
    whole = tomllib.loads(uncommented(EXAMPLE))
    said = []
    for name, part in whole.items():
        data = {"backends": whole["backends"], name: part}  # the whole takes twenty times as long to read
        try:
            ProxyConfig.from_dict(data)
        except ConfigError:  # this part needs another one
            data = whole
        for table, key in [(data, name), *places(part)]:
            right = table[key]
            for bad in BAD:
                table[key] = bad
                try:
                    ProxyConfig.from_dict(data)
                except ConfigError as error:
                    said.append(str(error))
            table[key] = right
    assert len(said) > 2000
    assert all(0 < len(text) < 1000 for text in said)
    for bad in BAD:
        with pytest.raises(ConfigError):
            ProxyConfig.from_dict(bad)  # type: ignore[arg-type]


def test_options_of_a_proxy() -> None:
    pool = ProxyConfig((BackendConfig("127.0.0.1:1"),)).pool()
    assert Proxy(pool, retries=3, keyed_by="path").config.policy.retries == 3
    for wrong, message in (
        ({"explian": True}, "unknown explian; .*did you mean explain?"),
        ({"hide": "Server"}, "hide is 'Server': use a list of strings"),
        ({"limits": 5}, "limits is 5: use Limits"),
        ({"retries": -1}, "retries is -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            Proxy(pool, **wrong)


# -- what a start would find --------------------------------------------------------------------


def test_start_faults(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = ProxyConfig.from_dict(
            {
                "listen": f"127.0.0.1:{port}",
                "access_log": str(tmp_path / "no" / "log"),
                "backends": [
                    {"address": "no.such.name.invalid:80", "resolve": True},
                    {"address": "nor.this.invalid:80", "resolve": True},
                    {"address": "nor.that.invalid:80"},
                ],
            }
        )
        with pytest.raises(ConfigError) as caught:
            checked("x.toml", config)
        lines = str(caught.value).splitlines()
        assert [": ".join(line.split(": ")[:2]) for line in lines] == [
            "x.toml: backends[0].address",
            "x.toml: backends[1].address",
            f"x.toml: access_log is {str(tmp_path / 'no' / 'log')!r}",
            f"x.toml: listen is '127.0.0.1:{port}'",
        ]
        assert "the port is taken" in lines[-1]
    foreign = ProxyConfig.from_dict({"listen": "192.0.2.1:80", "backends": [{"address": "127.0.0.1:1"}]})
    with pytest.raises(
        ConfigError, match=r"192\.0\.2\.1:80: this machine has no such address; use one of its own"
    ):
        checked("x.toml", foreign)


def test_a_check_neither_creates_nor_changes_the_log(tmp_path: Path) -> None:
    assert log_fault(str(tmp_path / "new.log")) == ""
    assert not (tmp_path / "new.log").exists()
    assert "it is a folder" in log_fault(str(tmp_path))
    assert "there is no folder" in log_fault(str(tmp_path / "a" / "b"))
    assert log_fault("-") == log_fault("") == ""


@pytest.mark.parametrize(
    "data",
    [
        {"policy": {"sticky": {"how": "insert", "secret": ["hunter2"]}}},
        {"policy": {"sticky": {"how": "insert", "secret": "hunter2\n"}}},
        {"policy": {"health": {"checks": {"probe": {"headers": {"Authorization": "hunter2\n"}}}}}},
        {"redis": {"url": ["redis://:hunter2@a:1"]}},
        {"redis": {"url": "http://:hunter2@a: use b"}},
        {"routing": {"rules": [{"name": "a", "rewrite": {"set": {"Authorization": "Bearer hunter2\n"}}}]}},
        {"routing": {"rules": [{"name": "a", "rewrite": {"set": {"X-Api-Key": "hunter2: use \x00"}}}]}},
    ],
    ids=str,
)
def test_no_message_quotes_a_secret(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], **data})
    assert "hunter2" not in str(caught.value)
    assert re.search("secret|Authorization|url|X-Api-Key", str(caught.value))


@pytest.mark.parametrize("name", ["listen", "send_proxy", "probe"])
def test_no_message_is_too_long_to_read(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:1"}], name: "x" * 100_000})
    assert str(caught.value).startswith(f"{name} is 'xxx")
    assert len(str(caught.value)) < 1100


def test_a_backend_named_after_this_machine_is_a_loop() -> None:
    """Only found by looking it up."""
    name = socket.gethostname()
    config = ProxyConfig.from_dict({"listen": "0.0.0.0:8080", "backends": [{"address": f"{name}:8080"}]})
    try:
        socket.getaddrinfo(name, 8080)
    except OSError:
        pytest.skip("platform: this machine does not know its own name")
    assert any("round in circles" in fault for fault in start_faults(config))


def test_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda wanted: 264)
    config = ProxyConfig.from_dict(
        {"listen": "127.0.0.1:0", "backends": [{"address": "nor.that.invalid:80"}]}
    )
    name, few = checked("x.toml", config).splitlines()[1:]
    assert name.startswith("note: backends[0].address: nor.that.invalid: ")
    assert "264 file descriptors are enough for 100" in few


def test_a_redis_that_cannot_be_reached_is_noted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        store = SharedStore(f"redis://127.0.0.1:{port}/0")
        assert redis_fault(store) == ""
    assert redis_fault(store) == f"cannot connect to 127.0.0.1:{port}: Connection refused"
    missing = SharedStore("unix:///no/such/redis.sock")
    assert redis_fault(missing) == "cannot connect to /no/such/redis.sock: No such file or directory"
