"""`afterglow user`, `policy` and `worklist`: who works here, what the clinic signed, what there is to do.

The operator of the machine makes people; whatever else a person does needs that person's own login. Passwords and codes
are asked for, never taken from the command line. The store is imported inside each command, as in `cli.upkeep`.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from afterglow.cli.output import console, print_table
from afterglow.errors import InputError, NotFound

if TYPE_CHECKING:
    from afterglow.clinic import Role
    from afterglow.store.records import Store
    from afterglow.usecases.desk import Desk
    from afterglow.usecases.passes import Issued

user_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="People and their logins.")
policy_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The clinic's thresholds, drafted and signed."
)

Login = Annotated[str, typer.Argument(metavar="LOGIN", help="Of the person.", show_default=False)]
Own = Annotated[str, typer.Option("--login", metavar="LOGIN", help="Your own; you are asked to prove it.")]
Roles = Annotated[list[str], typer.Option("--role", metavar="ROLE", help="One or several; see 'afterglow user roles'.")]


@user_app.command("add")
def add_command(
    login: Login,
    name: Annotated[str, typer.Option("--name", help="The person's name, as colleagues know it.")],
    role: Roles,
) -> None:
    """A new person; prints the token with which the person sets up the login, once.

    Example: afterglow user add ada --name "Ada Admin" --role administrator
    """
    from afterglow.usecases.people import add_person

    with operator() as desk:
        _show_token(login, add_person(desk, login, name=name, roles=roles_named(role)))


@user_app.command("roles")
def roles_command() -> None:
    """The roles that a person may have."""
    from afterglow.usecases.people import LOGIN_ROLES

    for role in LOGIN_ROLES:
        console().print(role)


@user_app.command("set-roles")
def set_roles_command(login: Login, role: Roles) -> None:
    """Other roles for a person; they count at once."""
    from afterglow.usecases.people import set_roles

    with operator() as desk:
        set_roles(desk, login, roles=roles_named(role), version=_version(desk, login))
    console().print(f"{login} is now: {', '.join(role)}.")


@user_app.command("set-up")
def set_up_command() -> None:
    """Set up your own login with the token you were given: a password, a code generator, recovery codes."""
    from afterglow.usecases.login import begin_set_up, finish_set_up

    with _store() as store:
        token = typer.prompt("Token", hide_input=True)
        begun = begin_set_up(store, token)
        out = console()
        out.print(f"Login: {begun.login}")
        out.print("Enter this secret, or this address as a QR code, into a code generator (an authenticator app):")
        out.print(begun.secret)
        out.print(begun.address, soft_wrap=True)
        password = typer.prompt("A new password", hide_input=True, confirmation_prompt=True)
        code = typer.prompt("The code it shows now", hide_input=True)
        codes = finish_set_up(store, token, password=password, secret=begun.secret, code=code)
    out.print("Each of these stands for a code once, if you lose the generator. Keep them on paper:")
    for each in codes:
        out.print(" ".join(each[i : i + 4] for i in range(0, len(each), 4)))


@user_app.command("list")
def list_command() -> None:
    """Who works here or did."""
    from afterglow.usecases.people import list_people

    with operator() as desk:
        found = list_people(desk).shown
    rows = [
        [each.login, each.name, ", ".join(each.roles), "" if each.left_at is None else f"left {each.left_at:%Y-%m-%d}"]
        for each, _ in found
    ]
    print_table(console(), ["Login", "Name", "Roles", ""], rows)


@user_app.command("leave")
def leave_command(login: Login) -> None:
    """Somebody leaves: credentials, sessions and tokens end; what they did stays theirs."""
    from afterglow.usecases.people import leave

    with operator() as desk:
        leave(desk, login, version=_version(desk, login))
    console().print(f"{login} has left.")


@user_app.command("reset")
def reset_command(login: Login) -> None:
    """A new set-up for somebody who lost password, phone and recovery codes; what they had holds no more."""
    from afterglow.usecases.people import reset

    with operator() as desk:
        _show_token(login, reset(desk, login, version=_version(desk, login)))


@policy_app.command("draft")
def draft_command(
    setting: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Settings to change.")],
    login: Own,
) -> None:
    """Draft the next version of the clinic's policy: changes on top of the newest.

    Example: afterglow policy draft S013.spo2_below=95 --login mira
    """
    from afterglow.usecases.policies import draft

    with person(login) as desk:
        made = draft(desk, _changes(setting))
    console().print(f"Version {made.id.removeprefix('v')} is a draft; the medical director signs it.")


@policy_app.command("sign")
def sign_command(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A draft.", show_default=False)],
    login: Own,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="In force from then, UTC; now if not said.")
    ] = None,
) -> None:
    """Sign a draft as medical director; sessions from then on run under it.

    Example: afterglow policy sign 2 --login mira
    """
    from afterglow.usecases.policies import sign

    at = None if since is None else _time(since)
    with person(login) as desk:
        sign(desk, version, effective_from=at)
    console().print(f"Version {version} is signed.")


@policy_app.command("list")
def policies_command(login: Own) -> None:
    """Every version of the policy, with who drafted and who signed it."""
    from afterglow.usecases.policies import list_policies

    with person(login) as desk:
        found = list_policies(desk).shown
    rows = [
        [
            str(each.version),
            "demo" if each.demo else each.drafted_by,
            each.signed_by or "not signed",
            "" if each.effective_from is None else f"{each.effective_from:%Y-%m-%d %H:%M} UTC",
            ", ".join(f"{name}={value}" for name, value in each.values),
        ]
        for each in found
    ]
    print_table(console(), ["Version", "Drafted by", "Signed by", "From", "Differs from the defaults in"], rows)


@policy_app.command("show")
def show_command(
    login: Own,
    version: Annotated[int | None, typer.Option("--version", help="In force if not said.")] = None,
) -> None:
    """Each setting of a version, with its default."""
    from afterglow.usecases.policies import read_policy

    with person(login) as desk:
        found = read_policy(desk, version).shown
    rows = [
        [each.name, str(each.value), "" if each.value == each.default else str(each.default), each.unit or ""]
        for each in found
    ]
    print_table(console(), ["Setting", "Value", "Default, where it differs", "Unit"], rows)


def worklist_command(
    login: Own,
    owner: Annotated[str | None, typer.Option("--owner", metavar="ROLE", help="Only what this role owns.")] = None,
) -> None:
    """What there is to do in the clinic, most pressing first.

    Example: afterglow worklist --login nora
    """
    from afterglow.usecases.worklists import read_worklist

    with person(login) as desk:
        lines = read_worklist(desk, owner=None if owner is None else _role(owner)).shown
    rows = [
        [
            each.item.priority,
            "now" if each.item.due_at is None else f"{each.item.due_at:%Y-%m-%d %H:%M}",
            "overdue" if each.item.overdue else "",
            each.name,
            each.item.text,
            each.item.owner.replace("_", " "),
        ]
        for each in lines
    ]
    print_table(console(), ["Priority", "Due (UTC)", "", "Patient", "What", "Owner"], rows)


@contextmanager
def _store() -> Iterator[Store]:
    from afterglow.settings import read_settings
    from afterglow.usecases.upkeep import opened

    with opened(read_settings()) as store:
        yield store


@contextmanager
def operator() -> Iterator[Desk]:
    """The desk of whoever may run this machine: makes people, sees no patient."""
    from afterglow.clinic import Role
    from afterglow.settings import read_settings
    from afterglow.usecases.desk import Desk
    from afterglow.usecases.work import Actor

    clinic = read_settings().clinic
    who = f"shell:{getpass.getuser()}"[:64]
    with _store() as store:
        if not any(each.id == clinic for each in store.clinics()):
            raise NotFound("There is no such clinic", observed=clinic, next_step="Set AFTERGLOW_CLINIC")
        yield Desk(store=store, actor=Actor(person_id=who, roles=(Role.ADMINISTRATOR,), clinic_id=clinic))


@contextmanager
def person(login: str) -> Iterator[Desk]:
    """The desk of a person who gives password and code now; no session is left behind."""
    from afterglow.settings import read_settings
    from afterglow.usecases.desk import Desk
    from afterglow.usecases.login import Proof, countersign

    with _store() as store:
        password = typer.prompt("Password", hide_input=True)
        code = typer.prompt("Code", hide_input=True)
        proof = Proof(login=login, password=password, code=code, address="shell")
        yield Desk(store=store, actor=countersign(store, read_settings().clinic, proof))


def _show_token(login: str, issued: Issued) -> None:
    out = console()
    out.print(
        f"{login} sets up the login by {issued.expires_at:%Y-%m-%d %H:%M} UTC with 'afterglow user set-up' and this"
    )
    out.print("token, which is shown once and is for nobody else:")
    out.print(issued.token, soft_wrap=True)


def _version(desk: Desk, login: str) -> int:
    from afterglow.usecases.people import list_people

    for person, version in list_people(desk).shown:
        if person.login == login:
            return version
    raise NotFound("Nobody has this login", observed=repr(login), next_step="See 'afterglow user list'")


def roles_named(names: list[str]) -> tuple[Role, ...]:
    """Roles as typed."""
    return tuple(map(_role, names))


def _role(name: str) -> Role:
    from afterglow.clinic import Role

    try:
        return Role(name.strip().lower().replace("-", "_").replace(" ", "_"))
    except ValueError:
        raise InputError("There is no such role", observed=repr(name), next_step="See 'afterglow user roles'") from None


def _changes(settings: list[str]) -> dict[str, bool | float | str | tuple[float, ...]]:
    from afterglow.usecases.policies import setting_value

    found: dict[str, bool | float | str | tuple[float, ...]] = {}
    for each in settings:
        name, equals, text = each.partition("=")
        if not equals or not text.strip():
            raise InputError("A setting is NAME=VALUE", observed=repr(each), allowed="as in S013.spo2_below=95")
        found[name.strip()] = setting_value(text)
    return found


def _time(text: str) -> datetime:
    refused = InputError("The time is refused", observed=repr(text), allowed="with its zone, as 2026-01-05T09:00Z")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise refused from None
    if at.tzinfo is None:
        raise refused
    return at.astimezone(UTC)
