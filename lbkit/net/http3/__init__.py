"""HTTP/3 (RFC 9114): requests as streams of a QUIC connection, over UDP.

`rules.py` has the settings. The library aioquic speaks QUIC (RFC 9000): handshake, encryption, losses,
congestion. What is here decides what clients may make it do, and reads and writes the frames of HTTP/3. All
of it is Python, down to each packet of 1200 bytes: many small requests cost no more processor time than by
HTTP/2, as a packet has several; a body, and each new connection, many times as much (benchmarks.proxy).
"""
