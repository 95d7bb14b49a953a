"""Speaks with the library of espeak-ng, one text after the other. It knows a hundred languages."""

import ctypes
import socket
from typing import Any, Final

import espeakng_loader

from kotaemon_node.adapters.speech.wire import Reader, packed

_SYNCHRONOUS: Final = 2
_CHARACTERS: Final = 1
_UTF_8: Final = 1  # and neither SSML nor phonemes: what is written is read
_RATE: Final = 1
_Taking: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Speaker:
    """Holds the library; there may be one in a process."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._rate_hz = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0
        )
        if self._rate_hz <= 0:
            raise OSError("espeak-ng does not find its data")
        self._line: socket.socket | None = None
        self._taking = _Taking(self._take)  # the library keeps its address: so must we
        self._library.espeak_SetSynthCallback(self._taking)

    def serve(self, line: socket.socket, reader: Reader) -> None:
        """Answer until the pod hangs up."""
        self._line = line
        while True:
            asked = reader.next()
            if isinstance(asked, dict):
                line.sendall(packed(self._spoken(asked)))

    def _spoken(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._library.espeak_SetVoiceByName(str(asked["voice"]).encode()) != 0:
            return {"unknown": asked["voice"]}
        self._library.espeak_SetParameter(_RATE, int(asked["words_per_minute"]), 0)
        assert self._line is not None
        self._line.sendall(packed({"rate_hz": self._rate_hz}))
        text = str(asked["text"]).replace("\0", " ").encode()
        status = self._library.espeak_Synth(
            text, len(text) + 1, 0, _CHARACTERS, 0, _UTF_8, None, None
        )
        return {"spoken": True} if status == 0 else {"failed": f"espeak-ng says {status}"}

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        """Pass on what the library has made; 1 tells it to stop."""
        if not samples or count <= 0:
            return 0
        assert self._line is not None
        try:
            self._line.sendall(packed(ctypes.string_at(samples, count * 2)))
        except OSError:
            return 1
        return 0
