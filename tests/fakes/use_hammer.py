"""A process that uses as much as it can, beside others: see ``tests.contract.test_use``.

    python -m tests.fakes.use_hammer hammer|hold REDIS_URL NUMBER

``hammer`` begins when eight of them are there, and prints how much it was let have. ``hold`` says
that it has three streams, and keeps them until it is killed.
"""

import json
import sys
import time

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.use import RedisUse
from kotaemon_node.domain.quotas import Quota
from kotaemon_node.ports.use import OpenStream, User, Wanted

PROCESSES = 8
TRIES = 40
REQUESTS_MAX, TOKENS_MAX, OWN_MAX = 100, 1_000, 60
WANTED = Wanted(requests=1, tokens=9)


def hammer(url: str, number: int) -> None:
    """Try ``TRIES`` times and print what was let in."""
    store = connect(url)
    use, subject = RedisUse(store), f"user{number % 2}"
    quota = Quota(requests_per_minute=OWN_MAX)
    user = User("acme", subject, quota, Quota(REQUESTS_MAX, TOKENS_MAX))
    store.client.incr("ready")
    while int(store.client.get("ready")) < PROCESSES:
        time.sleep(0.01)
    admitted = sum(use.take(user, WANTED).refused is None for _ in range(TRIES))
    print(json.dumps({"subject": subject, "admitted": admitted}))


def hold(url: str) -> None:
    """Open three streams and keep them."""
    use = RedisUse(connect(url), stream_lease_s=1.0)
    user = User("acme", "ann", Quota(streams=3), Quota())
    streams = [OpenStream("acme", "ann", f"s{number}") for number in range(3)]
    for one in streams:
        use.take(user, Wanted(stream=one.stream))
    print("held", flush=True)
    while True:
        use.keep(streams)
        time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1] == "hammer":
        hammer(sys.argv[2], int(sys.argv[3]))
    else:
        hold(sys.argv[2])
