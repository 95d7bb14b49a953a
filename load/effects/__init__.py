"""The proof that effects happen once: shops that act, and pods that are lost as they call."""
