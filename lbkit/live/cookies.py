"""What the clients of a load keep between requests: cookies, and the route of `sticky.how = "route"`."""

from __future__ import annotations

from collections.abc import Iterable

from lbkit.arrivals import Sessions
from lbkit.core.sticky import OF_APPLICATION
from lbkit.experiment import Experiment

OWN_COOKIE = "session"  # the application's cookie, if the policy does not name it
ROUTE = "x-lbkit-route"  # the field with a route, and its name among the cookies
Jar = dict[str, str]  # name -> value


class Cookies:
    """Puts cookies into requests and takes them from answers, as the experiment has them."""

    def __init__(self, experiment: Experiment) -> None:
        sessions = isinstance(experiment.traffic.arrivals, Sessions)  # traffic with state on servers
        self._sticky = sticky = experiment.policy.sticky
        of_application = sticky is not None and sticky.how in OF_APPLICATION
        # Whether servers see their own cookie, and report how many requests of the session they know.
        self.state_seen = sessions and not (sticky and sticky.how == "rewrite")
        name = sticky.cookie if sticky and of_application else OWN_COOKIE
        # The field by which servers begin a session for an unknown cookie; empty: they have none.
        self._wanted = (name if self.state_seen else f"{name} any") if sessions or of_application else ""

    def present(self, jar: Jar, target: str, headers: dict[str, str]) -> str:
        """Add cookies to a request's header fields; return its target, with the route if there is one."""
        if self._wanted:
            headers["X-Lbkit-Session"] = self._wanted
        pairs = [f"{name}={value}" for name, value in jar.items() if name != ROUTE]
        if pairs:
            headers["Cookie"] = "; ".join([*([headers["Cookie"]] if "Cookie" in headers else []), *pairs])
        if not self._sticky or ROUTE not in jar:
            return target
        return f"{target}{'&' if '?' in target else '?'}{self._sticky.cookie}={jar[ROUTE]}"


def keep(jar: Jar, fields: Iterable[tuple[str, str]]) -> None:
    """Store the cookies of an answer, and its route."""
    for field_name, text in fields:
        if field_name.lower() == "set-cookie":
            name, _, value = text.partition(";")[0].strip().partition("=")
            jar[name] = value
        elif field_name.lower() == ROUTE:
            jar[ROUTE] = text
