"""Intents from outside: the file that an operator writes, and a service that recognises."""
