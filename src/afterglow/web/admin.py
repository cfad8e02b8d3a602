"""Administration: people, tokens, messages, thresholds, the audit trail, backups, and what runs here.

Nothing of a patient stands on these pages but ids in the audit trail, which compliance alone reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from afterglow.clinic import Role, SitePolicy, policy_settings
from afterglow.errors import AfterglowError, InputError, NotFound, SignAgain
from afterglow.usecases import people
from afterglow.usecases.desk import CATALOGUE, Desk, check_permitted
from afterglow.usecases.messages import OWNERS, Channel, confirm_route, list_messages, retry, set_route
from afterglow.usecases.oversight import read_about, read_safekeeping
from afterglow.usecases.passes import Issued, PassKind, list_devices, revoke_device
from afterglow.usecases.people import LOGIN_ROLES, Person
from afterglow.usecases.policies import discard, draft, in_force, list_policies, setting_value, sign
from afterglow.web.pages import ADMIN, PageRoute, clinic_of, desk_of, may, page, status_of
from afterglow.web.typed import local_time

router = APIRouter(route_class=PageRoute, prefix="/admin")
Text = Annotated[str, Form()]
Texts = Annotated[Sequence[str], Form()]
Number = Annotated[int, Form()]
W = TypeVar("W", Role, Channel)


@router.get("")
def begin(request: Request) -> Response:
    """The first of these pages that is somebody's."""
    actor = desk_of(request).actor
    return RedirectResponse(next((to for to, _, name in ADMIN if may(actor, name)), "/"), status_code=303)


@router.get("/people")
def show_people(request: Request) -> Response:
    """Who works here or did, and the form for somebody new."""
    return _people(request, _permitted(request, "people.add"))


@router.post("/people")
def add(request: Request, login: Text = "", name: Text = "", roles: Texts = ()) -> Response:
    """Somebody new; the token for the set-up is shown once."""
    desk = _permitted(request, "people.add")
    try:
        issued = people.add_person(desk, login, name=name, roles=_roles(roles))
    except AfterglowError as refused:
        return _people(request, desk, refused=refused, typed={"login": login, "name": name, "roles": roles})
    return _people(request, desk, issued=issued, of=login.strip().lower())


@router.get("/people/{login}")
def show_person(request: Request, login: str) -> Response:
    """One person: roles, set-up, sessions, leaving."""
    return _person(request, _permitted(request, "people.add"), login)


@router.post("/people/{login}/{act}")
def change(request: Request, login: str, act: str, version: Number, roles: Texts = ()) -> Response:
    """Other roles, a new set-up, sessions ended, or leaving."""
    desk = _permitted(request, "people.add")
    if act not in {"roles", "reset", "sessions", "leave"}:
        raise NotFound("There is no such form")
    issued = None
    try:
        if act == "roles":
            people.set_roles(desk, login, roles=_roles(roles), version=version)
        elif act == "reset":
            issued = people.reset(desk, login, version=version)
        elif act == "sessions":
            people.end_sessions_of(desk, login)
        else:
            people.leave(desk, login, version=version)
    except AfterglowError as refused:
        return _person(request, desk, login, refused=refused, act=act)
    if issued is not None:
        return _person(request, desk, login, issued=issued)
    return RedirectResponse(f"/admin/people/{login}?done={act}", status_code=303)


@router.get("/tokens")
def show_tokens(request: Request) -> Response:
    """API tokens and unused set-ups, and who may have a token."""
    return _tokens(request, desk_of(request))


@router.post("/tokens/service")
def add_service(request: Request, login: Text = "", name: Text = "", roles: Texts = ()) -> Response:
    """Another system that works here by tokens."""
    desk = _permitted(request, "people.add_service")
    try:
        people.add_service(desk, login, name=name, roles=_roles(roles))
    except AfterglowError as refused:
        typed = {"login": login, "name": name, "roles": roles}
        return _tokens(request, desk, refused=refused, form="service", typed=typed)
    return RedirectResponse("/admin/tokens#token", status_code=303)


@router.post("/tokens")
def issue(request: Request, login: Text = "", label: Text = "", only: Texts = (), days: Text = "90") -> Response:
    """A token of a service, shown once."""
    desk = _permitted(request, "people.issue_token")
    try:
        issued = people.issue_service_token(desk, login, label, only=only, days=_days(days))
    except AfterglowError as refused:
        typed = {"login": login, "label": label, "only": only, "days": days}
        return _tokens(request, desk, refused=refused, form="token", typed=typed)
    return _tokens(request, desk, issued=issued, of=label)


@router.post("/tokens/revoke")
def revoke(request: Request, pass_id: Text) -> Response:
    """Take a token or a set-up back."""
    revoke_device(_permitted(request, "people.issue_token"), pass_id)
    return RedirectResponse("/admin/tokens", status_code=303)


@router.get("/messages")
def show_messages(request: Request) -> Response:
    """Where alerts go, and what became of messages."""
    return _messages(request, desk_of(request))


@router.post("/messages/{act}")
def keep_messages(
    request: Request,
    act: str,
    role: Text = "",
    channel: Text = "",
    address: Text = "",
    code: Text = "",
    message_id: Text = "",
) -> Response:
    """Set or confirm where alerts of a role go; send a message again that was given up."""
    desk = _permitted(request, "messages.retry")
    if act not in {"route", "confirm", "retry"}:
        raise NotFound("There is no such form")
    try:
        if act == "route":
            set_route(desk, _one(Role, role, "role"), _one(Channel, channel, "channel"), address.strip())
        elif act == "confirm":
            if confirm_route(desk, _one(Role, role, "role"), code.strip()).state == "refused":
                raise InputError("The code does not fit", next_step="Give the code that arrived there", about="code")
        else:
            retry(desk, message_id)
    except AfterglowError as refused:
        typed = {"role": role, "channel": channel, "address": address}
        return _messages(request, desk, refused=refused, form=f"{act}-{role}" if act == "confirm" else act, typed=typed)
    return RedirectResponse(f"/admin/messages?done={act}", status_code=303)


@router.get("/policy")
def show_policy(request: Request, version: int | None = None) -> Response:
    """The versions of the clinic's thresholds, and in what one differs from the one before."""
    return _policy(request, desk_of(request), version)


@router.post("/policy/draft")
def draft_policy(request: Request, setting: Text = "", value: Text = "") -> Response:
    """One setting changed in the draft that waits, else in a new one; without a setting, a draft of what holds."""
    desk = _permitted(request, "policies.draft")
    try:
        changes = {setting: setting_value(value)} if setting else {}
        versions = list_policies(desk).shown
        last = versions[-1] if versions else None
        if last is None or last.signed_at is not None or last.demo or not may(desk.actor, "policies.discard"):
            draft(desk, changes)  # refused while another waits, but for the medical director
        else:
            before = next((each for each in versions if each.version == last.version - 1), None)
            kept = {each["name"]: each["now"] for each in _differences(last, before) if each["changed"]}
            discard(desk, last.version, kept | changes)
    except AfterglowError as refused:
        return _policy(request, desk, None, refused=refused, typed={"setting": setting, "value": value})
    return RedirectResponse("/admin/policy", status_code=303)


@router.post("/policy/sign")
def sign_policy(request: Request, version: Number, begins: Text = "") -> Response:
    """The medical director signs a draft with password and code."""
    desk = _permitted(request, "policies.sign")
    try:
        zone = ZoneInfo(clinic_of(desk.store, desk.actor.clinic_id).time_zone)
        at = local_time(*begins.partition("T")[::2], zone) if begins else None
        sign(desk, version, effective_from=at)
    except SignAgain:
        raise
    except AfterglowError as refused:
        return _policy(request, desk, version, refused=refused)
    return RedirectResponse(f"/admin/policy?version={version}", status_code=303)


@router.get("/records")
def show_records(request: Request) -> Response:
    """Last backup, age of the anchor, exports."""
    desk = desk_of(request)
    return page(request, "admin_records.html", desk=desk, tabs=ADMIN, kept=read_safekeeping(desk).shown)


@router.get("/about")
def show_about(request: Request) -> Response:
    """Version, data and licences of what runs here."""
    desk = desk_of(request)
    return page(request, "admin_about.html", desk=desk, tabs=ADMIN, about=read_about(desk).shown)


def _permitted(request: Request, name: str) -> Desk:
    """The desk of somebody who may do what a page is for.

    Raises: NotPermitted, told in the trail.
    """
    desk = desk_of(request)
    check_permitted(CATALOGUE[name], desk)
    return desk


def _people(
    request: Request,
    desk: Desk,
    *,
    refused: AfterglowError | None = None,
    typed: dict[str, Any] | None = None,
    issued: Issued | None = None,
    of: str = "",
) -> Response:
    found = [each for each, _ in people.list_people(desk).shown if not each.service]
    return page(
        request,
        "admin_people.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        found=sorted(found, key=lambda each: (each.left_at is not None, each.name.lower())),
        roles=LOGIN_ROLES,
        refused=refused,
        typed=typed or {"login": "", "name": "", "roles": ()},
        issued=issued,
        of=of,
    )


def _person(
    request: Request,
    desk: Desk,
    login: str,
    *,
    refused: AfterglowError | None = None,
    act: str = "",
    issued: Issued | None = None,
) -> Response:
    found = {each.login: (each, version) for each, version in people.list_people(desk).shown}
    if login not in found:
        raise NotFound("Nobody has this login")
    person, version = found[login]
    return page(
        request,
        "admin_person.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        person=person,
        version=version,
        own=login == desk.actor.person_id,
        roles=LOGIN_ROLES,
        refused=refused,
        act=act,
        issued=issued,
        done=request.query_params.get("done", ""),
    )


def _tokens(
    request: Request,
    desk: Desk,
    *,
    refused: AfterglowError | None = None,
    form: str = "",
    typed: dict[str, Any] | None = None,
    issued: Issued | None = None,
    of: str = "",
) -> Response:
    listed = list_devices(desk).shown
    found = [
        each
        for each in listed
        if each.kind is PassKind.TOKEN or (each.kind is PassKind.SET_UP and each.holds(desk.store.clock()))
    ]
    known: list[Person] = [each for each, _ in people.list_people(desk).shown]
    return page(
        request,
        "admin_tokens.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        found=sorted(found, key=lambda each: each.issued_at, reverse=True),
        names={each.login: each.name for each in known},
        services=[each for each in known if each.service and each.left_at is None],
        groups=_groups(known),
        roles=LOGIN_ROLES,
        refused=refused,
        form=form,
        typed={"login": "", "name": "", "roles": (), "label": "", "only": (), "days": "90"} | (typed or {}),
        issued=issued,
        of=of,
    )


def _messages(
    request: Request,
    desk: Desk,
    *,
    refused: AfterglowError | None = None,
    form: str = "",
    typed: dict[str, str] | None = None,
) -> Response:
    return page(
        request,
        "admin_messages.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        post=list_messages(desk).shown,
        owners=OWNERS,
        channels=tuple(Channel),
        refused=refused,
        form=form,
        typed=typed or {"role": "", "channel": "email", "address": ""},
        done=request.query_params.get("done", ""),
    )


def _policy(
    request: Request,
    desk: Desk,
    version: int | None,
    *,
    refused: AfterglowError | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    versions = {each.version: each for each in list_policies(desk).shown}
    if version is not None and version not in versions:
        raise NotFound("There is no such version", observed=str(version), next_step="Choose one of the list")
    shown = versions[version] if version is not None else versions[max(versions)] if versions else None
    before = None if shown is None else versions.get(shown.version - 1)
    return page(
        request,
        "admin_policy.html",
        desk=desk,
        status=200 if refused is None else status_of(refused),
        tabs=ADMIN,
        versions=tuple(reversed(versions.values())),
        shown=shown,
        before=before,
        lines=() if shown is None else _differences(shown, before),
        in_force=in_force(versions.values(), desk.store.clock()),
        newest=max(versions, default=None),
        settings=sorted(policy_settings().items()),
        typed=typed,
        refused=refused,
        value=_value,
    )


def _differences(shown: SitePolicy, before: SitePolicy | None) -> list[dict[str, Any]]:
    """Each setting in which a version differs from the one before or from the defaults; what changed comes first."""
    found = []
    for name, each in policy_settings().items():
        now, was = shown[name], each.default if before is None else before[name]
        if now != each.default or now != was:
            line = {"name": name, "text": each.text, "unit": each.unit or "", "default": each.default}
            found.append(line | {"was": was, "now": now, "changed": now != was})
    return sorted(found, key=lambda each: (not each["changed"], each["name"]))


def _value(value: object) -> str:
    """A setting's value in words.

    >>> _value(True), _value(94.0), _value((1.0, 2.5)), _value("US")
    ('yes', '94', '1, 2.5', 'US')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _groups(known: Sequence[Person]) -> list[str]:
    """Groups of use cases that some service here may use."""
    roles = {role for each in known if each.service for role in each.roles}
    return sorted({name.partition(".")[0] for name, case in CATALOGUE.items() if roles.intersection(case.roles)})


def _roles(names: Sequence[str]) -> tuple[Role, ...]:
    return tuple(_one(Role, each, "roles") for each in names)


def _one(kind: Callable[[str], W], word: str, about: str) -> W:
    try:
        return kind(word)
    except ValueError:
        raise InputError("Nothing like this can be chosen", about=about, next_step="Choose from the list") from None


def _days(text: str) -> float:
    try:
        return float(int(text))
    except ValueError:
        raise InputError(
            "This is no number of days", allowed="1 to 366", about="days", next_step="Give whole days"
        ) from None
