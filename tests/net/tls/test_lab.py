"""`lbkit cert`: an authority and certificates in a folder, and what it never overwrites."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from needs import need_feature
from typer.testing import CliRunner

need_feature("cert")

import tomllib

from lbkit.cli import app
from lbkit.net.config import ProxyConfig
from lbkit.net.tls.certificates import Certificates
from lbkit.net.tls.lab import checked_client, checked_host, make_certificates


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    make_certificates(tmp_path / "new" / "folder", ["a.test"], clients=["alice"])
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new" / "folder").iterdir()}
    assert modes == {
        **{f"{name}.key": 0o600 for name in ("ca", "a.test", "alice")},
        **{f"{name}.pem": 0o644 for name in ("ca", "a.test", "alice")},
    }


def test_a_second_call_adds_to_the_first_and_changes_nothing(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["a.test"])
    before = contents(tmp_path)
    make_certificates(tmp_path, ["*.b.test"])
    after = contents(tmp_path)
    assert after.items() >= before.items()
    assert set(after) - set(before) == {"_wildcard.b.test.pem", "_wildcard.b.test.key"}


def test_nothing_is_overwritten_without_force_and_the_authority_never(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["a.test"])
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"a\.test\.pem.*--force"):
        make_certificates(tmp_path, ["new.test", "a.test"])
    assert contents(tmp_path) == before
    make_certificates(tmp_path, ["a.test"], force=True)
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"a.test.pem", "a.test.key"}


def test_half_an_authority_is_an_error(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["a.test"])
    (tmp_path / "ca.key").unlink()
    with pytest.raises(ValueError, match=r"one of ca\.pem and ca\.key"):
        make_certificates(tmp_path, ["b.test"])
    (tmp_path / "ca.key").write_text("no key")
    with pytest.raises(ValueError, match="not an authority's"):
        make_certificates(tmp_path, ["b.test"])


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "/etc/x", "a b", "*", "*.", "a.*.test", "x/../y", "a\0b", "a\n"]
)
def test_a_name_that_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a host"):
        checked_host(name)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a\n", "-x", "x" * 65])
def test_a_name_that_is_no_clients_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a client's name"):
        checked_client(name)


def test_a_name_of_both_a_host_and_a_client_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both"):
        make_certificates(tmp_path, ["a.test"], clients=["a.test"])
    with pytest.raises(ValueError, match="authority"):
        make_certificates(tmp_path, ["ca"])
    assert not list(tmp_path.iterdir())


def test_the_command_prints_lines_that_a_proxy_takes(tmp_path: Path) -> None:
    folder = str(tmp_path / "certs")
    names = ["a.test", "*.b.test", "::1"]
    done = CliRunner().invoke(app, ["cert", folder, *names, "--client", "alice", "--days", "9"])
    assert done.exit_code == 0, done.output
    table = tomllib.loads(done.stdout.partition("\n\n")[2])
    config = ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:9001"}], **table})
    assert config.tls
    loaded = Certificates(config.tls).loaded
    assert [one.names for one in loaded] == [("a.test",), ("*.b.test",), ()]

    again = CliRunner().invoke(app, ["cert", folder, "a.test"])
    assert again.exit_code == 1
    assert "--force" in again.output
    assert CliRunner().invoke(app, ["cert", folder]).exit_code == 2
