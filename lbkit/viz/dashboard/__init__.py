"""A dashboard in a notebook: metrics, states of backends and alerts of a run, as it goes on or afterwards."""
