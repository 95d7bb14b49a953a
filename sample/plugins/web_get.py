"""Reads a page of a site that the operator allows: a tool for language models, by GET alone."""

import re
from html import unescape
from typing import Any, ClassVar
from urllib.parse import urlsplit

from kotaemon_node.plugins import BasePlugin

_BYTES_MAX = 200_000
_CHARS_MAX = 6_000
_HIDDEN = re.compile(r"(?is)<(script|style|head|template|noscript)\b.*?</\1\s*>|<!--.*?-->")
_BREAK = re.compile(r"(?i)</?(?:p|div|br|li|tr|h[1-6]|section|article)\b[^>]*>")
_TAG = re.compile(r"<[^>]*>")
_TEXTS = ("text/", "application/json", "application/xml", "application/xhtml+xml")


class WebGet(BasePlugin):
    """Reads pages; changes nothing anywhere."""

    name = "web_get"
    description = "Reads the text of a web page or JSON document at an http(s) address."
    parameters: ClassVar = {
        "type": "object",
        "properties": {"url": {"type": "string", "description": "address to read"}},
        "required": ["url"],
        "additionalProperties": False,
    }

    def run(self, url: str) -> dict[str, Any]:
        """Return status, type and text of what lies there; redirects are told, not followed."""
        if urlsplit(url).scheme not in {"http", "https"}:
            return {"error": "the address must begin with http:// or https://"}
        try:
            reply = self.http_client.get(url, stream=True, allow_redirects=False)
        except OSError as error:  # also the refusal of a host that is not declared
            return {"error": f"it cannot be read: {type(error).__name__}"}
        with reply:
            kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            told = {"status": reply.status_code, "type": kind}
            if "Location" in reply.headers:
                return {**told, "location": reply.headers["Location"][:1_000]}
            if not kind.startswith(_TEXTS):
                return {**told, "error": "it is no text"}
            raw = reply.raw.read(_BYTES_MAX + 1, decode_content=True)
        text = raw[:_BYTES_MAX].decode(reply.encoding or "utf-8", "replace")
        if kind in {"text/html", "application/xhtml+xml"}:
            text = _plain(text)
        return {
            **told,
            "text": text[:_CHARS_MAX],
            "cut": len(raw) > _BYTES_MAX or len(text) > _CHARS_MAX,
        }


def _plain(page: str) -> str:
    """Return the words of a page, a line for each block."""
    text = unescape(_TAG.sub("", _BREAK.sub("\n", _HIDDEN.sub(" ", page))))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
