"""What several proxies share, in Redis: limits that they count together, and a table of sessions."""

from lbkit.net.shared_store.sessions import SharedSessions
from lbkit.net.shared_store.store import Question, SharedLimits, SharedStore, check_shared

__all__ = ["Question", "SharedLimits", "SharedSessions", "SharedStore", "check_shared"]
