"""Uploads that are no forms, or forms made to hurt; and every public string as a file's name."""

from collections.abc import Iterator, Mapping, Sequence

from load.bad_input.doors import Caller, Said, Tried

PATH = "/v1/knowledge/default/documents"
_BOUNDARY = "b0undary"
_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"
_END = f"--{_BOUNDARY}--\r\n".encode()


def part(content: bytes, *, name: str = "file", filename: str | None = "a.md") -> bytes:
    """Return one part of a form."""
    named = "" if filename is None else f'; filename="{_quoted(filename)}"'
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def hostile() -> Mapping[str, tuple[str, bytes]]:
    """Return content type and body of forms that must be refused, by what is wrong with them."""
    whole = part(b"A lamp.") + _END
    return {
        "cut in the head": (_TYPE, whole[:40]),
        "cut in the content": (_TYPE, part(b"A lamp.")[:-6]),
        "no end": (_TYPE, part(b"A lamp.")),
        "no boundary": ("multipart/form-data", whole),
        "an empty boundary": ('multipart/form-data; boundary=""', whole),
        "another boundary": ("multipart/form-data; boundary=other", whole),
        "a boundary of 5,000": (f"multipart/form-data; boundary={'b' * 5_000}", whole),
        "a boundary of letters": ("multipart/form-data; boundary=é", whole),
        "not a form": ("text/plain", b"A lamp."),
        "nothing": (_TYPE, b""),
        "only an end": (_TYPE, _END),
        "5,000 parts": (_TYPE, part(b"x", name="f", filename=None) * 5_000 + _END),
        "5,000 files": (_TYPE, part(b"x") * 5_000 + _END),
        "a head of 2 MB": (_TYPE, part(b"x", name="n" * 2_000_000) + _END),
        "a field of 1 MB": (_TYPE, part(b"x" * 1_000_000, name="path", filename=None) + _END),
        "a path without a file": (_TYPE, part(b"a.md", name="path", filename=None) + _END),
        "a path that is no UTF-8": (
            _TYPE,
            part(b"\xff.md", name="path", filename=None) + part(b"x") + _END,
        ),
        "a climbing path": (
            _TYPE,
            part(b"../../etc/a.md", name="path", filename=None) + part(b"x") + _END,
        ),
        "a path with NUL": (
            _TYPE,
            part(b"a\0.md", name="path", filename=None) + part(b"x") + _END,
        ),
        "a name of 5,000": (_TYPE, part(b"x", filename="n" * 5_000 + ".md") + _END),
        "no name to a part": (
            _TYPE,
            f"--{_BOUNDARY}\r\n\r\nA lamp.\r\n".encode() + _END,
        ),
        "a program": (_TYPE, part(b"\x7fELF", filename="a.exe") + _END),
    }


def try_forms(caller: Caller) -> Tried:
    """Send all of them."""
    tried = Tried()
    for name, (media_type, body) in hostile().items():
        said = caller.ask("POST", PATH, body=body, Content_Type=media_type)
        tried.statuses[said.status] += 1
        if said.status not in range(400, 500) or b'"error"' not in said.body:
            tried.faults.append(f"{name}: {said.status} {said.body[:200]!r}")
    return tried


def try_names(caller: Caller, names: Sequence[str]) -> Tried:
    """Upload a file under each name, as its own name and as its path."""
    tried = Tried()
    for name in names:
        for said in _uploads(caller, f"{name}.md"):
            tried.statuses[said.status] += 1
            if fault := _fault(said):
                tried.faults.append(f"{name[:200]!r}: {fault}")
    return tried


def _uploads(caller: Caller, name: str) -> Iterator[Said]:
    for body in (
        part(b"A lamp.", filename=name),
        part(name.encode(), name="path", filename=None) + part(b"A lamp."),
    ):
        yield caller.ask("POST", PATH, body=body + _END, Content_Type=_TYPE)


def _fault(said: Said) -> str:
    if said.status not in {202, 400, 413, 422, 429}:
        return f"{said.status} {said.body[:200]!r}"
    if said.status != 202:
        return ""
    document = said.body.partition(b'"document":"')[2].partition(b'","')[0].decode()
    pieces = document.split("/")
    climbs = ".." in pieces or "" in pieces or "." in pieces or "\0" in document
    return f"it is stored as {document!r}" if climbs else ""


def _quoted(name: str) -> str:
    # As browsers do it.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
