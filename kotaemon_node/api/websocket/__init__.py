"""The WebSocket doors: a bounded connection, its handshake, and the conversation on it."""
