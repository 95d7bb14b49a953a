"""The key pair of a cluster on one machine, made at its first start."""

from contextlib import suppress
from pathlib import Path

from kotaemon_node.adapters.signing import create_signing_key, read_signing_key, read_trusted_keys
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.settings import Settings


def settle(folder: DataFolder, settings: Settings) -> dict[str, str]:
    """Return ``SIGNING_KEY_FILE`` and ``TRUSTED_KEYS`` for every process of the cluster.

    The key is that of the environment or else of the data folder, where one is made if there is
    none. It is trusted beside the keys that the environment names. ``LocalError`` where one cannot
    be used.
    """
    try:
        path = (settings.signing_key_file or _own(folder)).absolute()
        signer = read_signing_key(path)
        read_trusted_keys(settings.trusted_keys)
    except (ValueError, OSError) as error:
        raise LocalError(f"The signing keys cannot be used: {error}.") from error
    trusted = ",".join(filter(None, (signer.public_key, settings.trusted_keys)))
    return {"SIGNING_KEY_FILE": str(path), "TRUSTED_KEYS": trusted}


def _own(folder: DataFolder) -> Path:
    path = folder.path / "keys" / "signing.pem"
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o700)
    with suppress(FileExistsError):
        create_signing_key(path)
    return path
