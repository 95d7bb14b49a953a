"""A chat platform in small, to try channels with (docs/how-to/channels.md)."""
