"""``kotaemon logins``: end what people are logged in with on the page."""

from typing import Annotated

import typer

from kotaemon_node.cli import service
from kotaemon_node.cli.console import err
from kotaemon_node.cli.service import DataOption, KeyOption, UrlOption
from kotaemon_node.domain import limits
from kotaemon_node.local import places

app = typer.Typer(help="Logins on the page: end those of a user, on every device.")

_DATA = places.data_folder()


@app.callback()
def _logins() -> None:
    """Logins on the page: end those of a user, on every device."""


@app.command()
def end(
    user: Annotated[
        str,
        typer.Argument(
            metavar="USER", help="As the audit log and `kotaemon keys list` name them: ann, key:…."
        ),
    ],
    tenant: Annotated[
        str,
        typer.Option(
            help="The user's tenant; administrators of the cluster may name another.",
            show_default="that of your key",
        ),
    ] = "",
    *,
    data: DataOption = _DATA,
    url: UrlOption = "",
    key: KeyOption = "",
) -> None:
    """End all logins of a user; keys and tokens of an issuer still count, and so do new logins."""
    place = service.place_of(url, data, key)
    body = {"user": user} | ({"tenant": tenant} if tenant else {})
    service.ask(place, "POST", "/v1/logins/end", body=body)
    err.print(
        f"All logins of {user} end within {limits.LOGIN_KNOWN_S:.0f} s on every pod. Keys are ended"
        " by `kotaemon keys revoke`, accounts at the issuer there.",
        soft_wrap=True,
    )
