"""``kotaemon signing-key``: the key pairs with which generations are signed and checked."""

from pathlib import Path
from typing import Annotated

import typer

from kotaemon_node.adapters.signing import create_signing_key, public_key_of
from kotaemon_node.cli.console import err
from kotaemon_node.local.errors import LocalError

app = typer.Typer(help="Signing keys: who may say what the pods know.")


@app.callback()
def _signing_key() -> None:
    """Signing keys: who may say what the pods know."""


@app.command()
def create(
    path: Annotated[Path, typer.Argument(help="New file for the private key.")],
) -> None:
    """Make a key pair: the private key goes into a file, the public key is printed."""
    try:
        public = create_signing_key(path.expanduser())
    except FileExistsError as error:
        raise LocalError(f"{path} exists; a key is never replaced.") from error
    except OSError as error:
        raise LocalError(f"{path} cannot be written: {error.strerror or error}.") from error
    err.print(
        f"The private key is in {path}: the SIGNING_KEY_FILE of the coordinator alone."
        " The line below goes into TRUSTED_KEYS of everybody.",
        soft_wrap=True,
    )
    print(public)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(help="File of a private key.")],
) -> None:
    """Print the public key that belongs to a private one."""
    try:
        print(public_key_of(path.expanduser()))
    except (ValueError, OSError) as error:
        raise LocalError(f"{error}.") from error
