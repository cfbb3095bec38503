"""The differences between a simulation and the experiment: the parts of it that cost nothing here."""

from __future__ import annotations

from lbkit.experiment import Experiment
from lbkit.experiment.traffic import HTTP2


def notes(experiment: Experiment) -> list[str]:
    """Return the parts of an experiment that are not simulated, or not all of them, a line each."""
    said = []
    if experiment.firewall:
        said.append("the firewall takes no time here: on real sockets it costs the proxy processor time")
    tls = experiment.tls
    if tls and not (tls.handshake or tls.resumed):
        said.append("TLS costs nothing here: set tls.handshake and tls.resumed, seconds for a new connection")
    elif tls:
        said.append("handshakes wait for each other only; requests on open connections do not wait for them")
    traffic = experiment.traffic
    if experiment.compression:
        said.append("nothing is compressed here: answers have no content, and processors no work with it")
    elif any(kind.size for kind in traffic.mix):
        said.append("the sizes of answers cost nothing here")
    if traffic.http == HTTP2 and not experiment.layer4:
        said.append("HTTP/2 costs what HTTP/1.1 does here, and no request waits for a connection's others")
    if not (traffic.reuse or tls or experiment.layer4):
        said.append("new connections cost nothing here")
    return said
