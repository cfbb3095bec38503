"""The kinds of events of a simulation.

Unless a comment says otherwise, the row of an event is that of a request. Plain numbers rather than an Enum:
each event looks up its handler by its kind.
"""

from typing import Final

ARRIVE: Final = 0  # the request arrives at the balancer
ENTER: Final = 1  # it comes to the gate, after a rate limit has held it
EXPIRE: Final = 2  # it has waited at the gate for the longest time allowed
ADMIT: Final = 3  # the gate's rate admits another request; no row
RECEIVE: Final = 4  # its server receives it
COMPLETE: Final = 5  # a worker completes it
ANSWER: Final = 6  # its answer arrives at the balancer
REFUSE: Final = 7  # the balancer learns that its server refused the connection
CLOSE: Final = 8  # the balancer learns that its server closed the connection without an answer
RESEND: Final = 9  # it is sent to the same backend again, on a new connection
RETRY: Final = 10  # another backend is picked for it
SEND: Final = 11  # a user or a session sends the next request; row: the number of the session
PROBE: Final = 12  # the answer to a probe arrives at the balancer; row: the number of a backend
CHANGE: Final = 13  # an event of the experiment happens; row: its index there
BOOT: Final = 14  # a server has booted after a crash; row: its index
SHARE: Final = 15  # a server that shares its workers may have completed a request; row: the server's index
CHECK: Final = 16  # a balancer probes a backend; row: the number of the check
CHECKED: Final = 17  # the outcome of a probe is known; row: the same
CUT: Final = 18  # a drain has reached its deadline: what still runs there is cut off; no row
ROLLOUT: Final = 19  # a rolling deploy looks at how things stand; no row
LEAVE: Final = 20  # its client has waited long enough
AGAIN: Final = 21  # a client sends a request again; row: that of its first try
ABORT: Final = 22  # its server learns that the connection has been closed
TIMEOUT: Final = 23  # an attempt has taken its time; row: the attempt's own
HEDGE: Final = 24  # an attempt has no answer when another copy is due; row: the attempt's own
DEADLINE: Final = 25  # the time of a request is over
WAITED: Final = 26  # it has waited long enough for another request's answer to come into the cache
SECURED: Final = 27  # its connection is there, after a TLS handshake
TIER: Final = 28  # something happens inside a tier; row: its index among the servers
