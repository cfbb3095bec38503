"""HTTP/1.1 (RFC 9110, RFC 9112).

`grammar` has the tables, `head` and `body` read and write messages, `server` is a connection from a client,
and `client` a connection to a backend.
"""
