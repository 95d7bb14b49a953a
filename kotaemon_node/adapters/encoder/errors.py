"""Why an encoder cannot be set up: messages for the person who starts the program."""


class EncoderSetupError(Exception):
    """The encoder cannot be set up as asked; the message is one sentence that says what to do."""


class UnknownModel(EncoderSetupError, ValueError):
    """No model of this name is known to the chosen backend."""


class ModelMissing(EncoderSetupError):
    """The model's files are not in the model folder, or are not the files we pinned."""


class InstallFailed(EncoderSetupError):
    """No source gave the files that the catalogue pins; nothing was put in place."""
