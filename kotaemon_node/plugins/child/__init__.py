"""What runs in the process of a plugin, on its side of the wall; standard library only."""
