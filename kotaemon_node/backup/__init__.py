"""Backups of sessions and knowledge elsewhere, and what brings them back. ADR 0023."""
