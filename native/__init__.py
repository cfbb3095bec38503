"""Compiles lbkit's hot modules with mypyc, from the very sources that learners read."""
