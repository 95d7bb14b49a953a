"""Pieces of an answer as texts that know their place."""

from typing import Self

from kotaemon_node.client.frames import Frame, Text


class Piece(str):
    """A piece of the answer. ``offset`` 0 behind other pieces: the answer began anew."""

    __slots__ = ("offset",)
    offset: int

    def __new__(cls, content: str, offset: int) -> Self:
        """Return ``content`` with its place in the answer, in characters."""
        piece = super().__new__(cls, content)
        piece.offset = offset
        return piece


def piece_of(frame: Frame) -> Piece | None:
    """Return the piece that a frame brings, if it brings one."""
    if isinstance(frame, Text) and frame.content:
        return Piece(frame.content, frame.offset)
    return None
