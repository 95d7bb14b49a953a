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


def text_name(tenant: str, kb: str, text: str) -> str:
    """Return the name of the canonical text (UTF-8) whose sha256 is ``text``."""
    return f"{knowledge_base_prefix(tenant, kb)}texts/{text}.txt"
