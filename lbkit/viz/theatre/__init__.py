"""The theatre: one sees the requests of a run. A Film is what happened, by time; the stage plays it."""

from lbkit.viz.theatre.film import Film, film

__all__ = ["Film", "film"]
