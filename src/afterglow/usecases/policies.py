"""What a clinic sets for itself: its signed policy, its consent forms, its chairs and staff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic import (
    Chair,
    Closure,
    Delivery,
    Diary,
    Role,
    SitePolicy,
    TreatmentCourse,
    draft_policy,
    policy_at,
    policy_settings,
    sign_policy,
)
from afterglow.clinic.thresholds import SettingValue
from afterglow.errors import Conflict, MissingValue, OutOfRange, PolicyUnsigned, WrongOrder, echo
from afterglow.store import facts
from afterglow.store.records import Clinic, Store
from afterglow.usecases.desk import use_case, view
from afterglow.usecases.people import Person
from afterglow.usecases.work import DIARY, STAFF, Work, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentForm:
    """The consent form of a delivery that is in use; its text is kept elsewhere."""

    delivery: Delivery
    version: str
    published_by: str
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpLines:
    """Whom a patient can call, as every page of theirs shows it.

    Args:
        emergency: number for danger now.
        crisis: number of a crisis line; empty where the clinic names none.
        crisis_text: whether the crisis line takes text messages too.
        clinic: number of the clinic; empty until somebody sets it.
        answered: when the clinic answers, as in "8 to 18"; "day and night" only where somebody does.
    """

    emergency: str
    crisis: str = ""
    crisis_text: bool = False
    clinic: str = ""
    answered: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a clinic charges; nothing is taken from elsewhere, and what is not set has no price.

    Args:
        currency: three letters.
        session: hundredths of the currency for one session, drug and room, by delivery.
    """

    currency: str
    session: tuple[tuple[Delivery, int], ...]

    def of(self, delivery: Delivery) -> int | None:
        """Hundredths for one session; None where no price is set."""
        return dict(self.session).get(delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a clinic has of what it needs before its first patient.

    Args:
        people: roles that somebody who works here has.
        policy: version in force; None where no session runs.
        consent_forms: version of the form in use, by delivery.
        diary: chairs, staff and closures; None until they are set.
        help_lines: as the clinic has set them; None where patients see the region's alone.
        has_course: whether anybody's treatment was begun.
        prices: as the clinic has set them; None where it has set none.
    """

    people: tuple[Role, ...]
    policy: int | None
    consent_forms: Mapping[Delivery, str]
    diary: Diary | None
    help_lines: HelpLines | None
    has_course: bool
    prices: Prices | None


# Source: https://health.wyo.gov/publichealth/prevention/wivpp/suicide-prevention/988-suicide-crisis-lifeline (988 by
# call or text at any hour, 911 in danger). Elsewhere the words name no number until the clinic sets its own.
_HELP = {"US": HelpLines(emergency="911", crisis="988", crisis_text=True)}
_NO_HELP = HelpLines(emergency="")
HELP = "help_lines"
PRICES = "prices"
_DEAREST = 10_000_000  # hundredths; Assumption: beyond it a typing slip


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLine:
    """One setting: its default, what this version sets, and its unit."""

    name: str
    default: SettingValue
    value: SettingValue
    unit: str | None


@use_case("policies.change_clinic", roles=(Role.ADMINISTRATOR,))
def change_clinic(work: Work, *, name: str | None = None, time_zone: str | None = None) -> Clinic:
    """The clinic's name or time zone; records are kept in UTC, so a zone changes what is shown and nothing else.

    Raises: MissingValue; InputError for a name or zone that is refused.
    """
    if name is None and time_zone is None:
        raise MissingValue("Nothing is changed", allowed="a name, a time zone or both", next_step="Give one of them")
    before, after = work.tx.change_clinic(name=name, time_zone=time_zone)
    work.about(renamed=before.name != after.name, zone_before=before.time_zone, zone=after.time_zone)
    return after


@use_case("policies.draft", roles=(Role.MEDICAL_DIRECTOR, Role.COMPLIANCE, Role.PRESCRIBER))
def draft(work: Work, changes: Mapping[str, SettingValue]) -> Written:
    """A new version as a draft: changes on top of the newest version.

    Raises: UnknownName, OutOfRange; Conflict while a draft waits for its signature.
    """
    versions = work.policies
    last = versions[-1] if versions else None
    if last is not None and last.signed_at is None and not last.demo:
        raise Conflict("A draft waits for its signature", observed=f"version {last.version}", next_step="Sign it first")
    version = 1 if last is None else last.version + 1
    made = draft_policy(work.act(), version=version, changes=changes, before=last)
    return work.add(made, id=policy_id(version), state="draft")


@use_case("policies.sign", roles=(Role.MEDICAL_DIRECTOR,), signs=True)
def sign(work: Work, version: int, *, effective_from: datetime | None = None) -> Written:
    """The medical director signs a draft; in force from a time on, now if none is said.

    Raises: NotFound, WrongState, TooEarly, WrongOrder.
    """
    loaded = work.load(SitePolicy, policy_id(version))
    before = max((each for each in work.policies if each.signed_at), key=lambda each: each.version, default=None)
    outcome = sign_policy(loaded.now, work.act(), effective_from=effective_from or work.now, before=before)
    work.about(version=version)
    return work.keep(loaded, outcome, state="signed", due_at=outcome.now.effective_from)


@use_case("policies.discard", roles=(Role.MEDICAL_DIRECTOR,))
def discard(work: Work, version: int, changes: Mapping[str, SettingValue]) -> Written:
    """Make the newest draft anew, from the version before it and these changes.

    Raises: NotFound, UnknownName, OutOfRange; Conflict for a version that is signed.
    """
    loaded = work.load(SitePolicy, policy_id(version))
    if loaded.now.signed_at is not None or loaded.now.demo:
        raise Conflict("A signed version stands for good", observed=f"version {version}", next_step="Draft the next")
    before = next((each for each in work.policies if each.version == version - 1), None)
    return work.change(loaded, draft_policy(work.act(), version=version, changes=changes, before=before), state="draft")


@view("policies.list", roles=STAFF)
def list_policies(work: Work) -> tuple[SitePolicy, ...]:
    """Every version, oldest first."""
    return work.policies


@view("policies.read", roles=STAFF)
def read_policy(work: Work, version: int | None = None) -> tuple[PolicyLine, ...]:
    """Each setting of a version, of the one in force for None.

    Raises: NotFound, PolicyUnsigned.
    """
    policy = work.policy_of(version)
    return tuple(
        PolicyLine(name=name, default=each.default, value=policy[name], unit=each.unit)
        for name, each in sorted(policy_settings().items())
    )


@view("policies.readiness", roles=(*STAFF, Role.ADMINISTRATOR))
def read_readiness(work: Work) -> Readiness:
    """What the clinic has, and what is missing before its first patient."""
    try:
        version = work.policy().version
    except PolicyUnsigned:
        version = None
    diary, lines = work.find(Diary, DIARY), work.find(HelpLines, HELP)
    prices = prices_of(work)
    here = [each.now for each in work.every(Person) if each.now.left_at is None]
    work.subject = None
    return Readiness(
        people=tuple(role for role in Role if any(role in each.roles for each in here)),
        policy=version,
        consent_forms={each.now.delivery: each.now.version for each in work.every(ConsentForm)},
        diary=None if diary is None else diary.now,
        help_lines=None if lines is None else lines.now,
        has_course=bool(facts.load_all(work.tx, TreatmentCourse)),
        prices=prices,
    )


@use_case("policies.publish_consent_form", roles=(Role.MEDICAL_DIRECTOR, Role.COMPLIANCE))
def publish_consent_form(work: Work, delivery: Delivery, *, version: str) -> Written:
    """The consent form in use for a delivery from now on; consents on an earlier one count no more.

    Raises: MissingValue without a version; Conflict for the one in use.
    """
    if not version.strip():
        raise MissingValue("A consent form has a version", about="version")
    form = ConsentForm(
        delivery=delivery, version=version.strip(), published_by=work.actor.person_id, published_at=work.now
    )
    loaded = work.find(ConsentForm, delivery)
    work.write(form, subject=delivery)
    work.about(subject=delivery)
    if loaded is None:
        return work.add(form, id=delivery)
    if loaded.now.version == form.version:
        raise Conflict("This consent form is in use already", observed=form.version)
    return work.change(loaded, form)


@use_case("policies.set_chairs", roles=(Role.COORDINATOR, Role.MEDICAL_DIRECTOR))
def set_chairs(
    work: Work,
    chairs: tuple[Chair, ...],
    *,
    capacity: int,
    closures: tuple[Closure, ...] = (),
    nurses: int | None = None,
) -> Written:
    """Chairs, what may be given in each, how many patients staff can watch at once, and when it is closed.

    `nurses` is how many watch infusions; without it nobody is warned of too many.

    Raises: OutOfRange without a chair or capacity; Conflict for a chair named twice; WrongOrder for a closure that ends
        before it starts.
    """
    if not chairs or capacity < 1:
        raise OutOfRange(
            "A clinic has a chair and staff",
            observed=f"{len(chairs)} chairs, {capacity} patients at once",
            allowed="1 or more of each",
            about="capacity" if chairs else "chairs",
        )
    if len({each.id for each in chairs}) != len(chairs):
        raise Conflict("Two chairs share a name")
    if any(each.until <= each.starts_at for each in closures):
        raise WrongOrder("A closure ends after it starts")
    loaded = work.find(Diary, DIARY)
    now = Diary(chairs=chairs, capacity=capacity, closures=closures, nurses=nurses)
    work.about(subject=DIARY)
    return work.add(now, id=DIARY) if loaded is None else work.change(loaded, now)


@use_case("policies.set_help_lines", roles=(Role.COORDINATOR, Role.MEDICAL_DIRECTOR))
def set_help_lines(work: Work, lines: HelpLines) -> Written:
    """Whom patients are told to call, from now on.

    Raises: MissingValue without an emergency number or the clinic's own; OutOfRange for what is no number.
    """
    for name, number in (("emergency", lines.emergency), ("clinic", lines.clinic)):
        if not number.strip():
            raise MissingValue("Patients need a number to call", about=name)
    for name, number in (("emergency", lines.emergency), ("crisis", lines.crisis), ("clinic", lines.clinic)):
        if not set(number) <= set("0123456789 +()-") or len(number) > 24:
            raise OutOfRange(
                "This is no telephone number", observed=echo(number), allowed="digits, spaces, + ( ) -", about=name
            )
    loaded = work.find(HelpLines, HELP)
    work.write(lines, subject=HELP)
    work.about(subject=HELP)
    return work.add(lines, id=HELP) if loaded is None else work.change(loaded, lines)


@use_case("policies.set_prices", roles=(Role.COORDINATOR, Role.MEDICAL_DIRECTOR))
def set_prices(work: Work, prices: Prices) -> Written:
    """What a session costs, from now on; plans show it, and nothing is charged by it.

    Raises: OutOfRange for what is no currency or no price; Conflict for a delivery that is named twice.
    """
    if len(prices.currency) != 3 or not (prices.currency.isascii() and prices.currency.isupper()):
        raise OutOfRange(
            "This is no currency", observed=echo(prices.currency), allowed="three letters, as in USD", about="currency"
        )
    named = [delivery for delivery, _ in prices.session]
    if len(set(named)) != len(named):
        raise Conflict("A treatment has one price", observed=", ".join(named))
    for delivery, hundredths in prices.session:
        if not 0 < hundredths <= _DEAREST:
            raise OutOfRange(
                "The price is refused",
                observed=f"{hundredths / 100:.2f} {prices.currency}",
                allowed=f"over 0 and up to {_DEAREST / 100:,.0f} {prices.currency} a session",
                about=f"price_{delivery}",
            )
    loaded = work.find(Prices, PRICES)
    work.write(prices, subject=PRICES)
    work.about(subject=PRICES)
    return work.add(prices, id=PRICES) if loaded is None else work.change(loaded, prices)


def prices_of(work: Work) -> Prices | None:
    """What the clinic charges; None where nobody has set it."""
    found = work.find(Prices, PRICES)
    return None if found is None else found.now


def help_lines(store: Store, clinic_id: str) -> HelpLines:
    """Whom the patients of a clinic can call: what it has set, else the numbers of the region that its policy signs."""
    with store.read(clinic_id) as tx:
        kept = facts.load_all(tx, HelpLines)
        if kept and kept[0].now is not None:
            return kept[0].now
        versions = [head.now for head in facts.load_all(tx, SitePolicy) if head.now is not None]
        try:
            region = policy_at(versions, tx.now).region
        except PolicyUnsigned:
            region = ""  # nobody has said where the clinic is
    return _HELP.get(region, _NO_HELP)


def consent_version(work: Work, delivery: Delivery) -> str:
    """The consent form in use; empty, which no consent fits, where none was published."""
    found = work.find(ConsentForm, delivery)
    return "" if found is None else found.now.version


def in_force(versions: Iterable[SitePolicy], at: datetime) -> int | None:
    """The version under which a session would begin at a time; None where nobody signed any.

    >>> from datetime import UTC
    >>> in_force((), datetime(2026, 1, 5, tzinfo=UTC)) is None
    True
    """
    try:
        return policy_at(versions, at).version
    except PolicyUnsigned:
        return None


def setting_value(text: str) -> SettingValue:
    """A setting's value as somebody types it: yes or no, a number, several numbers with commas, or a word.

    >>> setting_value("yes"), setting_value("94"), setting_value("0, 40,120"), setting_value("US")
    (True, 94.0, (0.0, 40.0, 120.0), 'US')
    """
    words = {"yes": True, "no": False}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return text.strip()
    return numbers if len(numbers) > 1 else numbers[0]


def policy_id(version: int) -> str:
    """The id of a version's record.

    >>> policy_id(2)
    'v2'
    """
    return f"v{version}"
