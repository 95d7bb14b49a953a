"""Draws which package imports which: ``python -m scripts.imports``, docs/images/imports.svg."""
