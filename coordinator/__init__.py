"""The coordinator: turns documents into generations of knowledge and publishes them."""
