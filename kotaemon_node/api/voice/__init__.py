"""Doors of speech: conversations by voice, and OpenAI's audio routes."""
