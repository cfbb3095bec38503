"""A gateway load balancer: sends packets through inspection appliances and back, in GENEVE (RFC 8926).

header      the GENEVE header and its options, including those of AWS
packet      the IP packets inside: their flow, and small packets for tests
flows       which appliance inspects a flow, in both directions
gateway     the balancer, on UDP sockets
appliance   an inspection appliance, also as a process
endpoint    where packets enter and leave
"""

from lbkit.net.geneve.appliance import Appliance, Verdict
from lbkit.net.geneve.endpoint import Endpoint
from lbkit.net.geneve.flows import FlowTable
from lbkit.net.geneve.gateway import Gateway, gateway
from lbkit.net.geneve.header import AwsOptions, GeneveError, Header, Option, decode, encode
from lbkit.net.geneve.packet import Packet, PacketError, read_packet, tcp_packet, udp_packet

__all__ = [
    "Appliance",
    "AwsOptions",
    "Endpoint",
    "FlowTable",
    "Gateway",
    "GeneveError",
    "Header",
    "Option",
    "Packet",
    "PacketError",
    "Verdict",
    "decode",
    "encode",
    "gateway",
    "read_packet",
    "tcp_packet",
    "udp_packet",
]
