"""Where each artifact lies in the artifact store; the only place that spells these names.

Everything of a tenant is below ``tenants/<tenant>/``, so that one prefix is one tenant's data.
"""


def knowledge_base_prefix(tenant: str, kb: str) -> str:
    """Return the prefix of all that belongs to a knowledge base."""
    return f"tenants/{tenant}/kb/{kb}/"


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


def text_name(tenant: str, kb: str, text: str) -> str:
    """Return the name of the canonical text (UTF-8) whose sha256 is ``text``."""
    return f"{knowledge_base_prefix(tenant, kb)}texts/{text}.txt"
