"""Acting: recognise what is wanted, and have a plugin answer it or carry it out."""
