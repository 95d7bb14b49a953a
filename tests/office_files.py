"""Small Office documents and archives, made on the fly; what libraries cannot write, in XML."""

import io
import zipfile
from collections.abc import Mapping

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
WORD_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def archive(members: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in members.items():
            into.writestr(name, content)
    return file.getvalue()


def office(main: str, content_type: str, parts: Mapping[str, bytes] | None = None) -> bytes:
    """Return an Office document whose main part is ``main``."""
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Override PartName="/{main}" ContentType="{content_type}"/></Types>'
    )
    return archive(
        {
            "[Content_Types].xml": types.encode(),
            "_rels/.rels": relationships({"officeDocument": main}),
            main: b"<x/>",
            **(parts or {}),
        }
    )


def relationships(targets: Mapping[str, str]) -> bytes:
    """Return a part of relationships, by kind; the ids are rId1 and so on."""
    rows = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets.items(), 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{rows}</Relationships>'.encode()


def docx(body: str, parts: Mapping[str, str] | None = None, *, before: str = "") -> bytes:
    """Return a Word document; ``parts`` are XML by the kind of their relationship ("styles")."""
    xml = f'{before}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    named = parts or {}
    return office(
        "word/document.xml",
        WORD_TYPE,
        {
            "word/document.xml": xml.encode(),
            "word/_rels/document.xml.rels": relationships({it: f"{it}.xml" for it in named}),
            **{
                f"word/{kind}.xml": f'<w:{kind} xmlns:w="{WORD}">{inside}</w:{kind}>'.encode()
                for kind, inside in named.items()
            },
        },
    )
