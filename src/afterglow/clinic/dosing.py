"""The dose: what is ordered, what is prepared from weight and concentration, and the second check; whole micrograms.

1 mg/mL is 1 microgram per microlitre, so amounts and volumes stay whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from afterglow.clinic.acting import CLINICAL, Act, Role, check_utc, days_between
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.resistance import Indication, label_row
from afterglow.clinic.rulebook import Delivery
from afterglow.errors import GateClosed, MissingValue, OutOfRange, SecondPerson
from afterglow.predicates import Fact, Truth
from afterglow.quantities import HOURS_PER_MINUTE, Dose, DrugForm, Rate
from afterglow.therapy.exposure import check_doses
from afterglow.therapy.regimen import DoseAdministration, InfusionStep, Regimen

DEVICE_UG = 28_000  # Source: spravato_ifu, 28 mg a device
DEVICE_DOSES_MG = (28.0, 56.0, 84.0)  # one to three devices
_UG_PER_MG = 1000
_INJECTED = (Delivery.IV, Delivery.IM, Delivery.SC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStep:
    """One stretch of a long infusion at a constant rate, free base."""

    mg_per_h: float
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DoseOrder:
    """What a prescriber ordered; exactly one of the three amounts is set.

    Args:
        drug: always free base.
        dose_mg, dose_mg_per_kg: the whole dose.
        steps: rates of an infusion of hours or days.
        infusion_min: length of an IV infusion; None for every other delivery but a subcutaneous infusion.
        second_signature_by: login of a second prescriber, where the dose asks for one.
    Raises: MissingValue, OutOfRange for a combination that cannot be given.
    """

    id: str
    delivery: Delivery
    drug: DrugForm
    indication: Indication
    dose_mg: float | None = None
    dose_mg_per_kg: float | None = None
    steps: tuple[RateStep, ...] = ()
    infusion_min: float | None = None
    ordered_by: str
    ordered_at: datetime
    second_signature_by: str | None = None

    def __post_init__(self) -> None:
        check_utc(self.ordered_at, what="The time of an order")
        amounts = [self.dose_mg is not None, self.dose_mg_per_kg is not None, bool(self.steps)]
        if sum(amounts) != 1:
            raise MissingValue(
                "An order has one amount", observed=f"{sum(amounts)} amounts", allowed="mg, mg/kg or steps"
            )
        infused = self.infusion_min is not None or bool(self.steps)
        if infused and self.delivery not in {Delivery.IV, Delivery.SC}:
            raise OutOfRange("Only an IV or SC dose is infused", observed=self.delivery.words)
        if self.delivery is Delivery.IV and not infused:
            raise MissingValue("An IV order needs the length of its infusion", next_step="Say over how many minutes")
        nasal = self.drug is DrugForm.ESKETAMINE and self.dose_mg in DEVICE_DOSES_MG
        if self.delivery is Delivery.ESK and not nasal:
            raise OutOfRange(
                "Intranasal esketamine comes in devices of 28 mg",
                observed=f"{self.dose_mg} mg of {self.drug.replace('_', ' ')}",
                allowed="28, 56 or 84 mg of esketamine",
            )
        if self.infusion_min is not None and not self.infusion_min > 0:
            raise OutOfRange("An infusion takes time", observed=f"{self.infusion_min:g} min", allowed="over 0 min")

    @property
    def minutes(self) -> float:
        """How long giving is planned to take; 0 for all but infusions."""
        if self.steps:
            return sum(step.hours for step in self.steps) / HOURS_PER_MINUTE
        return self.infusion_min or 0.0

    def amount_ug(self, weight_kg: float | None) -> int:
        """The whole dose in micrograms.

        Raises: MissingValue if it is per kg and there is no weight.
        """
        if self.dose_mg is not None:
            return round(self.dose_mg * _UG_PER_MG)
        if self.steps:
            return round(sum(step.mg_per_h * step.hours for step in self.steps) * _UG_PER_MG)
        if weight_kg is None:
            raise MissingValue("A dose per kg needs a weight", next_step="Weigh the patient")
        return round((self.dose_mg_per_kg or 0.0) * weight_kg * _UG_PER_MG)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyWeight:
    """A weight as measured."""

    kg: float
    measured_at: datetime

    def __post_init__(self) -> None:
        check_utc(self.measured_at, what="The time of a weight")
        if not 20 <= self.kg <= 350:  # Assumption: an adult's scale; outside it a typing slip
            raise OutOfRange("The weight is refused", observed=f"{self.kg:g} kg", allowed="20 to 350 kg")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedDose:
    """What was drawn up for one session.

    Args:
        amount_ug: free base.
        concentration_ug_per_ul: of the vial (the same number as mg/mL); None for devices, films and tablets.
        volume_ul: to draw; None for devices, films and tablets.
        diluted: whether it is diluted before it is given.
        devices: nasal devices; 0 for the others.
        warnings: doses outside the usual range, in words.
    """

    order_id: str
    amount_ug: int
    concentration_ug_per_ul: int | None
    volume_ul: int | None
    diluted: bool
    devices: int
    weight_kg: float | None
    minutes: float
    warnings: tuple[str, ...]
    prepared_by: str
    prepared_at: datetime

    @property
    def mg(self) -> float:
        """The dose in mg."""
        return self.amount_ug / _UG_PER_MG

    @property
    def mg_per_kg(self) -> float | None:
        """The dose per weight; None without a weight."""
        return None if self.weight_kg is None else self.mg / self.weight_kg


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondCheck:
    """Another person computed the same dose."""

    order_id: str
    amount_ug: int
    volume_ul: int | None
    concentration_ug_per_ul: int | None
    by: str
    at: datetime


def sign_second(order: DoseOrder, act: Act) -> DoseOrder:
    """The order with a second prescriber's signature.

    Raises: NotPermitted, SecondPerson.
    """
    act.check_role(Role.PRESCRIBER, what="A second signature")
    act.check_other_than(order.ordered_by, what="A second signature")
    return replace(order, second_signature_by=act.by)


def prepare_dose(
    order: DoseOrder,
    act: Act,
    *,
    policy: SitePolicy,
    weight: BodyWeight | None = None,
    concentration_mg_per_ml: int | None = None,
    diluted: bool = False,
) -> PreparedDose:
    """Amount and volume of an order for a weight and a vial, inside the guardrails of the drug and route.

    Args:
        act: who, when, why.
        diluted: before it is given.
        order: what the prescriber ordered.
        policy: in force; of the session where there is one.
        weight: needed for every injected dose.
        concentration_mg_per_ml: of the vial; needed for every injected dose.
    Raises: NotPermitted, MissingValue, OutOfRange (guardrail with its source, or an unknown concentration).

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> order = DoseOrder(id="o1", delivery=Delivery.IV, drug=DrugForm.RACEMIC_KETAMINE, indication=Indication.TRD,
    ...                   dose_mg_per_kg=0.5, infusion_min=40, ordered_by="dr1", ordered_at=now)
    >>> act = Act(by="rn1", roles=(Role.NURSE,), at=now)
    >>> dose = prepare_dose(order, act, policy=demo_policy(), weight=BodyWeight(kg=80, measured_at=now),
    ...                     concentration_mg_per_ml=50, diluted=True)
    >>> dose.amount_ug, dose.volume_ul
    (40000, 800)
    """
    act.check_role(Role.NURSE, Role.PRESCRIBER, what="Preparing a dose")
    weight_kg = None if weight is None else weight.kg
    injected = order.delivery in _INJECTED
    if injected and weight_kg is None:
        raise MissingValue("An injected dose needs a weight", next_step="Weigh the patient")
    concentration = _concentration(order, concentration_mg_per_ml, policy)
    amount_ug = order.amount_ug(weight_kg)
    if concentration is not None:  # what a syringe holds is whole microlitres, so the dose is too
        amount_ug = round(amount_ug / concentration) * concentration
    return PreparedDose(
        order_id=order.id,
        amount_ug=amount_ug,
        concentration_ug_per_ul=concentration,
        volume_ul=None if concentration is None else amount_ug // concentration,
        diluted=diluted,
        devices=amount_ug // DEVICE_UG if order.delivery is Delivery.ESK else 0,
        weight_kg=weight_kg,
        minutes=order.minutes,
        warnings=_guard(order, weight_kg),
        prepared_by=act.by,
        prepared_at=act.at,
    )


def check_dose(
    prepared: PreparedDose,
    act: Act,
    *,
    policy: SitePolicy,
    amount_ug: int,
    volume_ul: int | None = None,
    concentration_ug_per_ul: int | None = None,
) -> SecondCheck:
    """A second person's own computation, compared with what was prepared.

    Raises: NotPermitted; SecondPerson for the same login; GateClosed where the two differ.
    """
    act.check_role(*CLINICAL, what="The second check")
    act.check_other_than(prepared.prepared_by, what="The second check")
    tolerance = policy.number("dosing.second_check_tolerance_pct") / 100.0
    compared = (
        ("the amount", "micrograms", prepared.amount_ug, amount_ug),
        ("the volume", "microlitres", prepared.volume_ul, volume_ul),
        ("the concentration", "mg/mL", prepared.concentration_ug_per_ul, concentration_ug_per_ul),
    )
    for what, unit, first, second in compared:
        allowed = 0.0 if what == "the concentration" else tolerance * (first or 0)
        if (first is None) != (second is None) or abs((first or 0) - (second or 0)) > allowed:
            raise GateClosed(
                f"Second check: {what} differs",
                rule="second_check",
                observed=f"{first} and {second} {unit}",
                allowed=f"within {100 * tolerance:g} %" if allowed else "the same",
                next_step="Both compute again from order, weight and vial",
            )
    return SecondCheck(
        order_id=prepared.order_id,
        amount_ug=amount_ug,
        volume_ul=volume_ul,
        concentration_ug_per_ul=concentration_ug_per_ul,
        by=act.by,
        at=act.at,
    )


def check_second(prepared: PreparedDose | None, check: SecondCheck | None, policy: SitePolicy) -> PreparedDose:
    """The prepared dose, if it may be given.

    Raises: GateClosed if nothing is prepared; SecondPerson without the second check that the policy asks for.
    """
    if prepared is None:
        raise GateClosed("No dose is prepared", rule="dose", next_step="Prepare it from the order")
    if policy.flag("dosing.second_check_all") and (check is None or check.order_id != prepared.order_id):
        raise SecondPerson(
            "The dose has no second check", rule="second_check", next_step="Another login computes it again"
        )
    return prepared


def dose_facts(
    order: DoseOrder,
    prepared: PreparedDose | None,
    *,
    weight: BodyWeight | None,
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
        prepared: None before it is prepared.
        weight: the last one.
        weight_before: the weight the last dose was computed from.
        number: of the session in the course, from 1.
        week: of treatment, from 1.
    """
    mg_per_kg = None if prepared is None else prepared.mg_per_kg
    rate = None if mg_per_kg is None or prepared is None or not prepared.minutes else mg_per_kg / prepared.minutes
    change = (
        None if weight is None or weight_before is None else 100 * abs(weight.kg - weight_before.kg) / weight_before.kg
    )
    first = weight is not None and weight_before is None
    return {
        "dose.route": order.delivery.value,
        "dose.indication": order.indication.value,
        "dose.mg": None if prepared is None else prepared.mg,
        "dose.mg_per_kg": mg_per_kg,
        "dose.within_order": None if prepared is None else is_within_order(order, prepared),
        "dose.in_label_table": in_label_table(order, number=number, week=week, age_years=age_years, policy=policy),
        "order.second_signature": order.second_signature_by is not None,
        "session.number": number,
        "weight.age_days": None if weight is None else int(days_between(weight.measured_at, at)),
        "weight.change_pct": 0.0 if first else change,
        "infusion.rate_mg_per_kg_per_min": None if rate is None else round(rate, 6),
        "infusion.planned_minutes": order.minutes or None,
        "drug.concentration_mg_per_ml": None if prepared is None else prepared.concentration_ug_per_ul,
        "drug.diluted": None if prepared is None else prepared.diluted,
    }


def in_label_table(order: DoseOrder, *, number: int, week: int, age_years: float | None, policy: SitePolicy) -> Truth:
    """Whether an intranasal dose stands in the label's table; None for an unknown age or another delivery.

    Source: spravato_2019, spravato_eu_pi; `label_doses.yaml`.
    """
    if order.delivery is not Delivery.ESK or age_years is None:
        return None
    row = label_row(indication=order.indication, region=policy.region, age_years=age_years, week=week)
    if row is None:
        return False
    return order.dose_mg in (row.day1_mg if number == 1 and row.day1_mg else row.doses_mg)


def is_within_order(order: DoseOrder, prepared: PreparedDose) -> bool:
    """Whether the prepared dose is the ordered one to half a microlitre."""
    step = prepared.concentration_ug_per_ul or 1
    return 2 * abs(prepared.amount_ug - order.amount_ug(prepared.weight_kg)) <= step


def _concentration(order: DoseOrder, given: int | None, policy: SitePolicy) -> int | None:
    if order.delivery not in _INJECTED:
        return None
    strengths = policy.numbers("dosing.concentrations_mg_per_ml")
    if given is None or given not in strengths:
        raise OutOfRange(
            "The concentration of the vial is refused",
            observed="none" if given is None else f"{given} mg/mL",
            allowed=", ".join(f"{each:g}" for each in strengths) + " mg/mL",
            next_step="Read it from the vial: ten-fold errors start here",
        )
    return given


def _guard(order: DoseOrder, weight_kg: float | None) -> tuple[str, ...]:
    """The guardrails of therapy, on mg, mg/kg, rate and length; a dose in mg needs no weight."""
    if order.steps:
        steps = tuple(InfusionStep(rate=Rate(mg_per_h=s.mg_per_h), duration_h=s.hours) for s in order.steps)
        given = DoseAdministration(at_h=0.0, drug=order.drug, route=order.delivery.route, steps=steps)
    else:
        dose = Dose(mg=order.dose_mg, mg_per_kg=order.dose_mg_per_kg)
        given = DoseAdministration(
            at_h=0.0,
            drug=order.drug,
            route=order.delivery.route,
            dose=dose,
            infusion_h=order.minutes * HOURS_PER_MINUTE,
        )
    return check_doses(Regimen((given,)), weight_kg=weight_kg or 70.0)  # only limits in mg are left without a weight
