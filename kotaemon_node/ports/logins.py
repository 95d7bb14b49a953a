"""What is asked of the place that knows which logins of the page have ended."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoginMark:
    """By what a login is ended before its time: its own id, or all of a person at once.

    ``stamp`` is what the person's logins had when it was made; ``end_s``: seconds since 1970.
    """

    tenant: str
    subject: str
    id: str
    stamp: str
    end_s: int


class EndedLogins(Protocol):
    """The same for all pods. Every call may raise ``StoreUnavailable``, and may be repeated.

    What has ended is kept until no login lives any more that it could be about.
    """

    def stamp(self, tenant: str, subject: str) -> str:
        """Return what a login of the person has to carry that is made now; "" is one, too."""
        ...

    def ended(self, mark: LoginMark) -> bool:
        """Tell whether the login was ended: itself, or with all of its person."""
        ...

    def end(self, mark: LoginMark, *, left_s: float) -> None:
        """End one login, which would live ``left_s`` longer."""
        ...

    def end_all(self, tenant: str, subject: str) -> None:
        """End every login that the person has; those that they make later count."""
        ...
