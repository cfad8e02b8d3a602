"""The plan before it is signed: the dose beside its limits, what a course costs, and ways to go on side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from afterglow.clinic import Delivery, LabelStatus, Plan, PlannedDose, Role, TreatmentCourse, TreatmentSession
from afterglow.errors import InputError, MissingValue
from afterglow.forecast import ForecastWarning, RelapseState
from afterglow.forecast.compare import AHEAD_DAYS, compare_plans
from afterglow.provenance import Guardrail
from afterglow.quantities import HOURS_PER_MINUTE, Dose
from afterglow.store import patients
from afterglow.store.patients import Identifiers
from afterglow.therapy.exposure import dose_guardrails
from afterglow.therapy.regimen import DoseAdministration
from afterglow.usecases.charts import newest_course
from afterglow.usecases.courses import judge_plan, label_of
from afterglow.usecases.desk import view
from afterglow.usecases.forecasting import ForecastAnswer, forecast_input
from afterglow.usecases.jobs import forecast_of
from afterglow.usecases.policies import Prices, prices_of
from afterglow.usecases.recorded_course import recorded_course
from afterglow.usecases.work import CARE, Loaded, Work

_WEEK_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What sessions cost at the clinic's own price of one."""

    currency: str
    sessions: int
    hundredths: int

    @property
    def words(self) -> str:
        """As it is written.

        >>> Cost(currency="USD", sessions=6, hundredths=270_000).words
        '2,700.00 USD'
        """
        return f"{self.hundredths / 100:,.2f} {self.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """One way to go on.

    Args:
        days: between sessions; None for no further session.
        chance: a fraction, of what the comparison defines.
        sessions: over twelve weeks.
        cost: of these; None without a price.
    """

    days: int | None
    chance: float
    sessions: int
    cost: Cost | None

    @property
    def words(self) -> str:
        """The way in words.

        >>> WhatIf(days=14, chance=0.5, sessions=6, cost=None).words
        'Every 2 weeks'
        """
        if self.days is None:
            return "Stop"
        return "Weekly" if self.days == _WEEK_DAYS else f"Every {self.days // _WEEK_DAYS} weeks"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfs:
    """Ways to go on, weekly to none, over twelve weeks; extrapolation by the model.

    Args:
        definition: what the chance is of.
        rows: empty where there is nothing to compare, as `refused` says.
    """

    definition: str
    rows: tuple[WhatIf, ...]
    warnings: tuple[ForecastWarning, ...]
    model: str
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPage:
    """The plan of a course with what it is decided by.

    Args:
        course: the one that is asked for, else the newest that goes on.
        guardrails: limits on a dose of the course's drug and route.
        weight_kg: the last that is known.
        price: of a session, as the clinic set it; None where it has not.
        label, what_ifs: None for who reads no charts; `what_ifs` also before treatment, where it is asked for.
    """

    patient_id: str
    identifiers: Identifiers | None
    course: Loaded[TreatmentCourse]
    guardrails: tuple[Guardrail, ...]
    weight_kg: float | None
    price: Cost | None
    cost: Cost | None
    label: LabelStatus | None
    what_ifs: WhatIfs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDraft:
    """A plan as it is typed; what is empty is None.

    Args:
        interval_days: between the sessions of the induction.
    """

    induction_sessions: int | None = None
    interval_days: float | None = None
    dose_mg: float | None = None
    dose_mg_per_kg: float | None = None
    infusion_min: float | None = None
    weight_kg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPlan:
    """A draft judged: its dose beside the limits (None without a dose), and what the induction costs."""

    dose: PlannedDose | None
    cost: Cost | None


@view("courses.read_plan", roles=(*CARE, Role.COORDINATOR))
def read_plan(work: Work, patient_id: str, *, course_id: str | None = None) -> PlanPage:
    """The plan of a course, its limits, its cost, and ways to go on where treatment has begun.

    Raises: NotFound; MissingValue for a patient without a course.
    """
    work.open_patient(patient_id)
    courses = work.every(TreatmentCourse, patient_id=patient_id)
    course = next((each for each in courses if each.id == course_id), None) or newest_course(courses)
    if course is None:
        raise MissingValue("There is no course to plan", next_step="Open one first")
    reads_charts = work.actor.has(*CARE)
    now, prices = course.now, prices_of(work)
    planned = 0 if now.plan is None else now.plan.induction_sessions
    return PlanPage(
        patient_id=patient_id,
        identifiers=patients.load(work.tx, patient_id).identifiers,
        course=course,
        guardrails=tuple(
            each
            for (drug, route, _), each in dose_guardrails().items()
            if (drug, route) == (now.drug, now.delivery.route)
        ),
        weight_kg=_weight(work, now) if reads_charts else None,
        price=_cost(prices, now.delivery, 1),
        cost=_cost(prices, now.delivery, planned),
        label=label_of(work, now) if reads_charts else None,
        what_ifs=_under_treatment(forecast_of(work, now).answer, now, prices) if reads_charts else None,
    )


@view("courses.try_plan", roles=CARE)
def try_plan(work: Work, course_id: str, draft: PlanDraft) -> JudgedPlan:
    """A draft beside the limits on its dose, and what it costs; nothing is kept.

    Raises: NotFound; OutOfRange, MissingValue for a dose that could not be ordered.
    """
    course = work.load(TreatmentCourse, course_id).now
    made = _plan(work, draft)
    return JudgedPlan(
        dose=judge_plan(work, course, made),
        cost=None
        if draft.induction_sessions is None
        else _cost(prices_of(work), course.delivery, draft.induction_sessions),
    )


@view("courses.compare_plans", roles=CARE)
def compare(work: Work, course_id: str, draft: PlanDraft) -> WhatIfs:
    """What a draft would bring before its first session, by how sessions go on after the induction; nothing is kept.

    Raises: NotFound; MissingValue without dose, sessions or interval; InputError for an induction of over twelve weeks;
        NoModel where the model does not follow what is treated, or the scores allow no forecast.
    """
    course = work.load(TreatmentCourse, course_id).now
    if draft.induction_sessions is None or draft.interval_days is None:
        about = "induction_sessions" if draft.induction_sessions is None else "interval_days"
        raise MissingValue("A comparison needs sessions and their interval", next_step="Fill in both", about=about)
    if judge_plan(work, course, _plan(work, draft)) is None:
        raise MissingValue("A comparison needs a dose", next_step="Fill in the dose", about="dose")
    days = tuple(1.0 + draft.interval_days * each for each in range(draft.induction_sessions))
    if days[-1] > AHEAD_DAYS:
        raise InputError(
            "The induction is longer than what is compared",
            observed=f"{days[-1]:g} days",
            allowed=f"up to {AHEAD_DAYS} days",
            next_step="Plan fewer sessions, or closer ones",
            about="induction_sessions",
        )
    record, _ = recorded_course(work, course, zone="UTC")  # only shown times have a zone
    given = forecast_input(record, now=work.now)
    if draft.weight_kg is not None:
        given = replace(given, weight_kg=draft.weight_kg)
    session = DoseAdministration(
        at_h=0.0,
        drug=course.drug,
        route=course.delivery.route,
        dose=Dose(mg=draft.dose_mg, mg_per_kg=draft.dose_mg_per_kg),
        infusion_h=(draft.infusion_min or 0.0) * HOURS_PER_MINUTE,
    )
    found, prices = compare_plans(given, session, induction_days=days), prices_of(work)
    return WhatIfs(
        definition=f"a response ({found.scale} of {found.response:g} or less) on a score twelve weeks from now",
        rows=tuple(
            WhatIf(
                days=each.days,
                chance=each.chance,
                sessions=each.sessions,
                cost=_cost(prices, course.delivery, each.sessions),
            )
            for each in found.choices
        ),
        warnings=found.warnings,
        model=found.model,
    )


def _under_treatment(answer: ForecastAnswer | None, course: TreatmentCourse, prices: Prices | None) -> WhatIfs | None:
    """From the forecast that is kept: staying well by interval, and without another session."""
    if answer is None or answer.forecast.relapse is None:
        return None
    found, relapse = answer.forecast, answer.forecast.relapse
    if relapse.state is RelapseState.NOT_STARTED:
        return None
    ways: list[tuple[int | None, float, int]] = [
        (each.days, each.p_well_12w, each.sessions_12w) for each in found.intervals
    ]
    stop = dict(relapse.p_by_day).get(float(AHEAD_DAYS))
    if ways and stop is not None:
        ways.append((None, 1.0 - stop, 0))
    return WhatIfs(
        definition=f"never reaching {relapse.definition} in twelve weeks",
        rows=tuple(_rows(ways, course.delivery, prices)),
        warnings=found.warnings,
        model=found.model,
        refused=None if ways else relapse.reason,
    )


def _rows(ways: Iterable[tuple[int | None, float, int]], delivery: Delivery, prices: Prices | None) -> Iterable[WhatIf]:
    for days, chance, sessions in ways:
        yield WhatIf(days=days, chance=chance, sessions=sessions, cost=_cost(prices, delivery, sessions))


def _cost(prices: Prices | None, delivery: Delivery, sessions: int) -> Cost | None:
    each = None if prices is None else prices.of(delivery)
    if prices is None or each is None:
        return None
    return Cost(currency=prices.currency, sessions=sessions, hundredths=sessions * each)


def _weight(work: Work, course: TreatmentCourse) -> float | None:
    """As the plan has it, else as the last dose was prepared from."""
    if course.plan is not None and course.plan.weight_kg is not None:
        return course.plan.weight_kg
    sessions = sorted(
        (each.now for each in work.every(TreatmentSession, patient_id=course.patient_id)),
        key=lambda each: each.planned_at,
    )
    known = [each.prepared.weight_kg for each in sessions if each.prepared is not None and each.prepared.weight_kg]
    return known[-1] if known else None


def _plan(work: Work, draft: PlanDraft) -> Plan:
    """The draft as a plan, so that what is judged is what would be signed."""
    return Plan(
        endpoint="as typed",
        induction_sessions=1 if draft.induction_sessions is None else draft.induction_sessions,
        interval_days=1.0 if draft.interval_days is None else draft.interval_days,
        dose_mg=draft.dose_mg,
        dose_mg_per_kg=draft.dose_mg_per_kg,
        infusion_min=draft.infusion_min,
        weight_kg=draft.weight_kg,
        by=work.actor.person_id,
        at=work.now,
    )
