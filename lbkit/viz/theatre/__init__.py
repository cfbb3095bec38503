"""The theatre: requests that one can see, of any run. A Film is what happened; the stage plays it."""

from lbkit.viz.theatre.film import Film, film

__all__ = ["Film", "film"]
