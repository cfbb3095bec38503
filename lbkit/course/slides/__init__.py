"""Slides with few words, and stages of the theatre that play in the browser.

A deck is a TOML file (decks/, or an instructor's own); its stages are in stages.py, or experiments in files.
`write(deck, path)` makes one file of HTML of it, which needs no network and no Python.
"""

from lbkit.course.slides.deck import Deck, Slide, all_decks, find_deck
from lbkit.course.slides.page import page, write
from lbkit.course.slides.stages import STAGES

__all__ = ["STAGES", "Deck", "Slide", "all_decks", "find_deck", "page", "write"]
