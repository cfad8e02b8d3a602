"""What the rules ask about a dose: amount, rate, weight, label table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from afterglow.clinic.acting import days_between
from afterglow.clinic.dosing import BodyWeight, DoseOrder, PreparedDose, guard_dose
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.resistance import label_row
from afterglow.clinic.rulebook import Delivery, Group, rules_of
from afterglow.clinic.ruling import Finding, Verdict, judge_all
from afterglow.predicates import Fact, Truth, facts_of
from afterglow.quantities import HOURS_PER_MINUTE

_OF_DOSE = ("dose.", "infusion.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDose:
    """A dose as planned, beside its limits.

    Args:
        mg, mg_per_kg: of a session; None where there is no weight to tell.
        warnings: what is outside the usual range, in words.
        findings: rules about the dose that an order of it would meet at the first session.
    """

    mg: float | None
    mg_per_kg: float | None
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...]


def judge_planned(
    order: DoseOrder, *, weight: BodyWeight | None, age_years: float | None, policy: SitePolicy
) -> PlannedDose:
    """A planned dose beside guardrails and rules, as if it were ordered for the first session.

    Raises: OutOfRange beyond the guardrails.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.TRD,
    ...                   dose_mg_per_kg=0.8, infusion_min=40, ordered_by="dr1", ordered_at=now)
    >>> found = judge_planned(order, weight=BodyWeight(kg=80, measured_at=now), age_years=40, policy=demo_policy())
    >>> found.mg, [each.rule for each in found.findings]
    (64.0, ['S019', 'S022'])
    """
    kg = None if weight is None else weight.kg
    warnings = guard_dose(order, kg)
    prepared = None
    if weight is not None or order.dose_mg_per_kg is None:
        prepared = PreparedDose(
            order_id=order.id,
            amount_ug=order.amount_ug(kg),
            concentration_ug_per_ul=None,
            volume_ul=None,
            diluted=False,
            devices=0,
            weight_kg=kg,
            weighed_at=None if weight is None else weight.measured_at,
            minutes=order.minutes,
            warnings=warnings,
            prepared_by=order.ordered_by,
            prepared_at=order.ordered_at,
        )
    facts = dose_facts(
        order,
        prepared,
        weight_before=None,
        number=1,
        week=1,
        age_years=age_years,
        at=order.ordered_at,
        policy=policy,
    )
    facts |= {"age": age_years}
    asked = (
        each
        for each in rules_of(Group.PRE_DOSE, Group.ADMINISTRATION, delivery=order.delivery)
        if any(name.startswith(_OF_DOSE) for name in facts_of(each.when))
    )
    found = judge_all(asked, facts, policy, delivery=order.delivery)
    return PlannedDose(
        mg=None if prepared is None else prepared.mg,
        mg_per_kg=order.dose_mg_per_kg if prepared is None else prepared.mg_per_kg,
        warnings=warnings,
        findings=tuple(each for each in found if each.verdict is Verdict.HIT),
    )


def dose_facts(
    order: DoseOrder,
    prepared: PreparedDose | None,
    *,
    weight_before: BodyWeight | None,
    number: int,
    week: int,
    age_years: float | None,
    at: datetime,
    policy: SitePolicy,
) -> dict[str, Fact | None]:
    """What the rules ask about the dose; without a prepared dose most of it is unknown.

    Args:
        age_years: None where unknown.
        at: now.
        order: what the prescriber ordered.
        policy: in force; of the session where there is one.
        prepared: None before it is prepared; it holds the weight it was computed from.
        weight_before: the weight the last dose was computed from; without one a change of weight is unknown, unless
            this is the first dose.
        number: of this dose in the course, from 1; sessions without a dose do not count.
        week: of treatment, from 1.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.ESK, drug=DrugForm.ESKETAMINE, indication=Indication.TRD,
    ...                   dose_mg=84.0, ordered_by="dr1", ordered_at=now)
    >>> facts = dose_facts(order, None, weight_before=None, number=1, week=1, age_years=40, at=now,
    ...                    policy=demo_policy())
    >>> facts["dose.in_label_table"], facts["dose.mg"] is None
    (False, True)
    """
    mg_per_kg = None if prepared is None else prepared.mg_per_kg
    weight = None if prepared is None else prepared.weight
    change = None
    if weight is not None and weight_before is not None:
        change = 100 * abs(weight.kg - weight_before.kg) / weight_before.kg
    elif weight is not None and number == 1:
        change = 0.0
    return {
        "dose.route": order.delivery.value,
        "dose.indication": order.indication.value,
        "dose.mg": None if prepared is None else prepared.mg,
        "dose.mg_per_kg": mg_per_kg,
        "dose.within_order": None if prepared is None else is_within_order(order, prepared),
        "dose.in_label_table": in_label_table(order, number=number, week=week, age_years=age_years, policy=policy),
        "order.second_signature": order.second_signature_by is not None,
        "session.number": number,
        # in whole days, begun ones counted, so that an answer given at noon still fits at one o'clock
        "weight.age_days": None if weight is None else math.ceil(days_between(weight.measured_at, at)),
        "weight.change_pct": change,
        "infusion.rate_mg_per_kg_per_min": None if prepared is None else fastest_rate(order, prepared),
        "infusion.planned_minutes": order.minutes or None,
        "drug.concentration_mg_per_ml": None if prepared is None else prepared.concentration_ug_per_ul,
        "drug.diluted": None if prepared is None else prepared.diluted,
    }


def fastest_rate(order: DoseOrder, prepared: PreparedDose) -> float | None:
    """The fastest stretch of an infusion in mg/kg/min, so that no bolus hides in an average; None without a weight.

    >>> from datetime import UTC
    >>> from afterglow.clinic.acting import Act, Role
    >>> from afterglow.clinic.dosing import RateStep, prepare_dose
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.PAIN,
    ...                   steps=(RateStep(mg_per_h=60.0, hours=0.5), RateStep(mg_per_h=12.0, hours=4.0)),
    ...                   ordered_by="dr1", ordered_at=now)
    >>> dose = prepare_dose(order, Act(by="rn1", roles=(Role.NURSE,), at=now), policy=demo_policy(),
    ...                     weight=BodyWeight(kg=80, measured_at=now), concentration_mg_per_ml=50, diluted=True)
    >>> fastest_rate(order, dose)  # 1 mg/min for 80 kg
    0.0125
    """
    weight_kg = prepared.weight_kg
    if weight_kg is None or not order.minutes:
        return None
    per_min = [each.mg_per_h * HOURS_PER_MINUTE for each in order.steps] or [prepared.mg / order.minutes]
    return round(max(per_min) / weight_kg, 6)


def in_label_table(order: DoseOrder, *, number: int, week: int, age_years: float | None, policy: SitePolicy) -> Truth:
    """Whether an intranasal dose stands in the label's table; None for an unknown age or another delivery.

    Source: spravato_2019, spravato_eu_pi; `label_doses.yaml`.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.quantities import DrugForm
    >>> order = DoseOrder(id="o1", delivery=Delivery.ESK, drug=DrugForm.ESKETAMINE, indication=Indication.TRD,
    ...                   dose_mg=84.0, ordered_by="dr1", ordered_at=datetime(2026, 1, 5, 9, tzinfo=UTC))
    >>> [in_label_table(order, number=number, week=1, age_years=40, policy=demo_policy()) for number in (1, 2)]
    [False, True]
    """
    if order.delivery is not Delivery.ESK or age_years is None:
        return None
    row = label_row(indication=order.indication, region=policy.region, age_years=age_years, week=week)
    if row is None:
        return False
    return order.dose_mg in (row.day1_mg if number == 1 and row.day1_mg else row.doses_mg)


def is_within_order(order: DoseOrder, prepared: PreparedDose) -> bool:
    """Whether the prepared dose is the ordered one to half a microlitre.

    >>> from datetime import UTC
    >>> from dataclasses import replace
    >>> from afterglow.clinic.acting import Act, Role
    >>> from afterglow.clinic.dosing import prepare_dose
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.resistance import Indication
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.PO, drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.TRD,
    ...                   dose_mg=50.0, ordered_by="dr1", ordered_at=now)
    >>> dose = prepare_dose(order, Act(by="rn1", roles=(Role.NURSE,), at=now), policy=demo_policy())
    >>> is_within_order(order, dose), is_within_order(order, replace(dose, amount_ug=60_000))
    (True, False)
    """
    step = prepared.concentration_ug_per_ul or 1
    return 2 * abs(prepared.amount_ug - order.amount_ug(prepared.weight_kg)) <= step
