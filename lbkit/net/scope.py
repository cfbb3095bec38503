"""For a while: see lbkit.core.scope and lbkit.edge."""

from lbkit.core.scope import EVERYBODY, by_prefix, is_below, plain_path, short, whose
from lbkit.edge import a_key, a_path

__all__ = ["EVERYBODY", "a_key", "a_path", "by_prefix", "is_below", "plain_path", "short", "whose"]
