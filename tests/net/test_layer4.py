"""Layer 4 from a file: settings and their faults, workers, reload, drain and health checks."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import tomllib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib import resources
from pathlib import Path

import attrs
import datagrams
import pytest
from hellos import hello
from scripted import TIMEOUT, Connection, Scripted
from served import Server, drain, wait_until

from lbkit.experiment import Policy
from lbkit.net.config import BackendConfig, ConfigError, Layer4Config, ProxyConfig
from lbkit.net.l4.sni import UNRECOGNIZED_NAME
from lbkit.net.l4.tcp_config import TcpRules
from lbkit.net.l4.udp import UdpProxy, UdpRules
from lbkit.net.layer4 import layer4_proxy
from lbkit.net.modes import config_of, load_config
from lbkit.net.preflight import notes, port_fault, start_faults
from lbkit.net.serve import checked

EXAMPLE = resources.files("lbkit.net").joinpath("example_layer4.toml").read_text("utf-8")
ONE = {"backends": [{"address": "127.0.0.1:9001"}]}


def named(name: bytes) -> Callable[[Connection], None]:
    """Say a name first, as Redis does not and SMTP does; then send back what comes."""

    def script(connection: Connection) -> None:
        connection.send(name)
        while data := connection.sock.recv(65536):
            connection.send(data)

    return script


def hears(name: bytes) -> Callable[[Connection], None]:
    """Say a name once something has come."""

    def script(connection: Connection) -> None:
        connection.sock.recv(65536)
        connection.send(name)

    return script


def asked(port: int) -> bytes:
    """What a new connection gets first; b"" if it is closed."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as sock, suppress(ConnectionResetError):
        return sock.recv(100)
    return b""


def datagram(sock: socket.socket, port: int, data: bytes = b"?") -> bytes:
    sock.sendto(data, ("127.0.0.1", port))
    return sock.recv(100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tcp.toml"


# -- settings -------------------------------------------------------------------------------------------


def test_the_example_is_the_defaults() -> None:
    assert config_of(tomllib.loads(EXAMPLE)) == Layer4Config("tcp", (BackendConfig("127.0.0.1:9001"),))


@pytest.mark.parametrize("mode", ["tcp", "udp"])
def test_the_example_has_every_field_with_its_default(mode: str) -> None:
    settings = (line.removeprefix("# ") for line in EXAMPLE.splitlines())
    lines = [line for line in settings if re.match(r"""\[|\w+ = |"www""", line)]
    data = tomllib.loads("\n".join(lines))
    assert data.keys() == {f.name for f in attrs.fields(Layer4Config)}
    for name, rules in (("tcp", TcpRules()), ("udp", UdpRules())):
        assert {key: tuple(v) if isinstance(v, list) else v for key, v in data[name].items()} == attrs.asdict(
            rules
        )
    other = {"tcp": ("udp",), "udp": ("tcp", "routes")}[mode]
    data = {key: value for key, value in data.items() if key not in other} | {"mode": mode}
    if mode == "udp":
        del data["policy"]["health"]["checks"]
    config = config_of(data)
    assert config_of(config.to_dict()) == config


def test_a_file_with_a_mode_for_http_is_one_of_the_http_proxy() -> None:
    assert isinstance(config_of({"mode": "http", **ONE}), ProxyConfig)
    assert config_of({"mode": "http", **ONE}) == config_of(ONE)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"mode": "sctp"}, "mode is 'sctp': use http, tcp or udp"),
        ({"mode": 4}, "mode is 4: use http, tcp or udp"),
        ({"backends": []}, "backends is missing"),
        ({"trusted": ["10.0.0.0/8"]}, "unknown trusted"),
        ({"policy": {"key": "path"}}, "policy.key is 'path': layer 4 sees addresses only"),
        ({"policy": {"sticky": {}}}, "policy.sticky: layer 4 sees no cookies"),
        ({"policy": {"retry": {}}}, "policy.retry: layer 4 sees no requests"),
        ({"udp": {"idle": 1.0}}, "udp: the mode is 'tcp'; move the fields to [tcp]"),
        ({"mode": "udp", "tcp": {"idle": 1.0}}, "tcp: the mode is 'udp'"),
        ({"tcp": {"send_proxy": "v3"}}, "tcp.send_proxy is 'v3': use v1 or v2"),
        ({"tcp": {"accept_proxy": ["x"]}}, "accept_proxy: 'x' does not appear to be"),
        ({"tcp": {"idle": 0}}, "tcp.idle is 0"),
        ({"routes": {"a.test": "x"}}, "routes: 'a.test' leads to the pool 'x', which has no backend"),
        ({"routes": {"a b": "default"}}, "routes has 'a b': use a name such as www.example.org"),
        ({"routes": {"a.test": 3}}, "routes"),
        ({"mode": "udp", "routes": {"a.test": "default"}}, "routes: a server name is read from TLS over TCP"),
        (
            {"mode": "udp", "policy": {"health": {"checks": {}}}},
            "policy.health.checks: there are none",
        ),
        ({"backends": [{"address": "127.0.0.1:1", "pool": "x"}]}, "backends: nothing leads to the pool 'x'"),
        ({"listen": "127.0.0.1:9001"}, "where the proxy itself listens"),
    ],
)
def test_each_mistake_is_one_line(data: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)) as caught:
        config_of({"mode": "tcp", **ONE, **data})
    assert len(str(caught.value).splitlines()) == 1


def test_a_key_that_layer_4_does_not_see_becomes_the_flow() -> None:
    config = Layer4Config(backends=BackendConfig("127.0.0.1:9001"), policy=Policy("maglev"))
    assert config.key == "flow"
    assert any("maglev gets the flow" in note for note in notes(config, 1))
    assert attrs.evolve(config, policy=Policy("ip_hash")).key == "client"


def test_a_check_says_that_a_file_would_work_or_why_not(path: Path) -> None:
    path.write_text('mode = "udp"\nlisten = "127.0.0.1:0"\n[[backends]]\naddress = "127.0.0.1:9001"\n')
    assert checked(path, load_config(path)).splitlines() == [
        f"{path}: fine, 1 backend, round_robin",
        "note: a reload begins the sessions anew: an algorithm that hashes finds their backends again",
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with socket.create_server(("127.0.0.1", 0)) as other:  # so nobody else has the number for TCP
            port = other.getsockname()[1]
            sock.bind(("127.0.0.1", port))
            taken = attrs.evolve(load_config(path), listen=f"127.0.0.1:{port}")
            assert "the port is taken" in port_fault(taken)
        assert port_fault(attrs.evolve(taken, mode="tcp")) == ""  # another protocol's ports are others
    config = attrs.evolve(load_config(path), admin="/nowhere/at/all.sock")
    assert start_faults(config) == [
        "admin.socket is '/nowhere/at/all.sock': "
        "there is no folder '/nowhere/at'; make it, or use another path"
    ]


# -- the proxy of a file ----------------------------------------------------------------------------------


def config_for(*ports: int, **options: object) -> Layer4Config:
    backends = [{"name": f"s{i}", "address": f"127.0.0.1:{port}"} for i, port in enumerate(ports)]
    data = {"mode": "tcp", "listen": "127.0.0.1:0", "backends": backends, **options}
    return Layer4Config.from_dict(data)


def test_server_names_lead_to_pools() -> None:
    with ExitStack() as stack:
        ports = [stack.enter_context(Scripted(hears(name))).port for name in (b"web", b"mail", b"api")]
        backends = [
            {"address": f"127.0.0.1:{port}", "pool": pool}
            for port, pool in zip(ports, ("web", "mail", "api"), strict=True)
        ]
        routes = {"www.a.test": "web", "*.a.test": "mail", "api.test": "api"}
        config = Layer4Config.from_dict({"listen": "127.0.0.1:0", "backends": backends, "routes": routes})
        proxy = stack.enter_context(layer4_proxy(config))

        def named(name: str) -> bytes:
            with socket.create_connection((proxy.host, proxy.port), TIMEOUT) as sock:
                sock.sendall(hello(name))
                return sock.recv(100)

        assert [named(name) for name in ("www.a.test", "x.a.test", "api.test")] == [b"web", b"mail", b"api"]
        assert named("other.test") == UNRECOGNIZED_NAME
        names = proxy.call(lambda: {b.name for pool in proxy.pools for b in pool.backends})
        assert names == {f"127.0.0.1:{port}" for port in ports}


def test_a_single_pool_with_a_name_gets_its_route_only() -> None:
    with Scripted(hears(b"web")) as web:
        backends = [{"address": f"127.0.0.1:{web.port}", "pool": "web"}]
        data = {"listen": "127.0.0.1:0", "backends": backends, "routes": {"a.test": "web"}}
        with layer4_proxy(Layer4Config.from_dict(data)) as proxy:
            for name, first in (("a.test", b"web"), ("b.test", UNRECOGNIZED_NAME)):
                with socket.create_connection((proxy.host, proxy.port), TIMEOUT) as sock:
                    sock.sendall(hello(name))
                    assert sock.recv(100) == first


@pytest.mark.parametrize("kind", ["tcp", "http", "tls"])
def test_health_checks_take_a_backend_out_and_bring_it_back(kind: str) -> None:
    """A listener that speaks neither HTTP nor TLS passes the check of kind tcp only."""
    with Scripted(named(b"a")) as one, Scripted(named(b"b")) as two:
        checks = {"interval": 0.2, "rise": 1, "fall": 1, "probe": {"kind": kind}, "timeout": 0.2}
        policy = {"health": {"checks": checks}, "retries": 0}
        with layer4_proxy(config_for(one.port, two.port, policy=policy)) as proxy:

            def healthy() -> list[bool]:
                return [b.healthy for pool in proxy.pools for b in pool.backends]

            if kind != "tcp":
                wait_until(lambda: healthy() == [False, False])
                return
            one.close()
            wait_until(lambda: healthy() == [False, True])
            assert {asked(proxy.port) for _ in range(4)} == {b"b"}
            with Scripted(named(b"again"), port=one.port):
                wait_until(lambda: healthy() == [True, True])
                assert {asked(proxy.port) for _ in range(4)} == {b"again", b"b"}


def test_probes_say_the_greeting_of_the_proxy_protocol() -> None:
    seen: list[bytes] = []

    def script(connection: Connection) -> None:
        seen.append(connection.sock.recv(100))

    with Scripted(script) as backend:
        policy = {"health": {"checks": {"interval": 0.2, "timeout": 0.2, "probe": {"kind": "http"}}}}
        with layer4_proxy(config_for(backend.port, policy=policy, tcp={"send_proxy": "v1"})):
            wait_until(lambda: seen)
    assert seen[0].startswith(b"PROXY UNKNOWN\r\n")


def test_an_answer_that_is_under_way_at_a_stop_still_arrives() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as backend:
        backend.bind(("127.0.0.1", 0))
        backend.settimeout(TIMEOUT)
        proxy = layer4_proxy(config_for(backend.getsockname()[1], mode="udp"))
        assert isinstance(proxy, UdpProxy)
        with proxy, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(TIMEOUT)
            client.sendto(b"?", (proxy.host, proxy.port))
            _, session = backend.recvfrom(100)
            proxy.call(proxy.shut, TIMEOUT)
            time.sleep(0.05)
            backend.sendto(b"late", session)
            assert client.recv(100) == b"late"


# -- lbkit proxy ------------------------------------------------------------------------------------------


def test_workers_reload_and_drain_over_tcp(path: Path, tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    with (
        Scripted(named(b"one")) as one,
        Scripted(named(b"two")) as two,
        Server(path, one.port, two.port, mode='"tcp"', workers=2, admin=f'"{admin}"', grace=20) as server,
    ):
        assert "round_robin on tcp://127.0.0.1:" in server.said[0]
        first, second = (f"127.0.0.1:{b.port}" for b in (one, two))
        assert {asked(server.port) for _ in range(12)} == {b"one", b"two"}
        wait_until(lambda: drain(path) == [f"{name}  ready, 0 in flight" for name in (first, second)])
        assert drain(path, first)[0] == f"{first}  drained, 0 in flight"
        assert {asked(server.port) for _ in range(12)} == {b"two"}
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as kept:
            assert kept.recv(100) == b"two"
            server.hang_up()
            server.wait_for("reloaded: round_robin, 2 backends")
            assert {asked(server.port) for _ in range(12)} == {b"two"}  # the order of the operator holds
            kept.sendall(b"still here")  # its old worker goes on with it
            assert kept.recv(100) == b"still here"
        assert drain(path, first, "--undo")[0].startswith(f"{first}  ready")
        os.kill(server.workers()[-1], signal.SIGKILL)
        server.wait_for("starting another")
        assert {asked(server.port) for _ in range(12)} <= {b"one", b"two", b""}
        server.configure(one.port, mode='"udp"')
        server.hang_up()
        server.wait_for("mode is 'udp', and the proxy runs in mode 'tcp': restart it")


def test_workers_and_reload_over_udp(path: Path) -> None:
    with ExitStack() as stack:
        one, two = (stack.enter_context(datagrams.server(name)) for name in ("1", "2"))
        server = stack.enter_context(Server(path, one, mode='"udp"', workers=2, udp="{ answers = 1 }"))
        assert " on udp://127.0.0.1:" in server.said[0]
        clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(8)]
        for sock in clients:
            sock.settimeout(TIMEOUT)
            assert datagram(sock, server.port) == b"1?"
        server.configure(two)
        server.hang_up()
        server.wait_for("reloaded: ")
        for sock in clients:  # sessions begin anew, with the backends that there are now
            wait_until(lambda sock=sock: datagram(sock, server.port) == b"2?")
