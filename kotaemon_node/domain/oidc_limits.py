"""Bounds of what has to do with issuers of tokens."""

from typing import Final

ISSUERS_MAX: Final = 16
OIDC_FILE_BYTES_MAX: Final = 256 * 1024
TOKEN_CHARS_MAX: Final = 7_500  # gunicorn takes 8190 bytes of one header, its name among them
SUBJECT_CHARS_MAX: Final = 128

ISSUER_TIMEOUT_S: Final = 5.0  # one request; only the resolver's own times may be longer
ISSUER_ANSWER_BYTES_MAX: Final = 256 * 1024  # the largest key sets in use have some 20 KiB
ISSUER_KEYS_MAX: Final = 64
RSA_BITS_MIN: Final = 2048

KEYS_S_DEFAULT: Final = 300  # a key that an issuer took back counts no longer than this
KEYS_STALE_S_DEFAULT: Final = 3600  # while the issuer is away
UNKNOWN_KEY_S: Final = 10.0  # an issuer is asked for a key that nobody knows this often at most
ISSUER_FAILED_S: Final = 2.0  # for so long after a failure nobody asks it again
ISSUER_WAIT_S: Final = 1.0  # so long a request waits at most while its keys are read again
ISSUER_FIRST_WAIT_S: Final = 3.0  # and where nothing is known of it yet
CODES_AT_ONCE_MAX: Final = 16  # of one issuer and process; each may take ISSUER_TIMEOUT_S

LOGIN_FLOW_S: Final = 600  # from leaving for the issuer to coming back
OIDC_LOGIN_S: Final = 8 * 3600  # roles are read at the login: longer, they would be old
