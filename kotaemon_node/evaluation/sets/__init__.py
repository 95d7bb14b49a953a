"""Data sets: one small adapter for each form in which questions and documents are published."""
