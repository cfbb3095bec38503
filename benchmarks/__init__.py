"""What is compared with whom, in one run: ratios, not absolute speeds. `python -m benchmarks.NAME`."""
