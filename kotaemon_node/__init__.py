"""A chat-agent node: the worker program and the library that the coordinator shares."""

__version__ = "0.1.0"
"""The one place of the version: package, image, chart and pages are held to it by tests."""
