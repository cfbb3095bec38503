"""Figures of results, and widgets for notebooks. Needs the `lab` extra; imports no engine."""
