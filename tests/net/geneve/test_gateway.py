"""The gateway on loopback, with appliances in threads and as a process."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from scripted import TIMEOUT

from lbkit.core.health import CheckRules, Probe
from lbkit.net.geneve import (
    Appliance,
    AwsOptions,
    Endpoint,
    Gateway,
    Header,
    Packet,
    Verdict,
    encode,
    gateway,
    read_packet,
    tcp_packet,
    udp_packet,
)
from lbkit.net.geneve.appliance import by_port
from lbkit.net.geneve.packet import ACK, RST, SYN

CLIENT, SERVER = "10.0.0.1", "10.0.1.1"
FAST = CheckRules(interval=0.05, timeout=0.05, rise=1, fall=1, probe=Probe("tcp"))


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def there(port: int, flags: int = SYN, to: int = 80) -> bytes:
    return tcp_packet((CLIENT, port), (SERVER, to), flags)


def back(port: int, flags: int = SYN | ACK) -> bytes:
    return tcp_packet((SERVER, 80), (CLIENT, port), flags)


@contextmanager
def inspected(
    count: int = 3, judge: Callable[[Packet], Verdict] | None = None, **options: object
) -> Iterator[tuple[Gateway, list[Appliance]]]:
    with ExitStack() as stack:
        appliances = [stack.enter_context(Appliance(judge, name=f"a{i}")) for i in range(count)]
        options = {"checks": None, **options}
        made = gateway([one.address for one in appliances], **options)  # type: ignore[arg-type]
        yield stack.enter_context(made), appliances


@contextmanager
def entrance(made: Gateway, timeout: float = TIMEOUT) -> Iterator[Endpoint]:
    with Endpoint(f"{made.host}:{made.port}", timeout) as endpoint:
        yield endpoint


def test_a_flow_meets_one_appliance_in_both_directions() -> None:
    with inspected() as (made, appliances), entrance(made) as inside, entrance(made) as outside:
        for port in range(1000, 1040):
            assert inside.through(there(port)) == there(port)
            assert outside.through(back(port)) == back(port)  # it came in elsewhere, and goes back there
            assert inside.through(there(port, ACK)) == there(port, ACK)
        flows = [one.flows for one in appliances]
        assert sum(map(len, flows)) == 40  # no flow is known to two
        assert all(set(one.values()) == {3} for one in flows)
        assert all(len(one) > 3 for one in flows)
        assert not any(one.unknown for one in appliances)
        assert (made.inspected, made.returned) == (120, 120)


def test_two_fields_keep_all_of_two_hosts_together() -> None:
    with inspected(fields=2) as (made, appliances), entrance(made) as endpoint:
        for port in range(1000, 1020):
            assert endpoint.through(udp_packet((CLIENT, port), (SERVER, 53), b"?"))
        assert sorted(sum(one.verdicts.values()) for one in appliances) == [0, 0, 20]


def test_what_an_appliance_drops_or_answers() -> None:
    judge = by_port(frozenset({23}), frozenset({25}))
    with inspected(1, judge) as (made, (appliance,)):
        with entrance(made) as endpoint:
            reset = endpoint.through(there(1000, to=25))
            assert reset is not None
            answer = read_packet(reset)
            assert (answer.flags, answer.destination) == (RST | ACK, (CLIENT, 1000))
            said = endpoint.through(udp_packet((CLIENT, 1000), (SERVER, 25)))
            assert said is not None
            assert read_packet(said).payload == b"refused by a0"
            assert endpoint.through(udp_packet(("::1", 1000), ("::2", 25))) is not None
        with entrance(made, timeout=0.05) as endpoint:
            assert endpoint.through(there(1000, to=23)) is None
        until(lambda: appliance.verdicts[Verdict.DROP] == 1)
        assert appliance.verdicts[Verdict.ANSWER] == 3


def test_a_judge_that_fails_lets_nothing_through() -> None:
    def broken(packet: Packet) -> Verdict:
        raise RuntimeError("no rules loaded")

    with inspected(1, broken) as (made, (appliance,)), entrance(made, timeout=0.05) as endpoint:
        assert endpoint.through(there(1)) is None
        until(lambda: appliance.verdicts[Verdict.DROP] == 1)
        assert "judging a packet failed" in appliance.faults.lines()[0]


@pytest.mark.parametrize("rebalance", [False, True])
def test_when_an_appliance_dies_its_flows_are_lost_or_move(rebalance: bool) -> None:
    with (
        inspected(2, rebalance=rebalance, checks=FAST) as (made, appliances),
        entrance(made) as endpoint,
        entrance(made, timeout=0.05) as hasty,
    ):
        for port in range(1000, 1020):
            assert endpoint.through(there(port)) == there(port)
        dead, alive = appliances
        lost = {int(key.split()[2]) for key in dead.flows}
        lost = {port for port in range(1000, 1020) if read_packet(there(port)).key() in dead.flows}
        assert 0 < len(lost) < 20
        dead.stop()
        until(lambda: not made.call(lambda: made.pool["appliance 1"].healthy))
        assert endpoint.through(there(2000)) == there(2000)  # a new flow
        gone = {
            port
            for port in range(1000, 1020)
            if (endpoint if rebalance else hasty).through(back(port)) is None
        }
        assert gone == (set() if rebalance else lost)
        # The other appliance has not seen these flows begin: one that keeps state would drop them.
        assert len(alive.unknown) == (len(lost) if rebalance else 0)


def test_forged_and_broken_datagrams_are_not_passed_on() -> None:
    with (
        inspected(1) as (made, (appliance,)),
        entrance(made) as endpoint,
        entrance(made, timeout=0.05) as hasty,
    ):
        endpoint.through(there(1000))
        tunnel = made.call(lambda: made._inside.get_extra_info("sockname"))
        forged = encode(Header(options=AwsOptions(1, 0, 1).options()), back(1000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(forged, tunnel)
            stranger.sendto(b"garbage", tunnel)
            stranger.sendto(b"garbage", ("127.0.0.1", appliance.port))
        hasty.send(b"no packet")
        until(lambda: len(made.faults.lines()) == 3 and appliance.faults.lines())
        assert endpoint.through(there(1001)) == there(1001)  # the next thing that arrives
        assert hasty.receive() is None


def test_without_appliances_packets_are_lost_with_a_reason() -> None:
    with gateway([], checks=None) as made, entrance(made, timeout=0.02) as endpoint:
        assert endpoint.through(there(1)) is None
        until(lambda: made.faults.lines())
        assert "there is no appliance for a packet" in made.faults.lines()[0]


def test_an_appliance_is_also_a_process() -> None:
    command = [sys.executable, "-m", "lbkit.net.geneve.appliance", "--drop", "23", "--answer", "25"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            with gateway([address], checks=None) as made, entrance(made) as endpoint:
                assert endpoint.through(there(1)) == there(1)
                answer = endpoint.through(there(1, to=25))
                assert answer is not None
                assert read_packet(answer).flags == RST | ACK
        finally:
            process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_wrong_settings_are_named() -> None:
    for wrong, message in (
        (["x"], r"appliances\[0\] is 'x': use host:port"),
        (["127.0.0.1:1", 5], r"appliances\[1\] is 5: use a text"),
        (["127.0.0.1:0"], r"port of appliances\[0\] is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            gateway(wrong)  # type: ignore[arg-type]
    pool = gateway(["127.0.0.1:1"], checks=None).pool
    for number in (-1, 2**64, "x"):
        with pytest.raises(ValueError, match="attachment is "):
            Gateway(pool, attachment=number)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pool is None: use a Pool"):
        Gateway(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="judge is 5: use a function of a packet"):
        Appliance(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout is -1: use a number above 0"):
        Endpoint("127.0.0.1:1", -1)
    with pytest.raises(ValueError, match="listen is 'here': use host:port"):
        Gateway(pool, listen="here")


def test_a_packet_that_fits_no_datagram_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with inspected(1) as (made, _), Endpoint(made.url.removeprefix("udp://")) as endpoint:
        endpoint.send(udp_packet((CLIENT, 1), (SERVER, 80), bytes(65_507 - 28)))
        until(made.faults.lines)
        assert made.inspected == 0
    assert "too long for a datagram" in capsys.readouterr().err
