"""Composes a pod part by part: which adapter stands behind which port, as the settings say."""
