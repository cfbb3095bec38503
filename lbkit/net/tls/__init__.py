"""TLS: certificates chosen by name and reloaded while connections are served, and a lab's own authority."""
