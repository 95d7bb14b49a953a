"""What the core asks of the world: Protocols whose docstrings are the contracts of adapters."""
