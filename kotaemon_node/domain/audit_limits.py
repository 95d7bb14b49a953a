"""What bounds the audit log; beside ``limits``, which has the bounds of all else."""

from typing import Final

# Of one entry. The longest legal names fit; what is longer was chosen by who asks.
AUDIT_TEXT_CHARS_MAX: Final = 256
AUDIT_DETAILS_MAX: Final = 16

# What a process holds while the store is away: ten minutes of 20 acts a second, 10 MB.
AUDIT_WAITING_MAX: Final = 10_000
AUDIT_BATCH_MAX: Final = 500  # entries in one write: 250 kB, 5 ms of the store
AUDIT_GROUP_S: Final = 0.05  # acts of so long are written together
AUDIT_RETRY_S: Final = 0.5  # after a write that failed; doubles
AUDIT_RETRY_S_MAX: Final = 5.0
AUDIT_TRIES_MAX: Final = 50  # of a batch that others were quicker than, before it waits
AUDIT_CONNECTIONS_MAX: Final = 2
AUDIT_LAST_WRITE_S: Final = 3.0  # a process that ends tries for so long to write what waits

# Refusals that are alike count as one entry a minute.
AUDIT_ALIKE_S: Final = 60.0
AUDIT_ALIKE_MAX: Final = 500  # kinds told apart in a minute; the others count together by action

# The newest part of each tenant's log, in Redis.
AUDIT_STORED_MAX: Final = 200_000  # 120 MB: then nobody has moved anything for days
AUDIT_STORED_KEPT: Final = 5_000  # stay there, if they are not too old
AUDIT_MOVED_AFTER_S: Final = 3_600.0  # what is older is moved, however little it is
AUDIT_VOLUME_ENTRIES_MAX: Final = 5_000  # 3 MB before compression
AUDIT_VOLUME_BYTES_MAX: Final = 64 * 1024**2  # unpacked; what is larger nobody of us wrote
AUDIT_SWEEP_S: Final = 10.0
AUDIT_ANCHOR_S: Final = 60.0
AUDIT_RETIRE_S: Final = 3_600.0  # how often is looked for what is too old

# Reading.
AUDIT_PAGE_MAX: Final = 500  # entries in one answer
AUDIT_SCANNED_MAX: Final = 10_000  # looked at for one answer, where few of them fit
AUDIT_FINDINGS_MAX: Final = 1_000  # told of one log; the others are counted
AUDIT_HEADS_MAX: Final = 100_000  # of a chain, from processes' logs: 40 MB
