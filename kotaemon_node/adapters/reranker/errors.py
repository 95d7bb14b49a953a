"""Why a reranker cannot be set up: messages for the person who starts the program."""


class RerankerSetupError(Exception):
    """The reranker cannot be set up as asked; the message is one sentence that says what to do."""
