"""`afterglow token`: what a script or another system shows the API. The store is imported inside each command."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from afterglow.cli.clinic import operator, person, roles_named
from afterglow.cli.output import console, print_table
from afterglow.errors import InputError

if TYPE_CHECKING:
    from afterglow.usecases.passes import Issued

token_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Tokens of the API.")

Only = Annotated[
    list[str], typer.Option("--for", metavar="WHAT", help="A use case or a group of them; one or several.")
]


@token_app.command("add")
def add_command(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is used for.", show_default=False)],
    only: Only,
    login: Annotated[str | None, typer.Option("--login", metavar="LOGIN", help="Your own; you prove it.")] = None,
    service: Annotated[str | None, typer.Option("--service", metavar="LOGIN", help="A service's.")] = None,
    days: Annotated[float, typer.Option("--days", help="How long it holds; 366 at most.")] = 90.0,
) -> None:
    """A new token, shown once: your own, with your roles at most, or a service's.

    Example: afterglow token add "score import" --service ward-system --for measures --for patients.find
    """
    from afterglow.usecases import permissions  # noqa: F401  every use case is known from here on
    from afterglow.usecases.passes import issue_token
    from afterglow.usecases.people import issue_service_token

    if (login is None) == (service is None):
        raise InputError("A token is somebody's", allowed="--login with your own, or --service", about="login")
    if service is not None:
        with operator() as desk:
            _show(issue_service_token(desk, service, label, only=only, days=days))
    if login is not None:
        with person(login) as desk:
            _show(issue_token(desk, label, only=only, days=days))


@token_app.command("add-service")
def add_service_command(
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="As the records name it.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="As colleagues know it.")],
    role: Annotated[list[str], typer.Option("--role", metavar="ROLE", help="See 'afterglow user roles'.")],
) -> None:
    """Another system that works here by tokens alone; it ends with 'afterglow user leave'.

    Example: afterglow token add-service ward-system --name "Ward system" --role nurse
    """
    from afterglow.usecases.people import add_service

    with operator() as desk:
        add_service(desk, login, name=name, roles=roles_named(role))
    console().print(f"{login} may be given tokens: 'afterglow token add LABEL --service {login} --for WHAT'.")


@token_app.command("list")
def list_command() -> None:
    """Tokens and room screens: whose, what for, and until when."""
    from afterglow.usecases.passes import PassKind, list_devices

    with operator() as desk:
        found, now = list_devices(desk).shown, desk.store.clock()
    rows = [
        [
            each.id,
            each.person_id or each.kind.value,
            each.label,
            ", ".join(each.only),
            f"{each.expires_at:%Y-%m-%d}" if each.holds(now) else "ended",
        ]
        for each in found
        if each.kind in {PassKind.TOKEN, PassKind.ROOM}
    ]
    print_table(console(), ["Token", "Whose", "Label", "For", "Until"], rows)


@token_app.command("revoke")
def revoke_command(
    token: Annotated[str, typer.Argument(metavar="ID", help="See 'afterglow token list'.", show_default=False)],
) -> None:
    """Take a token back; it holds no more from now on."""
    from afterglow.usecases.passes import revoke_device

    with operator() as desk:
        revoke_device(desk, token)
    console().print(f"{token} holds no more.")


def _show(issued: Issued) -> None:
    out = console()
    out.print(f"Token {issued.id} holds until {issued.expires_at:%Y-%m-%d %H:%M} UTC. It is shown once:")
    out.print(issued.token, soft_wrap=True)
