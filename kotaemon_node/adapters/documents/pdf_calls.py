"""pdfium's functions that are called for each character, with addresses as plain numbers.

pypdfium2 makes an object of each pointer that goes in or comes out. For a hundred thousand
characters that takes twice as long as all that pdfium itself does.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final, cast

import pypdfium2.raw as pdfium_c

_Pointer = ctypes.c_void_p


def address(pointer: Any) -> int:
    """Return the address that a pointer of pypdfium2 holds; 0 of one to nothing."""
    return ctypes.cast(pointer, _Pointer).value or 0


def _plain(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    made = ctypes.CFUNCTYPE(result, *arguments)(address(function))
    return cast(Callable[..., Any], made)


_CHAR: Final = (_Pointer, ctypes.c_int)  # a text page, and the number of a character
unicode_of: Final = _plain(pdfium_c.FPDFText_GetUnicode, ctypes.c_uint, *_CHAR)
box_of: Final = _plain(pdfium_c.FPDFText_GetLooseCharBox, ctypes.c_int, *_CHAR, _Pointer)
object_of: Final = _plain(pdfium_c.FPDFText_GetTextObject, _Pointer, *_CHAR)
matrix_of: Final = _plain(pdfium_c.FPDFText_GetMatrix, ctypes.c_int, *_CHAR, _Pointer)
font_size_of: Final = _plain(pdfium_c.FPDFText_GetFontSize, ctypes.c_double, *_CHAR)
font_weight_of: Final = _plain(pdfium_c.FPDFText_GetFontWeight, ctypes.c_int, *_CHAR)
font_info_of: Final = _plain(
    pdfium_c.FPDFText_GetFontInfo, ctypes.c_ulong, *_CHAR, _Pointer, ctypes.c_ulong, _Pointer
)
font_of: Final = _plain(pdfium_c.FPDFTextObj_GetFont, _Pointer, _Pointer)
render_mode_of: Final = _plain(pdfium_c.FPDFTextObj_GetTextRenderMode, ctypes.c_int, _Pointer)
