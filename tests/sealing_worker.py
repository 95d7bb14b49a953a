"""A process that seals and opens all the time: ``python -m tests.sealing_worker REDIS FILE NAME``.

It puts values into the list ``load:values`` and opens those of everybody, until there is a key
``load:stop``. ``load:key:NAME`` says with which data key it sealed last; what goes wrong stands in
``load:errors``.
"""

import random
import sys
from pathlib import Path

from kotaemon_node.adapters.redis import RedisDataKeys, connect
from kotaemon_node.adapters.sealing import (
    DataKeyRing,
    MasterKeyLines,
    SealingCipher,
    problem_of_master_key,
)
from kotaemon_node.adapters.system import SecretLines, SystemClock
from kotaemon_node.ports.cipher import SealedPlace


def main(url: str, file: Path, name: str) -> None:
    """Work until it is to stop."""
    store = connect(url)
    masters = MasterKeyLines(SecretLines(file, check=problem_of_master_key))
    cipher = SealingCipher(
        DataKeyRing(RedisDataKeys(store), masters, copies=None, clock=SystemClock())
    )
    client, number = store.client, 0
    while not client.exists("load:stop"):
        number += 1
        try:
            place = SealedPlace("t", "value", session=f"{name}-{number % 20}", turn=str(number))
            sealed = cipher.seal(f"{place.session} {number}".encode(), place)
            client.rpush("load:values", f"{place.session} {number} ".encode() + sealed)
            client.set(f"load:key:{name}", sealed[2:10].hex())
            for raw in (client.lindex("load:values", at) for at in _some(client)):
                _check(cipher, raw)
        except Exception as error:  # noqa: BLE001 - it is what the test is about
            client.rpush("load:errors", f"{name} {number}: {error!r}")


def _some(client: object) -> list[int]:
    length = client.llen("load:values")  # type: ignore[attr-defined]
    return [length - 1, *(random.randrange(length) for _ in range(3))]


def _check(cipher: SealingCipher, raw: bytes) -> None:
    session, number, sealed = raw.split(b" ", 2)
    place = SealedPlace("t", "value", session=session.decode(), turn=number.decode())
    assert cipher.open(sealed, place) == session + b" " + number


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
