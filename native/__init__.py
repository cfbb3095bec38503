"""Compiles lbkit's hot modules with mypyc, from the same sources that learners read."""
