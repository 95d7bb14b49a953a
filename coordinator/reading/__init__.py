"""Documents are read in processes of their own, which may hang, grow or die alone (ADR 0016)."""
