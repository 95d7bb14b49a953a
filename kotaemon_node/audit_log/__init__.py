"""The audit log beyond one process: how entries are written, archived, read and verified."""
