"""Files of many kinds to plain text with structure. The one door: ``reading.parse_document``."""
