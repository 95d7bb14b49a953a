"""Bounds of the doors beside HTTP, as ``limits`` has those of everything else."""

from typing import Final

# WebSocket connections. A message of 32,000 characters, each escaped as JSON allows, is 192 kB (a
# character beyond the first plane counts twice); beside it there is room for the largest context.
SOCKET_MESSAGE_BYTES_MAX: Final = 512 * 1024
# Read at once. Of a flood of empty frames that is a thousand: 5 ms, then others have their turn.
SOCKET_READ_BYTES: Final = 8 * 1024
# Small frames, control frames and messages of one connection; what comes faster waits in TCP. Each
# costs 0.1 ms, so that one client takes a tenth of a core. Speech comes in 50 a second.
SOCKET_FRAMES_PER_S: Final = 1_000
SOCKET_FRAMES_AT_ONCE: Final = 1_000
SOCKET_SMALL_BYTES: Final = 64  # larger pieces are bounded with the message that they are of
SOCKET_CLOSE_S: Final = 2.0  # for the peer to close as well; what it says meanwhile is dropped
SOCKET_PINGS_UNANSWERED_MAX: Final = 3
SOCKET_TURNS_MAX: Final = 16  # followed at once on one connection; each beyond the first has a slot
# Sent and not acknowledged, on a connection that acknowledges: about the text of a screen or two.
SOCKET_WINDOW_FRAMES: Final = 64
SOCKET_WINDOW_CHARS: Final = 64 * 1024
# What has no room for so long is left where it is, and read again when there is: a pod holds
# nothing for a client that is slow.
SOCKET_HOLDS_S: Final = 1.0
# Ten times as quick as models write, and several times as quick as anybody reads.
SOCKET_CHARS_PER_S_DEFAULT: Final = 50_000

# OpenAI's routes. Each request brings the whole conversation; only its end is used.
CHAT_MESSAGES_MAX: Final = 2_000
CHAT_WISHES_CHARS_MAX: Final = 4_000  # of all system messages: a fourth of the room of passages
CHAT_TOOLS_BYTES_MAX: Final = 64 * 1024  # JSON; kept with the turn, and read with each round
CHAT_STOPS_MAX: Final = 4  # as many as OpenAI takes
# The same request within this time is the same turn: clients repeat what was cut off within
# seconds, people hours later.
CHAT_REPEAT_S: Final = 600
# In a session that stays the same words may be meant again. The SDKs wait for up to 8 s before they
# repeat themselves.
CHAT_AGAIN_S: Final = 10
CHAT_CLOCKS_APART_S: Final = 5.0  # so far may the clocks of two pods be apart
CHAT_TRIES_MAX: Final = 8  # failed turns of one request within that time; then the last one stands

# An address that a model writes is held until it is whole; longer ones are left out. Browsers and
# servers take 2,000 characters everywhere.
LINK_HELD_CHARS_MAX: Final = 2_000
