"""The bounds of seals and of the keys behind them, with units in their names and reasons beside."""

from typing import Final

DATA_KEYS_KNOWN_S: Final = 5.0  # a pod knows of a key, or of its end, within this time
SEALING_TENANTS_MAX: Final = 4_096  # whose keys a process has open: about 1 kB each
SEALING_SUBKEYS_MAX: Final = 8_192  # of sessions in use: 1 kB each; deriving one takes 10 µs
DATA_KEYS_GONE_MAX: Final = 256  # ids that were looked for in vain, of a tenant
DATA_KEYS_MAX: Final = 64  # of a tenant: of a quarter each, those of sixteen years
SEALED_ELSEWHERE_S: Final = 5.0  # until a pod tries a turn again that it could not open
SEALED_ELSEWHERE_TURNS_MAX: Final = 1_000  # that a pod remembers so; any other it tries at a sweep
