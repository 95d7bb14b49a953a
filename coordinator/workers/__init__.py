"""Build workers: processes beside the leader that read and encode documents (ADR 0016)."""
