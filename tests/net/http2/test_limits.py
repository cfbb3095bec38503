"""Each known attack ends with its own connection, and the setting that limits it can be named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import attrs
import pytest
from needs import need_feature

need_feature("http2")

from h2.errors import ErrorCodes
from hpack import Encoder
from http2_client import OK, Http2Client, data_frame, get, headers_frames, serving
from hyperframe.frame import Frame, HeadersFrame, PingFrame, PriorityFrame, SettingsFrame, WindowUpdateFrame
from scripted import TIMEOUT, Connection, answers

from lbkit.net import Proxy
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.http2.rules import Http2
from lbkit.net.settings import Limits, Timeouts

CALM = ErrorCodes.ENHANCE_YOUR_CALM


def wait(connection: Connection) -> None:
    """A backend that does not answer."""
    connection.head()
    connection.sock.recv(1)


def still_serves(proxy: Proxy) -> None:
    with Http2Client(proxy) as other:
        assert other.ask(get()).body == b"ok"


def test_rapid_reset() -> None:
    """CVE-2023-44487: requests that are given up at once never count as running at once."""
    with serving(answers(OK), rules=Http2(resets=50)) as proxy:
        with Http2Client(proxy) as client:
            client.until(lambda: client.settings)
            for number in range(1, 201, 2):
                client.http.send_headers(number, get(), end_stream=True)
                client.http.reset_stream(number)
            client.flush()
            assert client.ended() == CALM
        still_serves(proxy)


def test_resets_that_the_proxy_is_made_to_send_count_as_well() -> None:
    """CVE-2025-8671: the client breaks a rule of the stream in place of resetting it."""
    with serving(wait, rules=Http2(resets=20)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        for number in range(1, 101, 2):
            client.http.send_headers(number, get(), end_stream=True)
            client.raw(client.http.data_to_send() + WindowUpdateFrame(number, 2**31 - 1).serialize())
        assert client.ended() == CALM


def test_malformed_requests_count_as_resets() -> None:
    with serving(answers(OK), rules=Http2(resets=20)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        for _ in range(21):
            client.request([*get(), (b"upgrade", b"h2c")])
        assert client.ended() == CALM


def test_a_client_that_gives_up_now_and_then_is_not_cut_off() -> None:
    with serving(wait, rules=Http2(resets=5, per=0.05)) as proxy, Http2Client(proxy) as client:
        for number in range(1, 21):
            client.reset(client.request(get()))
            client.http.ping(b"12345678")
            client.flush()
            client.until(lambda number=number: client.pings == number)  # it is the proxy's clock that counts
            time.sleep(0.02)


def test_heads_that_do_not_end() -> None:
    """CVE-2024-27316, CONTINUATION flood."""
    with serving(answers(OK), rules=Http2(continuations=4)) as proxy:
        with Http2Client(proxy) as client:
            client.until(lambda: client.settings)
            client.raw(headers_frames(1, b"\x00\x01x\x01y" * 100, size=50, whole=False))
            assert client.ended() == CALM
        still_serves(proxy)


def test_empty_continuations() -> None:
    with serving(answers(OK)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        frames = headers_frames(1, b"", whole=False)
        client.raw([*frames, *(headers_frames(1, b"xx", size=1, whole=False)[1] for _ in range(20))])
        assert client.ended() == CALM


def test_a_head_that_is_too_long_when_decompressed() -> None:
    """An HPACK bomb: each byte repeats a long field of the table."""
    with serving(answers(OK), limits=Limits(head=8192)) as proxy:
        with Http2Client(proxy) as client:
            encoder = Encoder()
            block = encoder.encode([*get(), (b"x", b"y" * 4000)], huffman=False)
            repeated = encoder.encode([(b"x", b"y" * 4000)])
            assert len(repeated) == 1
            client.raw(HeadersFrame(1, block + repeated * 10_000, flags=["END_HEADERS", "END_STREAM"]))
            assert client.ended() == CALM
        still_serves(proxy)


def test_a_head_that_is_somewhat_too_long_is_only_refused() -> None:
    with serving(answers(OK), limits=Limits(head=8192)) as proxy, Http2Client(proxy) as client:
        assert client.ask(get(b"/", (b"x", b"y" * 9000))).status == 431
        assert client.ask(get()).body == b"ok"


FLOODS: dict[str, Callable[[], Frame]] = {
    "ping (CVE-2019-9512)": lambda: PingFrame(0, b"12345678"),
    "settings (CVE-2019-9515)": lambda: SettingsFrame(0, {4: 65_535}),
    "priority (CVE-2019-9513)": lambda: PriorityFrame(1, depends_on=3, stream_weight=1),
    "empty frames (CVE-2019-9518)": lambda: data_frame(1),
    "window updates": lambda: WindowUpdateFrame(0, 1),
}


@pytest.mark.parametrize("what", FLOODS)
def test_floods(what: str) -> None:
    with serving(wait, rules=Http2(control_frames=100)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        client.request(get(method=b"POST"), end=False)
        client.raw(FLOODS[what]().serialize() * 500)
        assert client.ended() == CALM


def test_more_requests_at_once_than_there_may_be() -> None:
    with serving(wait, rules=Http2(streams=5)) as proxy, Http2Client(proxy) as client:
        client.raw(  # before it can have read the SETTINGS
            [
                frame
                for number in range(1, 17, 2)
                for frame in headers_frames(number, client.encoder.encode(get()))
            ]
        )
        client.http.highest_outbound_stream_id = 15
        client.sock.settimeout(TIMEOUT)
        seen = b""
        while seen.count(b"\0\0\4\3\0") < 3:  # the headers of RST_STREAM frames
            seen += client.sock.recv(65_536)
        assert seen.count(int(ErrorCodes.REFUSED_STREAM).to_bytes(4, "big")) >= 3


def test_one_who_ignores_that_there_are_too_many_is_cut_off() -> None:
    with serving(wait, rules=Http2(streams=5)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        client.flush()  # the acknowledgement
        client.encoder = client.http.encoder
        client.raw(
            [
                frame
                for number in range(1, 101, 2)
                for frame in headers_frames(number, client.encoder.encode(get()))
            ]
        )
        client.ended()
        assert proxy.scripted[0].connections <= 5  # type: ignore[attr-defined]


def test_a_head_that_comes_too_slowly() -> None:
    with serving(wait, timeouts=Timeouts(head=1.0)) as proxy, Http2Client(proxy) as client:
        client.until(lambda: client.settings)
        client.request(get())  # another request does not extend it
        client.raw(headers_frames(3, client.http.encoder.encode(get()), whole=False))
        assert client.ended() == CALM


def test_a_client_that_says_nothing_is_closed() -> None:
    with serving(wait, timeouts=Timeouts(head=1.0)) as proxy, Http2Client(proxy) as client:
        assert client.ended() == ErrorCodes.NO_ERROR


def test_more_clients_than_there_may_be_are_told_so() -> None:
    with serving(wait, limits=Limits(connections=1)) as proxy, Http2Client(proxy) as client:
        client.request(get())
        client.until(lambda: client.settings)
        with Http2Client(proxy) as other:
            assert b"503" in other.sock.recv(1000)  # before it has said that it speaks HTTP/2
        proxy.faults._counts.clear()


def test_many_requests_share_one_connection_and_nothing_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    lock = threading.Lock()
    served = 0

    def script(connection: Connection) -> None:
        nonlocal served
        while connection.head():
            with lock:
                served += 1
            connection.send(OK)

    with serving(script, script) as proxy, Http2Client(proxy) as client:
        for _ in range(20):
            for number in [client.request(get()) for _ in range(50)]:
                assert client.answer(number).body == b"ok"
        (connection,) = proxy.listener.open
        assert not connection.streams  # type: ignore[attr-defined]
        assert len(connection.http.streams) <= 100  # type: ignore[attr-defined]
        assert len(connection.http._closed_streams) <= 1000  # type: ignore[attr-defined]
    assert served == 1000
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("field", [one.name for one in attrs.fields(Http2) if one.name != "continuations"])
def test_a_setting_that_is_wrong_is_named(field: str) -> None:
    plain = {"backends": [{"address": "127.0.0.1:1"}], "http2": {field: 0}}
    with pytest.raises(ConfigError, match=rf"http2\.{field}"):
        ProxyConfig.from_dict(plain)


def test_an_empty_section_switches_it_on() -> None:
    plain = {"backends": [{"address": "127.0.0.1:1"}]}
    assert ProxyConfig.from_dict(plain).http2 is None
    assert ProxyConfig.from_dict({**plain, "http2": {}}).http2 == Http2()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lbkit.net.config.conflicts.why_not", lambda feature: f"{feature} is missing")
    with pytest.raises(ConfigError, match="http2: http2 is missing"):
        ProxyConfig(http2=Http2())
