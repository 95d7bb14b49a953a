"""The answer out of the body of a response: pieces, their bounds, tool calls, a whole end."""

from collections.abc import Callable, Iterator

from kotaemon_node.adapters.llm.completion import Chunk, read_chunk
from kotaemon_node.adapters.llm.estimating import estimated_tokens
from kotaemon_node.adapters.llm.sse import EventStreamParser, EventTooLarge, ServerSentEvent
from kotaemon_node.adapters.llm.tool_calls import OpenCalls
from kotaemon_node.domain.errors import LanguageModelError, LanguageModelRefusal
from kotaemon_node.domain.limits import ANSWER_CHARS_MAX
from kotaemon_node.ports.language_model import ToolCall, Usage

STREAM_END = "[DONE]"
"""The data of the last event."""


class AnswerStream:
    """Reads one answer: pulls bytes by ``receive`` (b"" at the end) and yields its text.

    Behind the text come the tool calls that the model asks for. An empty piece is no text but a
    sign of life: a part of a call arrived.
    """

    def __init__(
        self,
        receive: Callable[[], bytes],
        *,
        prefix: str,
        usage: Usage,
        together: bool = False,
    ) -> None:
        """``together``: the text of all that one ``receive`` returns is one piece."""
        self._receive = receive
        self._together = together
        self._prefix = prefix
        self._chars = len(prefix)
        self._usage = usage
        self._complete = False
        self._counted = False
        self._done = False
        """The stream said that it is over."""
        self._said: list[str] = []
        self._calls = OpenCalls()

    def estimate(self, prompt_tokens: int) -> None:
        """Fill in the usage by guesses, of what came so far, where the server did not count."""
        if not self._counted:
            self._usage.prompt_tokens = prompt_tokens
            self._usage.completion_tokens = estimated_tokens("".join(self._said))
            self._usage.estimated = True

    def streamed(self) -> Iterator[str | ToolCall]:
        """Yield the pieces of an event stream as they arrive."""
        for events in self._received():
            pieces = self._pieces(events)
            yield from _joined(pieces) if self._together else pieces
            if self._done:
                break
        else:
            if not self._complete:
                raise LanguageModelError("the language model's stream ended in the middle")
        yield from self._calls.closed()

    def _pieces(self, events: Iterator[ServerSentEvent]) -> Iterator[str]:
        for event in events:
            if event.data == STREAM_END:
                self._done = True
                return
            chunk = read_chunk(event.data)
            piece = self._take(chunk)
            if piece or chunk.calls:
                yield piece

    def whole(self) -> Iterator[str | ToolCall]:
        """Yield the answer of a server that does not stream, in one piece."""
        body = bytearray()
        while received := self._receive():
            body += received
            # Four bytes are the most that a character needs; JSON around them is small.
            if len(body) > 4 * ANSWER_CHARS_MAX:
                raise self._too_long()
        piece = self._take(read_chunk(body.decode(errors="replace")))
        # llama.cpp tells the beginning that it was given again, but only in a whole answer.
        piece = piece.removeprefix(self._prefix)
        if piece:
            yield piece
        yield from self._calls.closed()

    def _received(self) -> Iterator[Iterator[ServerSentEvent]]:
        """Yield, for all that one ``receive`` returned, the events that it completes."""
        parser = EventStreamParser()
        while received := self._receive():
            yield _told(parser.feed(received))
        rest = _told(parser.finish())
        yield (one for one in rest if one.data == STREAM_END or _is_whole(one))

    def _take(self, chunk: Chunk) -> str:
        """Note what a chunk says besides its text, and return the text."""
        if chunk.tokens is not None:
            # Some servers repeat a running count, so the last one stands.
            self._usage.prompt_tokens = chunk.tokens.prompt
            self._usage.completion_tokens = chunk.tokens.completion
            self._counted = True
        arguments = "".join(call.arguments for call in chunk.calls)
        self._said += (chunk.text, arguments)
        self._complete = self._complete or chunk.finished
        self._chars += len(chunk.text) + len(arguments)
        if self._chars > ANSWER_CHARS_MAX:
            raise self._too_long()
        self._calls.take(chunk.calls)
        return chunk.text

    @staticmethod
    def _too_long() -> LanguageModelError:
        return LanguageModelRefusal(f"the answer is longer than {ANSWER_CHARS_MAX} characters")


def _joined(pieces: Iterator[str]) -> Iterator[str]:
    """Yield ``pieces`` as one; what came before something failed is given, too."""
    said, failure = list[str](), None
    try:
        for piece in pieces:
            said.append(piece)
    except LanguageModelError as error:
        failure = error
    if said:
        yield "".join(said)
    if failure is not None:
        raise failure


def _told(events: Iterator[ServerSentEvent]) -> Iterator[ServerSentEvent]:
    try:
        yield from events
    except EventTooLarge as error:
        raise LanguageModelError(f"the language model's stream: {error}") from error


def _is_whole(event: ServerSentEvent) -> bool:
    """False for the half of an event that a lost connection leaves behind."""
    return event.data.rstrip().endswith("}")
