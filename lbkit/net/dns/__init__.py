"""A DNS server that balances: an authoritative one, whose answers depend on where the client is."""

from lbkit.net.dns.answer import answer
from lbkit.net.dns.server import DnsServer
from lbkit.net.dns.zone import Record, Steered, Weighted, Zone, ZoneError

__all__ = ["DnsServer", "Record", "Steered", "Weighted", "Zone", "ZoneError", "answer"]
