"""The proxy's optional features: one a module, each a `Filter` (see `base`) that sees every exchange."""
