"""A chat-agent node: the worker program and the library that the coordinator shares."""

__version__ = "0.1.0"
