"""HTTP/3 (RFC 9114): requests as streams of a QUIC connection, over UDP.

`rules.py` has the settings. The library aioquic speaks QUIC (RFC 9000): handshake, encryption, losses,
congestion. What is here decides what clients may make it do, and reads and writes the frames of HTTP/3. All
of it is Python, down to each packet of 1200 bytes: a request costs several times the processor time of one
by HTTP/2 (benchmarks/http3.py).
"""
