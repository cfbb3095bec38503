"""Traces: the context that requests carry (W3C Trace Context), and the spans that the proxy writes down."""
