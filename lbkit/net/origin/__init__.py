"""The backends' side: connections that are kept for the next request, and probes for their load."""
