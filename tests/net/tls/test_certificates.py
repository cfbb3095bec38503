"""Files of certificates: what is wrong with them, and which one a name chooses."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needs import need_feature

need_feature("cert")

from lbkit.net.config import BackendConfig, ConfigError, ProxyConfig
from lbkit.net.filters.client_certificate import names
from lbkit.net.preflight import notes, start_faults
from lbkit.net.tls.certificates import Certificates, TlsError
from lbkit.net.tls.lab import make_certificates
from lbkit.net.tls.rules import Certificate, TlsRules


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    make_certificates(folder, ["a.test", "*.a.test", "x.a.test"])
    return folder


def rules(lab: Path, *names: str, **options: object) -> TlsRules:
    found = tuple(Certificate(str(lab / f"{name}.pem"), str(lab / f"{name}.key")) for name in names)
    return TlsRules(certificates=found, **options)  # type: ignore[arg-type]


# -- the choice --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(lab: Path) -> Certificates:
    return Certificates(rules(lab, "a.test", "_wildcard.a.test", "x.a.test"))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.test", 0),
        ("a.test.", 0),
        ("x.a.test", 2),  # the exact name goes before the wildcard
        ("y.a.test", 1),
        ("z.y.a.test", 0),  # a wildcard is one label
        ("*.a.test", 1),
        ("", 0),
        (".", 0),
        (None, 0),
    ],
)
def test_the_choice_by_name(three: Certificates, name: str | None, place: int) -> None:
    assert three.context_for(name) is three.loaded[place].context


@given(name=st.text(max_size=40))
def test_any_name_gets_a_certificate(three: Certificates, name: str) -> None:
    assert three.context_for(name) in [one.context for one in three.loaded]


def test_a_single_certificate_needs_no_choice(lab: Path) -> None:
    assert Certificates(rules(lab, "a.test")).front.sni_callback is None


def test_all_certificates_have_the_same_versions_and_ask_for_the_same_clients(lab: Path) -> None:
    options = {"minimum": "1.3", "client_certificates": "optional", "client_ca": str(lab / "ca.pem")}
    for one in Certificates(rules(lab, "a.test", "x.a.test", **options)).loaded:
        assert one.context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert one.context.verify_mode is ssl.CERT_OPTIONAL
        assert len(one.context.get_ca_certs()) == 1


# -- bad files ---------------------------------------------------------------------------------


def other_key(lab: Path, folder: Path) -> None:
    shutil.copy(lab / "x.a.test.key", folder / "a.test.key")


def encrypted(lab: Path, folder: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((lab / "a.test.key").read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    secret = serialization.BestAvailableEncryption(b"secret")
    (folder / "a.test.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, secret))


@pytest.mark.parametrize(
    ("spoil", "field", "why"),
    [
        (lambda lab, folder: (folder / "a.test.pem").unlink(), "cert", "No such file"),
        (lambda lab, folder: (folder / "a.test.key").unlink(), "key", "No such file"),
        (lambda lab, folder: (folder / "a.test.pem").write_text("x"), "cert", "PEM"),
        (lambda lab, folder: (folder / "a.test.key").write_text("x"), "key", "PEM"),
        (other_key, "key", "key values mismatch"),
        (encrypted, "key", "encrypted"),
    ],
)
def test_a_bad_file_is_named_with_its_field(
    lab: Path, tmp_path: Path, spoil: Callable[[Path, Path], object], field: str, why: str
) -> None:
    for end in ("pem", "key"):
        shutil.copy(lab / f"a.test.{end}", tmp_path)
    spoil(lab, tmp_path)
    with pytest.raises(TlsError) as caught:
        Certificates(rules(tmp_path, "a.test"))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"tls.certificates[0].{field} is '{tmp_path}/a.test.")
    assert why in line


def test_all_bad_files_are_named_at_once(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(TlsError) as caught:
        Certificates(
            TlsRules(
                certificates=[*rules(tmp_path, "p", "q").certificates, *rules(lab, "a.test").certificates]
            )
        )
    assert [line[:21] for line in str(caught.value).splitlines()] == [
        "tls.certificates[0].c",
        "tls.certificates[1].c",
    ]


def test_a_bad_authority_for_clients_is_named_once(lab: Path, tmp_path: Path) -> None:
    wrong = rules(lab, "a.test", "x.a.test", client_certificates="required", client_ca=str(tmp_path / "none"))
    with pytest.raises(TlsError, match=r"\Atls\.client_ca is .*: No such file or directory; use") as caught:
        Certificates(wrong)
    assert len(str(caught.value).splitlines()) == 1


# -- in a proxy's configuration -------------------------------------------------------------------


def config(tls: TlsRules, **options: object) -> ProxyConfig:
    return ProxyConfig((BackendConfig("127.0.0.1:9001"),), tls=tls, **options)  # type: ignore[arg-type]


def test_the_settings_pass_through_plain_data(lab: Path) -> None:
    one = config(rules(lab, "a.test", hsts=60.0, client_certificates="optional", client_ca="x"))
    assert ProxyConfig.from_dict(one.to_dict()) == one


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "tls.certificates is missing"),
        ({"certificates": []}, "certificates is empty"),
        ({"minimum": "1.1"}, "minimum is '1.1': use 1.2, 1.3"),
        ({"client_certificates": "required"}, "tls.client_ca is missing"),
        ({"client_ca": "x"}, 'client_certificates is "off"'),
        ({"hsts_subdomains": True}, "hsts is 0"),
        ({"redirect": "8080"}, "redirect is '8080': use host:port"),
        ({"public_port": 70000}, "public_port is 70000"),
        ({"handshake": 0.0}, "handshake"),
    ],
)
def test_wrong_settings_are_named(table: dict[str, object], why: str) -> None:
    tls = {"certificates": [{"cert": "a.pem"}], **table} if table else table
    with pytest.raises(ConfigError) as caught:
        ProxyConfig.from_dict({"backends": [{"address": "127.0.0.1:9001"}], "tls": tls})
    assert why in str(caught.value)


def test_the_check_before_a_start_reads_the_files(lab: Path, tmp_path: Path) -> None:
    assert start_faults(config(rules(lab, "a.test"))) == []
    assert "tls.certificates[0].cert" in start_faults(config(rules(tmp_path, "a.test")))[0]


def test_notes_say_what_expires_soon_and_which_keys_others_can_read(tmp_path: Path) -> None:
    make_certificates(tmp_path, ["a.test"], days=5)
    tls = config(rules(tmp_path, "a.test"))
    (note,) = [note for note in notes(tls, 1, names=False) if "tls" in note]
    assert note.endswith(("expires in 5 days", "expires in 4 days"))
    (tmp_path / "a.test.key").chmod(0o644)
    assert any("can be read by others" in note for note in notes(tls, 1, names=False))
    assert any("some are not resumed" in note for note in notes(tls, 2, names=False))


# -- the name of a client ---------------------------------------------------------------------------


def test_the_name_of_a_client() -> None:
    certificate = {
        "subject": ((("organizationName", "lab, inc."),), (("commonName", "alice"),)),
        "subjectAltName": (("DNS", "alice.test"), ("IP Address", "10.0.0.1"), ("URI", "spiffe://lab/alice")),
    }
    assert names(certificate) == (
        rb'Subject="CN=alice,O=lab\\, inc.";DNS="alice.test";URI="spiffe://lab/alice"'
    )


@given(st.text(max_size=50))
def test_no_name_ends_its_string_or_its_line(value: str) -> None:
    found = names({"subject": ((("commonName", value),),), "subjectAltName": (("URI", value),)})
    assert found.isascii()
    assert found.decode().isprintable()
    inside = found.replace(b"\\\\", b"").replace(b'\\"', b"")
    assert inside.count(b'"') == 4
