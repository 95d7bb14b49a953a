"""Where each artifact lies in the artifact store; the only place that spells these names.

Everything of a tenant is below ``tenants/<tenant>/``, so that one prefix is one tenant's data; that
there is one stands elsewhere.
"""

import hashlib
from typing import Final

SESSION_BUCKETS: Final = 256
ARCHIVE_TENANTS_PREFIX: Final = "archive/tenants/"
"""Before the name of each tenant that has, or had, archived sessions."""

_HEX: Final = frozenset("0123456789abcdef")


def knowledge_base_prefix(tenant: str, kb: str) -> str:
    """Return the prefix of all that belongs to a knowledge base."""
    return f"tenants/{tenant}/kb/{kb}/"


def knowledge_bases_prefix(tenant: str) -> str:
    """Return the prefix of all knowledge bases of a tenant."""
    return f"tenants/{tenant}/kb/"


def manifest_name(tenant: str, kb: str, generation: int) -> str:
    """Return the name of a generation's manifest; the padding keeps a listing in order."""
    return f"{knowledge_base_prefix(tenant, kb)}manifests/{generation:010d}.json"


def is_manifest(name: str) -> bool:
    """Tell whether ``manifest_name`` made this name."""
    return name.endswith(".json") and "/manifests/" in name


def segment_file_name(tenant: str, kb: str, segment: str, file: str) -> str:
    """Return the name of one file of a segment."""
    return f"{knowledge_base_prefix(tenant, kb)}segments/{segment}/{file}"


def redacted_name(tenant: str, kb: str, generation: int, *, by: int) -> str:
    """Return the name of what a purge, which made generation ``by``, left of a manifest."""
    return f"{redacted_prefix(tenant, kb, generation)}{by:010d}.json"


def redacted_prefix(tenant: str, kb: str, generation: int) -> str:
    """Return the prefix of what purges left of a manifest, one after the other."""
    return f"{knowledge_base_prefix(tenant, kb)}redacted/{generation:010d}."


def withdrawal_name(tenant: str, kb: str, document_part: str, *, below: int) -> str:
    """Return the name of a withdrawal: citations of a document in generations below ``below``."""
    return f"{withdrawal_prefix(tenant, kb, document_part)}{below:010d}.json"


def withdrawal_prefix(tenant: str, kb: str, document_part: str) -> str:
    """Return the prefix of a document revision's withdrawals (``knowledge.document_id``)."""
    return f"{knowledge_base_prefix(tenant, kb)}withdrawn/{document_part}."


def held_prefix(tenant: str, kb: str) -> str:
    """Return the prefix of the note about a build that the gate holds; there is one at most."""
    return f"{knowledge_base_prefix(tenant, kb)}held/"


def building_prefix(tenant: str, kb: str) -> str:
    """Return the prefix of what leader and build workers hand to each other; nothing stays."""
    return f"{knowledge_base_prefix(tenant, kb)}building/"


def text_name(tenant: str, kb: str, text: str) -> str:
    """Return the name of the canonical text (UTF-8) whose sha256 is ``text``."""
    return f"{knowledge_base_prefix(tenant, kb)}texts/{text}.txt"


def uploads_prefix(tenant: str) -> str:
    """Return the prefix of uploads that are not yet in the knowledge folder."""
    return f"tenants/{tenant}/uploads/"


def upload_name(tenant: str, job: str, revision: str) -> str:
    """Return the name of what was uploaded for a job; ``revision`` is the sha256 (hex) of it.

    Each job has its own, so that one that ends takes nothing away from another of the same bytes.
    """
    return f"{uploads_prefix(tenant)}{job}/{revision}"


def job_of_upload(tenant: str, name: str) -> str:
    """Return the job that a name below ``uploads_prefix`` was made for."""
    return name.removeprefix(uploads_prefix(tenant)).partition("/")[0]


def uploaded_revision(name: str) -> str | None:
    """Return the revision in a name that ``upload_name`` made, None for any other name."""
    steps = name.split("/")
    made = len(steps) == 5 and (steps[0], steps[2]) == ("tenants", "uploads")
    revision = steps[-1]
    return revision if made and len(revision) == 64 and set(revision) <= _HEX else None


def bundles_prefix(tenant: str) -> str:
    """Return the prefix of the bundles of plugins."""
    return f"tenants/{tenant}/plugins/"


def bundle_name(tenant: str, digest: str) -> str:
    """Return the name of the bundle whose sha256 (hex) is ``digest``."""
    return f"{bundles_prefix(tenant)}{digest}"


def bundle_digest(name: str) -> str | None:
    """Return the digest in a name that ``bundle_name`` made, None for any other name."""
    steps = name.split("/")
    made = len(steps) == 4 and (steps[0], steps[2]) == ("tenants", "plugins")
    digest = steps[-1]
    return digest if made and len(digest) == 64 and set(digest) <= _HEX else None


def session_copies_prefix(tenant: str, session_id: str) -> str:
    """Return the prefix of a session's archived copies (``session_copy``).

    Ids are chosen by clients and may say whose they are, so the name holds a digest alone.
    """
    digest = hashlib.sha256(session_id.encode()).hexdigest()[:32]
    return f"{session_bucket_prefix(tenant, int(digest[:2], 16))}{digest}/"


def session_bucket_prefix(tenant: str, bucket: int) -> str:
    """Return the prefix of one of ``SESSION_BUCKETS`` equal parts of a tenant's archive."""
    return f"tenants/{tenant}/sessions/{bucket:02x}/"
