"""Limits that several proxies count together, in Redis."""

from lbkit.net.shared_store.store import Question, SharedLimits, SharedStore, check_shared

__all__ = ["Question", "SharedLimits", "SharedStore", "check_shared"]
