"""The event loops that there are here: tests of what loops do differently run on each."""

from importlib.util import find_spec

LOOPS = ["asyncio", *["uvloop"] * bool(find_spec("uvloop"))]
