"""What a document may be called: its path below the knowledge folder, the same for every way in.

What an upload may be named is what the coordinator follows in its folder; a name that it would
ignore is refused before a byte is stored.
"""

import unicodedata
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Invalid, Malformed, TooLarge
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, checked_id
from kotaemon_node.domain.visible import visible_text

TENANTS_FOLDER: Final = ".tenants"
"""Below the knowledge folder: a folder for each tenant but ``default``.

No walk enters a hidden one, and no upload can name it.
"""
_TEMPORARY_STARTS: Final = (".", "~", "#")
_TEMPORARY_ENDS: Final = ("~", ".swp", ".swx", ".part", ".partial", ".tmp", ".temp", ".crdownload")
_STEP_BYTES_MAX: Final = 255  # of one folder or file name, by every common file system


def knowledge_base_of(document: str) -> str:
    """Return the knowledge base of a document: its first-level folder, or ``default``."""
    folder, slash, _ = document.partition("/")
    return folder if slash else DEFAULT_KNOWLEDGE_BASE


def temporary(name: str) -> bool:
    """Tell whether a file or folder is hidden, or a program's own that will not stay."""
    return name.startswith(_TEMPORARY_STARTS) or name.lower().endswith(_TEMPORARY_ENDS)


def bad_knowledge_base(name: str) -> str | None:
    """Return why a first-level folder is no knowledge base, or None when it is one."""
    try:
        checked_id("the name of a knowledge base", name)
    except Malformed as error:
        return str(error)
    return None


def bad_characters(document: str) -> str | None:
    """Return why nobody could read this name as it is, or None."""
    if document != visible_text(document) or "\n" in document or "\t" in document:
        return "its name has invisible characters or is not valid UTF-8"
    return None


def document_of(kb: str, path: str) -> str:
    """Return the document that an upload of ``path`` into ``kb`` is, composed (NFC).

    ``path`` is relative to the knowledge base or to the knowledge folder. Raises ``Invalid`` with
    advice, ``TooLarge`` or ``Malformed``.
    """
    checked_id("knowledge base", kb)
    path = unicodedata.normalize("NFC", path)
    within = "/" in path and knowledge_base_of(path) == kb
    top = kb == DEFAULT_KNOWLEDGE_BASE and "/" not in path
    document = path if within or top else f"{kb}/{path}"
    steps = document.split("/")
    if problem := bad_characters(document):
        raise Invalid(f"{visible_text(path)!r}: {problem}; rename the file")
    if any(step in {"", ".", ".."} for step in steps):
        raise Invalid(
            f"{path!r} is not the path of a file: it must be relative, like folder/file.md, with"
            " no empty, . or .. step"
        )
    if ignored := next((step for step in steps if temporary(step)), None):
        raise Invalid(
            f"{ignored!r} is named like a hidden or temporary file, which is never read: it must"
            " not begin with ., ~ or #, nor end like .tmp or .part; rename it"
        )
    if any(len(step.encode()) > _STEP_BYTES_MAX for step in steps):
        raise TooLarge(f"a folder or file name has at most {_STEP_BYTES_MAX} bytes (UTF-8)")
    if len(document.encode()) > limits.DOCUMENT_NAME_BYTES_MAX:
        raise TooLarge(f"the path has at most {limits.DOCUMENT_NAME_BYTES_MAX} bytes (UTF-8)")
    return document
