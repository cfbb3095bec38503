"""The clients of a live experiment, as the process of Locust plays them; only that process imports them."""
