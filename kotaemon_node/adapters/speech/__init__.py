"""Engines of speech: an offline pair in processes of their own, and OpenAI-compatible servers."""
