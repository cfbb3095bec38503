"""Layer 4: bytes between two connections, whatever they mean."""
