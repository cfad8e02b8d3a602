"""`afterglow messages`: where alerts go, and sending what waits. The store is imported inside each command."""
# ruff: noqa: PLC0415

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from afterglow.cli.clinic import operator
from afterglow.cli.output import console
from afterglow.errors import InputError

messages_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Where alerts go, and sending them.")


class Owner(StrEnum):
    """Roles that own alerts."""

    NURSE = "nurse"
    PRESCRIBER = "prescriber"
    MEDICAL_DIRECTOR = "medical_director"


class Way(StrEnum):
    """Ways out."""

    EMAIL = "email"
    WEBHOOK = "webhook"


Role = Annotated[Owner, typer.Argument(metavar="ROLE", help=f"{', '.join(Owner)}.", show_default=False)]


@messages_app.command("route")
def route_command(
    role: Role,
    way: Annotated[Way, typer.Argument(metavar="WAY", help=f"{', '.join(Way)}.", show_default=False)],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="A mail or web address.", show_default=False)],
) -> None:
    """Say where alerts of a role are to go; a code is sent there, which 'confirm' asks for.

    Example: afterglow messages route prescriber email doctor@clinic.example
    """
    from afterglow.clinic import Role as ClinicRole
    from afterglow.usecases.messages import Channel, set_route

    with operator() as desk:
        set_route(desk, ClinicRole(role), Channel(way), address)
    out = console()
    out.print(f"A code waits to be sent there. Until 'afterglow messages confirm {role}', alerts do not go there.")
    _print_way(out)


@messages_app.command("confirm")
def confirm_command(role: Role) -> None:
    """Give back the code that arrived; alerts of the role go there from now on."""
    from afterglow.clinic import Role as ClinicRole
    from afterglow.usecases.messages import confirm_route

    code = typer.prompt("The code that arrived", hide_input=True)
    with operator() as desk:
        if confirm_route(desk, ClinicRole(role), code).state != "confirmed":
            raise InputError("This is not the code that was sent", next_step="Give the code of the latest message")
    console().print(f"Alerts for the role {role} go there from now on.")


@messages_app.command("send")
def send_command() -> None:
    """Send what waits in every clinic, and pass on alerts whose time is over; run it every minute.

    It needs AFTERGLOW_SMTP_HOST and AFTERGLOW_MAIL_FROM, or AFTERGLOW_WEBHOOK_SECRET.
    """
    from afterglow.settings import read_settings
    from afterglow.usecases.post import run_due
    from afterglow.usecases.upkeep import opened

    settings = read_settings()
    with opened(settings) as store:
        escalated, sent = run_due(store, settings)
    out = console()
    out.print(f"{sent} messages sent, {escalated} alerts passed on.")
    if not sent:
        _print_way(out)


def _print_way(out: Console) -> None:
    """That nothing can leave, where no way out is set; what waits is in the outbox and is tried again."""
    from afterglow.settings import read_settings

    settings = read_settings()
    if settings.smtp_host is None and settings.webhook_secret is None:
        out.print("No way out is set, so nothing leaves: set AFTERGLOW_SMTP_HOST and AFTERGLOW_MAIL_FROM.")
