"""HTTP/2 (RFC 9113): many requests at once on one connection, each an exchange of its own.

`rules.py` has the settings. The rest needs the library h2, which reads and writes the frames; what is here
decides what they may do.
"""
