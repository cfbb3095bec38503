"""TLS at the proxy, graded by sslyze: versions, ciphers, known attacks, and Mozilla's recommendations.

What is left of Mozilla's profiles: Python's `ssl` cannot choose the curves, so X448 and secp521r1, which are
not weak, are offered, too. And the names in a lab's certificates are in a critical extension, which
a strict reader refuses: that is trustme's, not the proxy's.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hellos import hello
from needs import need_feature, need_module
from scripted import echo, proxied

from lbkit.net.tls.rules import Certificate, TlsRules

OURS = {"certificate_path_validation", "tls_curves"}  # the exceptions above
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]  # of sslyze's trust stores


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_feature("cert")
    from lbkit.net.tls.lab import make_certificates

    folder = tmp_path_factory.mktemp("lab")
    make_certificates(folder, ["a.test", "b.test"], days=90)
    return folder


def rules(lab: Path, *names: str, **options: Any) -> TlsRules:
    files = tuple(Certificate(str(lab / f"{name}.pem"), str(lab / f"{name}.key")) for name in names)
    return TlsRules(certificates=files, **options)


@pytest.mark.parametrize(("minimum", "profile"), [("1.2", "intermediate"), ("1.3", "modern")])
def test_the_grade(lab: Path, minimum: str, profile: str) -> None:
    need_module("sslyze")
    with proxied(echo, tls=rules(lab, "a.test", "b.test", minimum=minimum)) as proxy:
        scan = scanned("a.test", proxy.port, lab / "ca.pem")
    found = scan.scan_result
    for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert not getattr(found, f"{old}_cipher_suites").result.accepted_cipher_suites, old
    versions = (found.tls_1_2_cipher_suites.result, found.tls_1_3_cipher_suites.result)
    names = [
        accepted.cipher_suite.name
        for version in versions
        for accepted in version.accepted_cipher_suites
        if accepted.ephemeral_key  # forward secrecy
    ]
    assert len(names) == sum(len(version.accepted_cipher_suites) for version in versions)
    assert all("GCM" in name or "CHACHA20" in name for name in names)
    assert bool(versions[0].accepted_cipher_suites) == (minimum == "1.2")
    assert not found.heartbleed.result.is_vulnerable_to_heartbleed
    assert not found.openssl_ccs_injection.result.is_vulnerable_to_ccs_injection
    assert found.robot.result.robot_result.name.startswith("NOT_VULNERABLE")
    assert not found.tls_compression.result.supports_compression
    assert not found.tls_1_3_early_data.result.supports_early_data
    assert not found.session_renegotiation.result.is_vulnerable_to_client_renegotiation_dos
    assert found.session_renegotiation.result.supports_secure_renegotiation
    assert found.session_resumption.result.tls_ticket_resumption_result.name == (
        "FULLY_SUPPORTED" if minimum == "1.2" else "SERVER_IS_TLS_1_3_ONLY"  # which it cannot try
    )
    left = issues(scan, profile)
    assert set(left) <= OURS
    for weak in ("192", "secp160", "secp224", "sect", "brainpool", "256k1"):
        assert weak not in left.get("tls_curves", "")


def scanned(name: str, port: int, authority: Path) -> Any:
    import sslyze

    asked = sslyze.ServerScanRequest(
        sslyze.ServerNetworkLocation(name, port, "127.0.0.1"),
        # It waits so long for the end of a connection with SSL 2.0, which gets an alert of TLS.
        sslyze.ServerNetworkConfiguration(name, network_timeout=3, network_max_retries=1),
        scan_commands=set(sslyze.ScanCommand) - {sslyze.ScanCommand.HTTP_HEADERS},
        scan_commands_extra_arguments=sslyze.ScanCommandsExtraArguments(
            certificate_info=sslyze.CertificateInfoExtraArgument(custom_ca_file=authority)
        ),
    )
    scanner = sslyze.Scanner(per_server_concurrent_connections_limit=5)
    scanner.queue_scans([asked])
    (found,) = scanner.get_results()
    assert found.scan_status.name == "COMPLETED"
    return found


def issues(scan: Any, profile: str) -> dict[str, str]:
    """Return what Mozilla's profile objects to."""
    from sslyze.mozilla_tls_profile import tls_config_checker as mozilla

    wanted = mozilla.MozillaTlsConfiguration.get(mozilla.TlsConfigurationEnum(profile))
    try:
        mozilla.check_server_against_tls_configuration(scan, wanted)
    except mozilla.ServerNotCompliantWithTlsConfiguration as error:
        return dict(error.issues)
    return {}


# -- a name that is not ASCII --------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"strict": True}])
def test_a_server_name_that_is_not_ascii_gets_an_alert_and_leaves_no_line(
    lab: Path, options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    odd = hello("xxxx.example").replace(b"xxxx.example", b"x\xe4\xff\x00.example")
    with proxied(echo, tls=rules(lab, "a.test", "b.test", **options)) as proxy:
        for _ in range(3):
            with socket.create_connection((proxy.host, proxy.port), 10) as client:
                client.sendall(odd)
                answer = client.recv(100)
                assert (answer[0], answer[5]) == (21, 2)  # a fatal alert
        with socket.create_connection((proxy.host, proxy.port), 10) as client:
            client.sendall(hello("a.test"))
            assert client.recv(100)[0] == 22  # the next one is served
    time.sleep(0.05)
    assert capfd.readouterr().err == ""


def test_what_else_is_unraisable_is_still_reported() -> None:
    import sys

    from lbkit.net.tls.certificates import ignore_names_that_are_not_ascii

    seen: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        ignore_names_that_are_not_ascii()
        hook = sys.unraisablehook
        ignore_names_that_are_not_ascii()
        assert sys.unraisablehook is hook  # once
        error = UnicodeDecodeError("ascii", b"\xe4", 0, 1, "no")
        for cause, where in ((error, b"\xe4.example"), (error, print), (ValueError(), b"x")):
            sys.unraisablehook(Args(type(cause), where))  # type: ignore[arg-type]
    finally:
        sys.unraisablehook = before
    assert [args.exc_type for args in seen] == [UnicodeDecodeError, ValueError]


class Args:
    """As the interpreter gives them to the hook."""

    def __init__(self, exc_type: type[BaseException], where: object) -> None:
        self.exc_type = exc_type
        self.object = where
