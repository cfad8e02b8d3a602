"""Titration: a new rate of an infusion that runs, ordered by a prescriber, set at the pump and checked by another.

The order of the session becomes what ran until then and the new steps, so that total, length, monitoring and the end of
the dose follow from one order; the session goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from afterglow.clinic.acting import Act, Outcome, Role, check_witness, minutes_between
from afterglow.clinic.dosing import DoseOrder, PreparedDose, RateChange, RateStep, SecondCheck, prepare_dose
from afterglow.clinic.gates import Chart, chart_facts, check_fresh, check_treated
from afterglow.clinic.giving import ran_minutes
from afterglow.clinic.monitoring import is_infusion
from afterglow.clinic.policy import SitePolicy, policy_facts
from afterglow.clinic.readings import check_no_escalation
from afterglow.clinic.rulebook import Group, rules_of
from afterglow.clinic.ruling import Finding, Verdict, check_open, judge_all
from afterglow.clinic.session import TreatmentSession, admit, step
from afterglow.errors import GateClosed, SecondPerson, Unbalanced
from afterglow.predicates import facts_of
from afterglow.quantities import HOURS_PER_MINUTE, format_mg

_NO_TIME_H = 1e-9  # what is left of hours that were taken from each other
_ABOUT_THE_DOSE = ("dose.", "order.", "infusion.", "drug.", "weight.")


def order_rate(
    session: TreatmentSession, act: Act, *, change_id: str, steps: tuple[RateStep, ...], policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """A prescriber's order of new rates, with a reason; it takes the place of one that waits.

    Args:
        session: with an infusion that runs or is held.
        act: of the prescriber; the reason says why the rate changes.
        change_id: of the change, and of the order that it makes.
        steps: from when the pump is set, to the end.
        policy: of the session.
    Raises: WrongState, NotPermitted; MissingValue without a reason or a step that gives drug; GateClosed for what is no
        infusion, or whose time is over; OutOfRange beyond the guardrails on rate, total and length.

    >>> from afterglow.clinic.examples import POLICY, infusion_of_hours, prescriber
    >>> act = prescriber(90, reason="pain stays at 7 of 10")
    >>> steps = (RateStep(mg_per_h=15, hours=3),)
    >>> done = order_rate(infusion_of_hours(), act, change_id="o2", policy=POLICY, steps=steps)
    >>> done.now.rate_waiting.rest_ug
    45000
    """
    admit(session, "order_rate", act, policy=policy)
    ran_h = ran_minutes(session, act.at) * HOURS_PER_MINUTE
    change = RateChange(
        id=change_id,
        steps=steps,
        ran_h=ran_h,
        ordered_by=act.by,
        ordered_at=act.at,
        reason=act.check_reason(what="A new rate"),
    )
    _titrated(session, change, act, ran_h=ran_h, policy=policy)
    kept = tuple(each for each in session.rate_changes if each.set_at is not None)
    return step(session, "order_rate", act, written=(change,), rate_changes=(*kept, change))


def judge_rate(session: TreatmentSession, at: datetime, *, chart: Chart, policy: SitePolicy) -> tuple[Finding, ...]:
    """The rules about the dose, judged on the new rate that waits, as it was ordered; empty where none waits.

    >>> from afterglow.clinic.examples import POLICY, chart, infusion_of_hours, at
    >>> judge_rate(infusion_of_hours(), at(90), chart=chart(), policy=POLICY)
    ()
    """
    change = session.rate_waiting
    if change is None:
        return ()
    ordered = Act(by=change.ordered_by, roles=(Role.PRESCRIBER,), at=change.ordered_at)
    made = _titrated(session, change, ordered, ran_h=change.ran_h, policy=policy)
    return _judged(session, made, at, chart, policy)


def set_rate(
    session: TreatmentSession,
    act: Act,
    *,
    second: Act | None,
    mg_per_h: float,
    rest_ug: int,
    chart: Chart,
    policy: SitePolicy,
) -> Outcome[TreatmentSession]:
    """The pump is set to the new rate, and a second person has computed it from the order.

    What lowers the rate and the total may be set while an escalation is open; what gives more may not.

    Args:
        session: with a new rate that waits.
        act: who sets the pump.
        second: who checked; another login.
        mg_per_h: the first new rate, as the second person computed it.
        rest_ug: all that is given from now on, as the second person computed it.
        chart: of the patient.
        policy: of the session.
    Raises: WrongState, NotPermitted, SecondPerson; GateClosed where no new rate waits, it is too old, a rule about the
        dose is not answered, an escalation is open or the second person found something else; Unbalanced if less is
        drawn than the new total; as `check_treated`.

    >>> from afterglow.clinic.examples import POLICY, chart, infusion_of_hours, nurse, prescriber
    >>> act = prescriber(90, reason="drowsy")
    >>> steps = (RateStep(mg_per_h=6, hours=3),)
    >>> ordered = order_rate(infusion_of_hours(), act, change_id="o2", policy=POLICY, steps=steps).now
    >>> session = set_rate(ordered, nurse(95), second=nurse(95, by="rn2"), mg_per_h=6, rest_ug=18_000, chart=chart(),
    ...                    policy=POLICY).now
    >>> session.state.value, session.prepared.amount_ug, session.prepared.minutes
    ('dosing', 37000, 275.0)
    """
    admit(session, "set_rate", act, policy=policy)
    change = session.rate_waiting
    if change is None or session.prepared is None or session.order is None:
        raise GateClosed("No new rate waits for its pump", rule="dose", next_step="A prescriber orders it")
    check_treated(session, chart, act, policy)
    check_fresh(change.ordered_at, act, policy, what="The order of the new rate")
    checker = _check_second(change, act, second, mg_per_h=mg_per_h, rest_ug=rest_ug, policy=policy)
    ran_h = ran_minutes(session, act.at) * HOURS_PER_MINUTE
    order, prepared = _titrated(session, change, act, ran_h=ran_h, policy=policy)
    if not _is_lower(session.order, session.prepared, change, prepared, ran_h):
        check_no_escalation(session, policy, what="No more drug is given")
        _check_answered(session, (order, prepared), act, chart, policy)
    _check_drawn(session, prepared)
    check = SecondCheck(
        order_id=order.id,
        amount_ug=prepared.amount_ug,
        volume_ul=prepared.volume_ul,
        concentration_ug_per_ul=prepared.concentration_ug_per_ul,
        by=checker.by,
        at=checker.at,
    )
    done = replace(change, set_by=act.by, set_at=act.at, checked_by=checker.by)
    return step(
        session,
        "set_rate",
        act,
        written=(done, order, prepared, check),
        rate_changes=(*session.rate_changes[:-1], done),
        order=order,
        prepared=prepared,
        second_check=check,
    )


def rates_of(order: DoseOrder, prepared: PreparedDose) -> tuple[RateStep, ...]:
    """The rates of an infusion, of one ordered by its dose too; empty for what is not infused.

    >>> from afterglow.clinic.examples import infusion_of_hours
    >>> session = infusion_of_hours()
    >>> [step.mg_per_h for step in rates_of(session.order, session.prepared)]
    [12.0]
    """
    if order.steps or not prepared.minutes:
        return order.steps
    hours = prepared.minutes * HOURS_PER_MINUTE
    return (RateStep(mg_per_h=prepared.mg / hours, hours=hours),)


def rates_by_run(session: TreatmentSession) -> tuple[tuple[RateStep, ...], ...]:
    """What ran in each stretch of an infusion, by the ordered rates; the last, while it runs, goes on to their end.

    >>> from afterglow.clinic.examples import infusion_of_hours, nurse
    >>> from afterglow.clinic.giving import hold
    >>> [step.hours for step in rates_by_run(infusion_of_hours())[0]]
    [4.0]
    >>> [step.hours for step in rates_by_run(hold(infusion_of_hours(), nurse(60, reason="drowsy")).now)[0]]
    [1.0]
    """
    if session.order is None or session.prepared is None:
        return ()
    left, found = rates_of(session.order, session.prepared), []
    for run in session.runs:
        ran_h = math.inf if run.until is None else minutes_between(run.since, run.until) * HOURS_PER_MINUTE
        done = _until(left, ran_h)
        found.append(done)
        left = _after(left, sum(each.hours for each in done))
    return tuple(found)


def _titrated(
    session: TreatmentSession, change: RateChange, act: Act, *, ran_h: float, policy: SitePolicy
) -> tuple[DoseOrder, PreparedDose]:
    """Order and dose that a new rate makes when the pump is set after so many hours of drug."""
    order, prepared = session.order, session.prepared
    if order is None or prepared is None or not is_infusion(session):
        raise GateClosed("Nothing is infused", rule="dose", allowed="an infusion", next_step="Hold or stop the dose")
    planned_h = prepared.minutes * HOURS_PER_MINUTE
    if ran_h >= planned_h:
        raise GateClosed(
            "The infusion has run its time",
            rule="dose",
            observed=f"{ran_h / HOURS_PER_MINUTE:.0f} min",
            allowed=f"under {prepared.minutes:g} min",
            next_step="Finish the dose; more drug is another session",
        )
    made = replace(
        order,
        id=change.id,
        dose_mg=None,
        dose_mg_per_kg=None,
        infusion_min=None,
        steps=(*_until(rates_of(order, prepared), ran_h), *change.steps),
        ordered_by=change.ordered_by,
        ordered_at=change.ordered_at,
        second_signature_by=change.second_signature_by,
    )
    dose = prepare_dose(
        made,
        act,
        policy=policy,
        weight=prepared.weight,
        concentration_mg_per_ml=prepared.concentration_ug_per_ul,
        diluted=prepared.diluted,
    )
    return made, dose


def _until(steps: Iterable[RateStep], ran_h: float) -> tuple[RateStep, ...]:
    """What of the rates has run."""
    done, left = [], ran_h
    for each in steps:
        hours = min(each.hours, left)
        if hours > 0:
            done.append(replace(each, hours=hours))
        left -= hours
    return tuple(done)


def _after(steps: Iterable[RateStep], ran_h: float) -> tuple[RateStep, ...]:
    """What of the rates is left."""
    rest, gone = [], ran_h
    for each in steps:
        hours = each.hours - max(gone, 0.0)
        if hours > _NO_TIME_H:
            rest.append(replace(each, hours=hours))
        gone -= each.hours
    return tuple(rest)


def _judged(
    session: TreatmentSession, made: tuple[DoseOrder, PreparedDose], at: datetime, chart: Chart, policy: SitePolicy
) -> tuple[Finding, ...]:
    """Rules before the dose that look at the dose and the person alone."""
    order, prepared = made
    known = chart_facts(replace(session, order=order, prepared=prepared), at, chart=chart, policy=policy)
    asked = [
        each
        for each in rules_of(Group.PRE_DOSE, Group.ADMINISTRATION, delivery=session.delivery)
        if all(name.startswith(_ABOUT_THE_DOSE) for name in facts_of(each.when))
    ]
    return judge_all(asked, known | policy_facts(policy), policy, delivery=session.delivery)


def _check_answered(
    session: TreatmentSession, made: tuple[DoseOrder, PreparedDose], act: Act, chart: Chart, policy: SitePolicy
) -> None:
    """Every rule that the new rate meets is answered as ordered; between order and pump no other one came to be met."""
    ordered = judge_rate(session, act.at, chart=chart, policy=policy)
    check_open(ordered, session.answers, what="The new rate")
    met = {each.rule for each in ordered if each.verdict is Verdict.HIT}
    for each in _judged(session, made, act.at, chart, policy):
        if each.asks and each.rule not in met:
            raise GateClosed(
                f"The new rate now meets rule {each.rule}",
                rule=each.rule,
                observed=each.values,
                allowed=each.wanted,
                next_step="Order the rate again",
            )


def _check_second(
    change: RateChange, act: Act, second: Act | None, *, mg_per_h: float, rest_ug: int, policy: SitePolicy
) -> Act:
    """Another clinician who computed, at the same time, first rate and rest as the order has them."""
    if second is None:
        raise SecondPerson("A new rate has no second check", rule="second_check", next_step="Another login computes it")
    checker = check_witness(act, second, what="A new rate")
    tolerance = policy.number("dosing.second_check_tolerance_pct") / 100.0
    compared = (
        ("the rate", "mg/h", change.steps[0].mg_per_h, mg_per_h),
        ("what is left to give", "mg", change.rest_ug / 1000, rest_ug / 1000),
    )
    for what, unit, ordered, found in compared:
        apart, allowed = round(abs(ordered - found), 6), round(tolerance * ordered, 6)
        if not apart <= allowed:  # a number that is none (NaN) is not the same either
            raise GateClosed(
                f"Second check: {what} differs",
                rule="second_check",
                observed=f"{ordered:g} and {found:g} {unit}",
                allowed=f"within {100 * tolerance:g} %",
                next_step="Both compute again from the order",
            )
    return checker


def _is_lower(order: DoseOrder, before: PreparedDose, change: RateChange, prepared: PreparedDose, ran_h: float) -> bool:
    """Whether neither the rate nor the total goes up."""
    rates, left = rates_of(order, before), ran_h
    running = rates[-1].mg_per_h
    for each in rates:
        if left < each.hours:
            running = each.mg_per_h
            break
        left -= each.hours
    return max(each.mg_per_h for each in change.steps) <= running and prepared.amount_ug <= before.amount_ug


def _check_drawn(session: TreatmentSession, prepared: PreparedDose) -> None:
    drawn = session.given_ug + sum(session.outstanding_ug(each) for each in session.containers)
    if drawn < prepared.amount_ug:
        raise Unbalanced(
            "Less drug is drawn than the new rate needs",
            rule="K01",
            observed=format_mg(drawn),
            allowed=f"{format_mg(prepared.amount_ug)} or more",
            next_step="Draw it and enter it",
        )
