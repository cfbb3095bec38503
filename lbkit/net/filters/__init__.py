"""What can be done to an exchange from the side: a feature a module, each a `Filter` (see `base`)."""
