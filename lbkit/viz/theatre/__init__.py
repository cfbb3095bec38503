"""The theatre draws each request of a run on its way. A Film is the data of what happened, made in Python;
the stage, in JavaScript, plays it."""

from lbkit.viz.theatre.film import Film, film

__all__ = ["Film", "film"]
