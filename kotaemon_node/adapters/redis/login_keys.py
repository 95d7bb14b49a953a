"""The keys of logins that were ended; their schema is that of ``keys``.

Those of a tenant share a slot: what a login is judged by is read in one trip.
"""

import hashlib


def ended(tenant: str, login_id: str) -> str:
    """Return the key of a login that was ended by itself. String."""
    return f"kn:{{logins:{tenant}}}:ended:{login_id}"


def stamp(tenant: str, subject: str) -> str:
    """Return the key of what a person's logins have to carry. String.

    A subject is told by a digest, as where its use is counted: an issuer says what it may be.
    """
    digest = hashlib.sha256(subject.encode()).hexdigest()[:24]
    return f"kn:{{logins:{tenant}}}:stamp:{digest}"
