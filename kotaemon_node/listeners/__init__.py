"""Handlers of events, one file each. They act on the truth, the event only wakes them."""
