"""Metrics as functions of values; each says its formula and where it comes from. No I/O."""
