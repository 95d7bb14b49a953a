"""``chat``: a conversation in the terminal, which a killed pod does not interrupt.

The client library (httpx2) is imported where it is needed: every other command would wait for it.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from kotaemon_node.cli import service
from kotaemon_node.cli.chat_showing import FrameLines, LiveText, PlainText, Showing
from kotaemon_node.cli.chat_words import ChatLanguage, words_for
from kotaemon_node.cli.console import err, harmless, out
from kotaemon_node.cli.service import DataOption, KeyOption, Place, ServiceError, UrlOption
from kotaemon_node.local import places

if TYPE_CHECKING:
    from kotaemon_node.client import Client

_DATA = places.data_folder()
_INTERRUPTED: Final = 130
_TIMEOUT_MS: Final = 20_000
_HISTORY_MAX: Final = 500


def chat(
    question: Annotated[
        str | None, typer.Argument(help="Ask this and end; without it, a conversation.")
    ] = None,
    *,
    session: Annotated[str, typer.Option("--session", help="Go on in this session.")] = "",
    kb: Annotated[str, typer.Option("--kb", help="Knowledge base to answer from.")] = "",
    language: Annotated[
        ChatLanguage | None,
        typer.Option(
            "--language",
            help="Of the chat's own words; answers are in the language of the question.",
            show_default="that of the terminal",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the frames of each turn, one a line.")
    ] = False,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """Ask questions; answers come as they are written, with their sources below.

    What is piped in is asked line by line. Ctrl-C stops an answer; the same turn goes on
    by itself when the pod that writes it dies.
    """
    with talking(service.place_of(url, data, key)) as client:
        talk = _Talk(client, session=session, kb=kb, words=words_for(language), as_json=as_json)
        if question is not None:
            if not talk.ask(question):
                raise typer.Exit(_INTERRUPTED)
        elif sys.stdin.isatty():
            talk.converse()
        else:
            talk.read(sys.stdin)


@contextmanager
def talking(place: Place) -> Iterator["Client"]:
    """Yield a client of the cluster; what it raises is told as the commands tell it."""
    from kotaemon_node.client import Client, KotaemonError  # noqa: PLC0415 - see above

    try:
        with Client(endpoint=place.url, api_key=place.key, timeout=_TIMEOUT_MS) as client:
            yield client
    except ValueError as error:
        raise ServiceError(f"{error}; it was {place.url!r}.") from None
    except KotaemonError as error:
        if error.code == "unreachable":
            raise ServiceError(service.unreachable(place.url)) from None
        if not error.status:
            trace = f" `kotaemon trace {error.trace_id}` shows more." if error.trace_id else ""
            raise ServiceError(f"{error.message.rstrip('.')}.{trace}") from None
        raise ServiceError(service.refusal(error.status, error.code, error.message)) from None


class _Talk:
    """A conversation: its session, which begins with the first message, and its last turn."""

    def __init__(
        self, client: "Client", *, session: str, kb: str, words: Mapping[str, str], as_json: bool
    ) -> None:
        self._client = client
        self._session = session
        self._kb = kb
        self._words = words
        self._as_json = as_json
        self._last_turn = ""

    def converse(self) -> None:
        """Ask what a person types, until an empty line."""
        import readline  # noqa: PLC0415 - lines can be edited, and those before brought back

        readline.set_history_length(_HISTORY_MAX)
        self._say("begin", session=self._here())
        while True:
            try:
                line = input("› ").strip()
            except (EOFError, KeyboardInterrupt):
                err.print()
                return
            if line in {"", "/quit"}:
                return
            self._try(line)

    def read(self, lines: Iterable[str]) -> None:
        """Ask line by line what is piped in; blank lines are none."""
        for line in lines:
            if line.strip() and not self.ask(line.strip()):
                raise typer.Exit(_INTERRUPTED)

    def ask(self, message: str) -> bool:
        """Ask and show the answer; return whether it came to its end."""
        stream = self._client.stream_message(self._here(), message, kb=self._kb or None)
        self._last_turn = stream.turn_id
        try:
            with stream, self._showing() as showing:
                for frame in stream:
                    showing.frame(frame.raw)
        except KeyboardInterrupt:
            stream.cancel()
            self._say("stopped")
            return False
        return True

    def _try(self, line: str) -> None:
        """Ask, or do a command; one that fails does not end the conversation."""
        from kotaemon_node.client import KotaemonError  # noqa: PLC0415 - see above

        try:
            if line.startswith("/"):
                self._command(*line.partition(" ")[::2])
            else:
                self.ask(line)
        except KotaemonError as error:
            if error.status in {401, 403}:
                raise
            err.print(Text.assemble(("kotaemon: ", "bold red"), harmless(error.message)))

    def _command(self, command: str, said: str) -> None:
        match command:
            case "/help":
                err.print(Text(self._words["help"], "dim"))
            case "/new":
                self._session = self._last_turn = ""
                self._say("begin", session=self._here())
            case "/good" | "/bad" if not self._last_turn:
                self._say("nothing")
            case "/good" | "/bad":
                rating = "up" if command == "/good" else "down"
                self._client.feedback(self._here(), self._last_turn, rating, said)
                self._say("rated")
            case "/person":
                self._client.handoff(self._here(), said)
                self._say("person")
            case "/bot":
                self._client.handback(self._here())
                self._say("bot")
            case _:
                self._say("unknown", command=command)

    def _here(self) -> str:
        """Return the id of the session, which is made where nobody named one."""
        if not self._session:
            self._session = self._client.create_session(channel="cli").id
        return self._session

    def _showing(self) -> Showing:
        if self._as_json:
            return FrameLines()
        return LiveText(out, self._words) if out.is_terminal else PlainText(out, err, self._words)

    def _say(self, word: str, **fields: str) -> None:
        err.print(Text(self._words[word].format(**fields), "dim"), soft_wrap=True)
