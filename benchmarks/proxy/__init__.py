"""The proxy next to nginx and HAProxy that do the same: `python -m benchmarks.proxy`, rows in rows.py."""
