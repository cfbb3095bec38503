"""TLS and HTTP/2 between clients and a program, in the words of each."""

from __future__ import annotations

from dataclasses import dataclass

from lbkit.experiment import Experiment
from lbkit.experiment.traffic import HTTP2
from lbkit.tls import Tls


@dataclass(frozen=True)
class Files:
    """The certificate of a run; by default names to read in a rendered configuration."""

    cert: str = "lab.pem"
    key: str = "lab.key"
    both: str = "lab-both.pem"  # certificate and key


@dataclass(frozen=True)
class Securing:
    """What clients speak with the program."""

    tls: Tls | None
    http2: bool
    files: Files

    @classmethod
    def of(cls, experiment: Experiment, files: Files) -> Securing:
        # At layer 4 the program does not take part in what clients speak with servers.
        return cls(experiment.tls, experiment.traffic.http == HTTP2 and not experiment.layer4, files)

    @property
    def protocols(self) -> str:
        """The versions of TLS in the words of nginx and Apache."""
        return "TLSv1.3" if self.tls and self.tls.minimum == "1.3" else "TLSv1.2 TLSv1.3"

    # -- nginx: https://nginx.org/en/docs/http/ngx_http_ssl_module.html ------------------------------

    def nginx_listen(self) -> str:
        return (" ssl" if self.tls else "") + (" http2" if self.http2 else "")

    def nginx_lines(self, status_port: int) -> str:
        """`status_port`: for the status page, as a plain port with http2 speaks nothing else."""
        if not self.nginx_listen():
            return ""
        plain = f"    listen 127.0.0.1:{status_port};  # the status page, in plain HTTP/1.1\n"
        if self.tls is None:
            return plain
        on, cache = ("on", "shared:tls:1m") if self.tls.resumption else ("off", "off")
        return f"""\
{plain}\
    ssl_certificate {self.files.cert};
    ssl_certificate_key {self.files.key};
    ssl_protocols {self.protocols};
    ssl_session_tickets {on};
    ssl_session_cache {cache};
"""

    # -- HAProxy: https://docs.haproxy.org/2.6/configuration.html#5.1 -------------------------------

    def haproxy_global(self) -> str:
        return "  tune.ssl.cachesize 0  # no sessions are resumed\n" if self._never_resumes else ""

    def haproxy_bind(self) -> str:
        if self.tls is None:
            return " proto h2" if self.http2 else ""
        words = [f" ssl crt {self.files.both} ssl-min-ver TLSv{self.tls.minimum}"]
        words += ["no-tls-tickets"] if self._never_resumes else []
        words += ["alpn h2,http/1.1" if self.http2 else "alpn http/1.1"]
        return " ".join(words)

    # -- Apache: https://httpd.apache.org/docs/2.4/mod/mod_ssl.html ---------------------------------

    def apache_modules(self) -> tuple[str, ...]:
        return (("ssl", "socache_shmcb") if self.tls else ()) + (("http2",) if self.http2 else ())

    def apache_lines(self) -> str:
        lines = [f"Protocols {'h2' if self.tls else 'h2c'} http/1.1"] if self.http2 else []
        if self.tls:
            on, cache = ("On", "shmcb:sessions(512000)") if self.tls.resumption else ("Off", "none")
            protocols = " ".join(f"+{version}" for version in self.protocols.split())
            lines += [
                "SSLEngine On",
                f"SSLCertificateFile {self.files.cert}",
                f"SSLCertificateKeyFile {self.files.key}",
                f"SSLProtocol -all {protocols}",
                f"SSLSessionTickets {on}",
                f"SSLSessionCache {cache}",
            ]
        return "".join(f"{line}\n" for line in lines)

    # -- Caddy: https://caddyserver.com/docs/caddyfile/directives/tls -------------------------------

    def caddy_options(self) -> str:
        return "  servers {\n    protocols h1 h2 h2c\n  }\n" if self.http2 else ""

    def caddy_lines(self) -> str:
        if self.tls is None:
            return ""
        return f"""\
  tls {self.files.cert} {self.files.key} {{
    protocols tls{self.tls.minimum} tls1.3
    alpn {"h2 http/1.1" if self.http2 else "http/1.1"}
  }}
"""

    @property
    def _never_resumes(self) -> bool:
        return self.tls is not None and not self.tls.resumption
