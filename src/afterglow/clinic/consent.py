"""Consent and cover of a course: given, taken back, in force; granted, left and used."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role, days_between
from afterglow.clinic.course import (
    OFFICE,
    Authorisation,
    Consent,
    TreatmentCourse,
    WithdrawalMethod,
    check_open_course,
    check_signed,
)
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.typed import check_day, check_utc
from afterglow.errors import Conflict, GateClosed, MissingValue, NotFound, WrongOrder, echo


def give_consent(course: TreatmentCourse, consent: Consent, act: Act) -> Outcome[TreatmentCourse]:
    """A consent taken by a clinician.

    Raises: NotPermitted; Conflict if somebody else or another time stands in it; GateClosed for another delivery, or
        without off-label wording where the plan is off label.

    >>> from afterglow.clinic.examples import course, nurse
    >>> from dataclasses import replace
    >>> again = replace(course().consents[0], at=nurse(5).at)
    >>> len(give_consent(course(), again, nurse(5)).now.consents)
    2
    """
    act.check_role(*CLINICAL, what="Taking consent")
    check_open_course(course, what="Consent")
    check_signed(consent.taken_by, consent.at, act, what="A consent")
    _check_after_consents(course, act)
    off_label = course.plan is None or course.plan.on_label is not True
    if consent.delivery is not course.delivery or (off_label and not consent.off_label_stated):
        raise GateClosed(
            "The consent does not fit the plan",
            rule="C062",
            observed=f"{consent.delivery.words}, off label {'stated' if consent.off_label_stated else 'not stated'}",
            allowed=f"{course.delivery.words}{', off label stated' if off_label else ''}",
            next_step="Use the consent form of this delivery",
        )
    return Outcome(now=replace(course, consents=(*course.consents, consent)), written=(consent,))


def withdraw_consent(
    course: TreatmentCourse, act: Act, *, withdrawn_by: str, how: WithdrawalMethod
) -> Outcome[TreatmentCourse]:
    """The patient takes consent back; every earlier one counts no more.

    Args:
        course: as it is.
        act: of who notes it.
        withdrawn_by: who took it back.
        how: in which way.
    Raises: NotPermitted; NotFound if there is none; WrongOrder for a time before it was given; MissingValue without
        who.

    >>> from afterglow.clinic.examples import course, nurse
    >>> gone = withdraw_consent(course(), nurse(5), withdrawn_by="p1", how=WithdrawalMethod.BY_PHONE).now
    >>> gone.consents[0].withdrawn_how.value, gone.consents[0].withdrawal_noted_by
    ('by_phone', 'nurse1')
    """
    act.check_role(*CLINICAL, Role.THERAPIST, Role.COORDINATOR, what="Noting that consent is withdrawn")
    _check_after_consents(course, act)
    if not course.consents:
        raise NotFound("There is no consent to withdraw")
    if not withdrawn_by.strip():
        raise MissingValue("It is told who takes consent back", next_step="Enter who", about="withdrawn_by")
    about = {"withdrawn_at": act.at, "withdrawn_by": withdrawn_by, "withdrawn_how": how, "withdrawal_noted_by": act.by}
    gone = tuple(each if each.withdrawn_at else replace(each, **about) for each in course.consents)  # type: ignore[arg-type]
    return Outcome(now=replace(course, consents=gone), written=(gone[-1],))


def has_consent(course: TreatmentCourse, at: datetime, *, version: str, policy: SitePolicy) -> bool:
    """Whether a consent of the current version stands and is not too old: the fact `consent.current`.

    >>> from afterglow.clinic.examples import POLICY, at, course
    >>> [has_consent(course(), at(0), version=version, policy=POLICY) for version in ("2", "3")]
    [True, False]
    """
    check_utc(at, what="The time of a check")
    valid_days = policy.number("course.consent_valid_days")
    return any(
        each.withdrawn_at is None
        and each.version == version
        and each.delivery is course.delivery
        and 0 <= days_between(each.at, at) <= valid_days
        for each in course.consents
    )


def check_consent(course: TreatmentCourse, at: datetime, *, version: str, policy: SitePolicy) -> None:
    """Refuse without a current consent (C062).

    Raises: GateClosed.

    >>> from afterglow.clinic.examples import POLICY, at, course
    >>> check_consent(course(), at(0), version="2", policy=POLICY)
    """
    if not has_consent(course, at, version=version, policy=policy):
        raise GateClosed(
            "No current consent",
            rule="C062",
            observed=f"{len(course.consents)} consents, none of version {echo(version)} in force",
            allowed="signed, current version, this delivery",
            next_step="Take consent on the current form",
        )


def add_authorisation(course: TreatmentCourse, authorisation: Authorisation, act: Act) -> Outcome[TreatmentCourse]:
    """Cover, as granted or agreed.

    Raises: NotPermitted; Conflict if it was recorded already; WrongOrder if it ends before it starts.

    >>> from afterglow.clinic.examples import START, course, nurse
    >>> cover = Authorisation(id="a2", payer="Blue", units=8, starts_on=START.date())
    >>> len(add_authorisation(course(), cover, nurse()).now.authorisations)
    2
    """
    act.check_role(*OFFICE, what="Authorisation")
    check_open_course(course, what="Authorisation")
    if authorisation.id in {each.id for each in course.authorisations}:
        raise Conflict("This authorisation was recorded already", observed=echo(authorisation.id))
    same = [
        each
        for each in course.authorisations
        if replace(each, id=authorisation.id, used=0, sessions=()) == authorisation
    ]
    if same and not authorisation.self_pay:
        raise Conflict(
            "An authorisation like this was recorded already",
            observed=f"{authorisation.units} units of {echo(authorisation.payer)} from {authorisation.starts_on}",
            next_step="A second one differs in its units or dates",
        )
    if authorisation.ends_on is not None and authorisation.ends_on < authorisation.starts_on:
        raise WrongOrder("An authorisation ends after it starts", observed=f"{authorisation.ends_on}")
    now = replace(course, authorisations=(*course.authorisations, authorisation))
    return Outcome(now=now, written=(authorisation,))


def units_left(course: TreatmentCourse, on: date) -> int | None:
    """Units left on a day over every authorisation; None when self-pay covers it.

    >>> from afterglow.clinic.examples import START, course
    >>> units_left(course(authorisations=()), START.date()), units_left(course(), START.date()) is None
    (0, True)
    """
    check_day(on, what="The day of cover")
    left = [each.left(on) for each in course.authorisations]
    return None if None in left else sum(each for each in left if each is not None)


def use_unit(course: TreatmentCourse, act: Act, *, on: date, session_id: str) -> Outcome[TreatmentCourse]:
    """One session used one unit: of the authorisation that ends first; self-pay uses none.

    Args:
        course: as it is.
        act: who gave the drug.
        on: the day at the clinic.
        session_id: which session used it; a session uses one.
    Raises: NotPermitted; Conflict for a session that used one already; GateClosed if none is left.

    >>> from afterglow.clinic.examples import START, course, nurse
    >>> cover = Authorisation(id="a2", payer="Blue", units=8, starts_on=START.date())
    >>> used = use_unit(course(authorisations=(cover,)), nurse(), on=START.date(), session_id="s1").now
    >>> used.authorisations[0].used, used.authorisations[0].sessions
    (1, ('s1',))
    """
    act.check_role(Role.NURSE, Role.PRESCRIBER, what="Using a unit")
    if any(session_id in each.sessions for each in course.authorisations):
        raise Conflict("This session used its unit already", observed=echo(session_id), allowed="one for a session")
    if units_left(course, on) is None:
        return Outcome(now=course, written=())
    check_cover(course, on)
    usable = [each for each in course.authorisations if each.left(on)]
    first = min(usable, key=lambda each: each.ends_on or date.max)
    used = replace(first, used=first.used + 1, sessions=(*first.sessions, session_id))
    now = replace(course, authorisations=tuple(used if each is first else each for each in course.authorisations))
    return Outcome(now=now, written=(used,))


def _check_after_consents(course: TreatmentCourse, act: Act) -> None:
    for each in course.consents:
        act.check_after(each.withdrawn_at or each.at, what="Consent")


def check_cover(course: TreatmentCourse, on: date) -> None:
    """Refuse a day on which no unit is left and self-pay is not agreed.

    Raises: GateClosed.

    >>> from afterglow.clinic.examples import START, course
    >>> check_cover(course(), START.date())
    """
    if units_left(course, on) == 0:
        raise GateClosed(
            "No authorised unit is left",
            rule="authorisation",
            observed=f"{len(course.authorisations)} authorisations, 0 units on {on}",
            allowed="a unit, or agreed self-pay",
            next_step="Ask the payer again, or agree self-pay",
        )
