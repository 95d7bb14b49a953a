"""Plugins in processes of their own: started, confined, watched, and served what they may have."""
