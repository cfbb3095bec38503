"""The algorithms of particular programs, to the pick.

The ideas are those of the modules above; here are the details by which programs differ: the hash, the order
among equals, the effect of a weight. Given the same servers and requests, each algorithm makes the same picks
as its program: tests/live/test_differential.py compares it with the program itself.
"""
