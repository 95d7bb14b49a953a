"""Old and new pods side by side under load, forward and back (fault 23 of the design)."""
