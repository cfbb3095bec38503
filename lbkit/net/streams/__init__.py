"""What HTTP/2 and HTTP/3 share: requests that are streams of one connection, each an exchange of its own.

The two differ in how streams become bytes on a wire. What their messages must look like, how a request is
handed to its exchange and how its answer waits for the client is the same, and stands here.
"""
