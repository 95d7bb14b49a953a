"""The turn engine: claims, executes, streams, ends and recovers turns. No I/O of its own."""
