"""Tokens: where they come from, and who may read them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lbkit.net.admin.access import VARIABLE, Token
from lbkit.net.admin.views import faults, without_secrets
from lbkit.net.config import ConfigError, ProxyConfig
from lbkit.net.running import ProxyError

GOOD = "0123456789-abcdefgh"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_a_token_is_read_from_a_file_of_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(GOOD + "\n")
    file.chmod(0o600)
    token = Token.found(str(file))
    assert token.fits(GOOD.encode())
    assert not token.fits(GOOD.encode() + b"x")
    assert GOOD not in token.where + repr(token)
    token.forget()
    assert file.exists()  # it was there before


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(GOOD)
    file.chmod(0o640)
    with pytest.raises(ProxyError, match="can be read by others: chmod 600 mends that"):
        Token.found(str(file))


@pytest.mark.parametrize("text", ["", "short", "with a space in between", "ümläute-0123456789"])
def test_a_file_without_a_good_token_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ProxyError, match="has no token: use 16 or more") as error:
        Token.found(str(file))
    assert not text or text not in str(error.value)


def test_a_missing_file_is_made_with_a_new_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = Token.found(str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token.fits(file.read_bytes().strip())
    assert Token.found(str(file)).fits(file.read_bytes().strip())
    with pytest.raises(ProxyError, match="No such file"):
        Token.found(str(tmp_path / "none" / "token"))


def test_the_environment_may_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, GOOD)
    assert Token.found("").fits(GOOD.encode())


def test_without_one_a_token_is_drawn_and_forgotten_at_the_end() -> None:
    one, two = Token.found(""), Token.found("")
    file = Path(one.where.rpartition(" ")[2])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert one.fits(file.read_bytes().strip())
    assert not two.fits(file.read_bytes().strip())
    one.forget()
    two.forget()
    assert not file.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:9901", "10.0.0.1:9901", "[::]:9901", "example.org:80"])
def test_only_loopback_addresses_are_taken(address: str) -> None:
    data = {"backends": [{"address": "127.0.0.1:9"}], "admin": {"listen": address}}
    with pytest.raises(ConfigError, match=r"admin.listen is .*: the admin interface is for this"):
        ProxyConfig.from_dict(data)


def test_a_text_is_the_path_of_a_socket() -> None:
    data = {"backends": [{"address": "127.0.0.1:9"}]}
    config = ProxyConfig.from_dict({**data, "admin": "/run/lbkit.sock"})
    assert config == ProxyConfig.from_dict({**data, "admin": {"socket": "/run/lbkit.sock"}})
    assert ProxyConfig.from_dict(config.to_dict()) == config
    for wrong, fault in (
        (5, "admin is 5: use the path of a socket, or a table such as [admin]"),
        ({}, 'admin.listen is missing: set it, such as "127.0.0.1:9901", or socket, or both'),
        ("x", "admin is 'x': use a short path from / on, such as /run/lbkit.sock"),
    ):
        with pytest.raises(ConfigError) as error:
            ProxyConfig.from_dict({**data, "admin": wrong})
        assert str(error.value) == fault


def test_what_is_shown_of_the_policy_has_no_secrets() -> None:
    probe = {"headers": {"Authorization": "x-1", "X-Api-Key": "x-2", "Accept": "all"}, "path": "/"}
    shown = without_secrets({"sticky": {"secret": "x-3", "name": "id"}, "probes": [probe], "salt": "x-4"})
    assert "x-" not in str(shown)
    assert shown["probes"][0]["headers"]["Accept"] == "all"
    assert shown["sticky"]["name"] == "id"


def test_a_fault_names_a_field_only_where_there_is_one() -> None:
    lines = [
        "url is 5: use a text",
        "unknown x; known are url",
        "policy.sticky: unknown y",
        "the body must be a table",
    ]
    lines += ["JSON: a number has too many digits", "line 1, column 2: not TOML", "byte 1: not JSON"]
    assert [one["field"] for one in faults(lines)] == ["url", "x", "policy.sticky", "", "", "", ""]
