"""What is wrong with the settings of speech."""


class SpeechSetupError(ValueError):
    """An engine cannot be used as it is set up; the pod does not start."""
