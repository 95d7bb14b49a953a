"""The order service of the sample shop: small, real over HTTP, and with rules of its own."""
