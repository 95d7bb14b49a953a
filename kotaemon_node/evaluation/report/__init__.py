"""Reports of a run and of a comparison: one content, as Markdown and as HTML."""
