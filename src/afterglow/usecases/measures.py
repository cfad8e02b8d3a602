"""Measures: scores and answers as they are given, what they mean, and the alerts that they raise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from afterglow.clinic import (
    ALERT,
    ClinicAlert,
    CourseState,
    DueMeasure,
    Outcome,
    Priority,
    Role,
    ScoreReading,
    SessionState,
    Transitioned,
    TreatmentCourse,
    TreatmentSession,
    act_on,
    alerts_from_score,
    close_alert,
    due_measures,
    escalate,
    hand_over,
    raise_alert,
    read_alert,
    read_score,
    rule,
)
from afterglow.errors import Conflict, MissingValue, NotPermitted, OutOfRange, WrongOrder, echo
from afterglow.scales import ScaleScore, instrument, scale_answers, score, score_subscales, score_total
from afterglow.store import facts as store_facts
from afterglow.store import patients
from afterglow.store.records import Store
from afterglow.usecases.desk import roles_of, use_case, view
from afterglow.usecases.messages import tell_owner
from afterglow.usecases.passes import PassKind, purpose_of, spend
from afterglow.usecases.patients import KnownFact, check_born
from afterglow.usecases.work import CARE, Loaded, Noted, Work, Written

_ENTER = (Role.COORDINATOR, Role.NURSE, Role.PRESCRIBER, Role.THERAPIST)
OPEN_ALERTS = ("open", "seen", "acted")
ALERTING = timedelta(days=60)  # Assumption: our policy; an older score is history that somebody types in
SENT_TWICE_WITHIN = timedelta(minutes=10)  # Assumption: our policy; a form sent twice, with the same answers
_SEX = "patient.sex_for_cutoff"
HERE_ALREADY = "here_already"
"""The state of what was sent twice and is kept once."""
CHECK_IN_QUESTIONS = ("unwell", "low_mood_or_thoughts", "drove_or_fell")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An instrument as it was answered, or scored elsewhere; what it meant then is kept beside it.

    Args:
        items: answers by item number; empty where a score was entered.
        entered_total, entered_subscales: of a score made elsewhere.
        total, level, status: as scored at the time.
        by: who answered or entered; `self_rated` if the patient did.
    """

    instrument: str
    items: tuple[tuple[str, int], ...] = ()
    entered_total: float | None = None
    entered_subscales: tuple[tuple[str, float], ...] = ()
    total: float | None
    level: str | None
    status: str
    by: str
    self_rated: bool

    def score(self) -> ScaleScore:
        """The score by the rules of this version."""
        if self.entered_total is not None:
            return score_total(self.instrument, self.entered_total)
        if self.entered_subscales:
            return score_subscales(self.instrument, dict(self.entered_subscales))
        return score(scale_answers(self.instrument, dict(self.items)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """The three questions a day after a session; a yes to any is for a clinician to call about."""

    session_id: str
    unwell: bool
    low_mood_or_thoughts: bool
    drove_or_fell: bool
    by: str

    @property
    def is_red(self) -> bool:
        """Whether somebody should call."""
        return self.unwell or self.low_mood_or_thoughts or self.drove_or_fell


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What a patient has answered so far by a link, kept at each tap.

    Args:
        about: the scale, or the session that is asked after.
        answers: by item number, or by the question of the check-in.
        raised: what was told to the clinic at a tap already: alerts of the scale, questions of the check-in.
    """

    about: str
    answers: tuple[tuple[str, int], ...] = ()
    raised: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreLine:
    """One score in a chart: when, what, and what it says against the ones before."""

    id: str
    at: datetime
    measured: Measured
    reading: ScoreReading


@use_case("measures.record", roles=_ENTER, adds=True)
def record(
    work: Work,
    patient_id: str,
    name: str,
    *,
    answers: Mapping[str, int | bool | None] | Sequence[int | bool | None] | None = None,
    total: float | None = None,
    subscales: Mapping[str, float] | None = None,
    at: datetime | None = None,
    origin: str | None = None,
) -> Written:
    """A scale as answered, or its score as made elsewhere; `also` holds the ids of the alerts that it raises.

    One of the three is given: answers by item or all in order, a total, or subscales. It was answered `at` a time, now
    if none is said. What may come twice has an `origin`, and is kept once. The same again within 10 min is a form that
    was sent twice: nothing is written, and the answer is the id that is there, with the state `here_already`.

    Raises: UnknownName, OutOfRange, NoModel as `score`; MissingValue unless one of the three is given; WrongOrder for
        tomorrow, and for a time before the patient's birth.
    """
    work.open_patient(patient_id)
    made, _ = _measured(work, name, answers=answers, total=total, subscales=subscales)
    return _record(work, patient_id, made, at=at, origin=origin)


@use_case("measures.answer", roles=(Role.PATIENT,), adds=True)
def answer(work: Work, patient_id: str, name: str, answers: Mapping[str, int | bool | None]) -> Written:
    """A patient answers the scale of the link, once; nothing is told back of what it means.

    Raises: as `record`; NotPermitted for another scale than the link's, or one that a clinician rates.
    """
    work.open_patient(patient_id)
    scale = instrument(name)
    purpose_of(work, patient_id, scale.id)
    if not scale.is_self_rated:
        raise NotPermitted("A clinician rates this scale", observed=scale.id)
    made, _ = _measured(work, name, answers=answers, total=None, subscales=None)
    written = _record(work, patient_id, made, at=None, origin=None, told=answered_so_far(work, scale.id).raised)
    spend(work)
    return Written(id=written.id)


@use_case("measures.check_in", roles=(*_ENTER, Role.PATIENT))
def check_in(
    work: Work, patient_id: str, session_id: str, *, unwell: bool, low_mood_or_thoughts: bool, drove_or_fell: bool
) -> Written:
    """The answers a day after a session; a yes raises an alert.

    Raises: NotPermitted for another session than the link's.
    """
    work.open_patient(patient_id)
    purpose_of(work, patient_id, session_id)
    made = CheckIn(
        session_id=session_id,
        unwell=unwell,
        low_mood_or_thoughts=low_mood_or_thoughts,
        drove_or_fell=drove_or_fell,
        by=work.actor.person_id,
    )
    fact_id = work.write(made, patient_id=patient_id, subject=session_id)
    told = answered_so_far(work, session_id).raised
    raised = raise_alerts(work, patient_id, check_in_alerts(work, made, patient_id, alert_id=fact_id, told=told))
    spend(work)
    return Written(id=fact_id, also=() if work.actor.has(Role.PATIENT) else raised)


@use_case("measures.correct", roles=_ENTER)
def correct(
    work: Work,
    patient_id: str,
    fact_id: str,
    *,
    reason: str,
    answers: Mapping[str, int | bool | None] | Sequence[int | bool | None] | None = None,
    total: float | None = None,
    subscales: Mapping[str, float] | None = None,
) -> Written:
    """Correct a score, or mark it as entered in error where nothing is given in its place; alerts stay as they are.

    Raises: NotFound; MissingValue without a reason; Conflict if it was corrected already.
    """
    old = next((e for e in work.standing(Measured, patient_id=patient_id) if e.id == fact_id), None)
    if old is None:
        ever = store_facts.history(work.tx, Measured, patient_id=patient_id)
        if any(each.id == fact_id and (each.fact is not None or each.entered_in_error) for each in ever):
            raise Conflict(
                "The score was corrected already",
                observed=echo(fact_id),
                next_step="Read the scores again, and correct the one that stands",
            )
        raise OutOfRange("This is no score of the patient", observed=echo(fact_id))
    work.about(subject=fact_id)
    if answers is None and total is None and subscales is None:
        return Written(id=store_facts.mark_in_error(work.tx, fact_id, reason=reason))
    made, _ = _measured(work, old.fact.instrument, answers=answers, total=total, subscales=subscales)
    return Written(id=store_facts.supersede(work.tx, fact_id, made, reason=reason))


@view("measures.list", roles=(*CARE, Role.COORDINATOR))
def list_scores(work: Work, patient_id: str, *, name: str | None = None) -> tuple[ScoreLine, ...]:
    """A patient's scores with what each says, oldest first; of one instrument if one is named."""
    return score_lines(work, patient_id, name=None if name is None else instrument(name).id)


@view("measures.due", roles=(*CARE, Role.COORDINATOR))
def list_due(work: Work, patient_id: str) -> tuple[DueMeasure, ...]:
    """Scales that are due for a patient's courses, soonest first."""
    scores = work.standing(Measured, patient_id=patient_id)
    booked = work.every(TreatmentSession, patient_id=patient_id, states=(SessionState.BOOKED,))
    next_at = min((each.now.planned_at for each in booked), default=None)
    found = [
        each
        for course in work.every(TreatmentCourse, patient_id=patient_id)
        for each in due_of(work, course.now, [(s.at, s.fact.instrument) for s in scores], next_at=next_at)
    ]
    return tuple(sorted(found, key=lambda each: each.due_at))


@view("alerts.list", roles=(*CARE, Role.COORDINATOR))
def list_alerts(work: Work, *, patient_id: str | None = None) -> tuple[Loaded[ClinicAlert], ...]:
    """Alerts that are not closed, the most pressing first; of one patient, or of all."""
    if patient_id is not None:
        work.open_patient(patient_id)
    return work.every(ClinicAlert, patient_id=patient_id, states=OPEN_ALERTS)


@use_case("alerts.read", roles=roles_of(ALERT, "read"))
def mark_read(work: Work, alert_id: str, *, patient_id: str, version: int) -> Written:
    """Somebody reads an alert on its patient's own screen.

    Raises: WrongState, GateClosed on another patient's screen, Conflict.
    """
    loaded = work.load(ClinicAlert, alert_id, version=version)
    return _alert(work, loaded, read_alert(loaded.now, work.act(), patient_id=patient_id))


@use_case("alerts.act", roles=roles_of(ALERT, "act"))
def act_upon(work: Work, alert_id: str, *, action: str, version: int) -> Written:
    """What was done about an alert; by somebody below its owner as cover, and the owner's clock runs on.

    Raises: WrongState unless it was read; MissingValue, Conflict.
    """
    loaded = work.load(ClinicAlert, alert_id, version=version)
    return _alert(work, loaded, act_on(loaded.now, work.act(action), policy=work.policy_or_defaults()))


@use_case("alerts.close", roles=roles_of(ALERT, "close"))
def close(work: Work, alert_id: str, *, version: int) -> Written:
    """Close an alert that was read and acted upon; its owner does, or a role above.

    Raises: WrongState, NotPermitted, Conflict.
    """
    loaded = work.load(ClinicAlert, alert_id, version=version)
    return _alert(work, loaded, close_alert(loaded.now, work.act()))


@use_case("alerts.hand_over", roles=roles_of(ALERT, "hand_over"))
def give_to(work: Work, alert_id: str, *, to: Role, reason: str, version: int) -> Written:
    """Another role owns an alert from now on; its clock runs on.

    Raises: WrongState, MissingValue, Conflict.
    """
    loaded = work.load(ClinicAlert, alert_id, version=version)
    outcome = hand_over(loaded.now, work.act(reason), to=to)
    tell_owner(work, outcome.now)
    return _alert(work, loaded, outcome)


@use_case("alerts.escalate", roles=roles_of(ALERT, "escalate"))
def escalate_due(work: Work) -> tuple[str, ...]:
    """The clock: every alert whose time is over goes to the next role; the ids of those."""
    due = work.every(ClinicAlert, states=OPEN_ALERTS, due_until=work.now)
    for each in due:
        outcome = escalate(each.now, work.act(), policy=work.policy_or_defaults())
        _alert(work, each, outcome)
        tell_owner(work, outcome.now)
    work.about(alerts=len(due))
    return tuple(each.id for each in due)


def is_escalation_due(store: Store, clinic_id: str) -> bool:
    """Whether any alert's time is over; looks at what lists are made from, opens no patient's data."""
    with store.read(clinic_id) as tx:
        return store_facts.is_due(tx, ClinicAlert, states=OPEN_ALERTS, until=tx.now)


def raise_alerts(work: Work, patient_id: str, alerts: Iterable[ClinicAlert]) -> tuple[str, ...]:
    """Keep new alerts with their clocks; their ids."""
    made = tuple(alerts)
    for each in made:
        work.write(each, patient_id=patient_id, subject=each.id)
        work.add(each, id=each.id, patient_id=patient_id, state=each.stage, due_at=each.respond_by)
        tell_owner(work, each)
    return tuple(each.id for each in made)


def score_lines(work: Work, patient_id: str, *, name: str | None = None) -> tuple[ScoreLine, ...]:
    """Each score against the one before treatment and the one before it."""
    first_dose = min(
        (c.now.induced_at for c in work.every(TreatmentCourse, patient_id=patient_id) if c.now.induced_at), default=None
    )
    sex, lines = sex_of(work, patient_id), []
    before: dict[str, ScaleScore] = {}
    base: dict[str, ScaleScore] = {}
    for each in work.standing(Measured, patient_id=patient_id):
        if name is not None and each.fact.instrument != name:
            continue
        of, scored = each.fact.instrument, each.fact.score()
        since = base.get(of) if first_dose is not None and each.at > first_dose else None
        reading = read_score(scored, baseline=since, previous=before.get(of), sex=sex)
        lines.append(ScoreLine(id=each.id, at=each.at, measured=each.fact, reading=reading))
        before[of] = scored
        if scored.total is not None and (of not in base or first_dose is None or each.at <= first_dose):
            base[of] = scored
    return tuple(lines)


def due_of(
    work: Work,
    course: TreatmentCourse,
    scores: Iterable[tuple[datetime, str]],
    *,
    next_at: datetime | None,
    moves: Iterable[Noted[Transitioned]] | None = None,
) -> tuple[DueMeasure, ...]:
    """Scales that are due for a course, from when each was last done and when the next session is.

    `moves` are the course's own, looked up where they are not given.
    """
    if course.state is CourseState.STOPPED:
        return ()
    if moves is None:
        moves = work.standing(Transitioned, patient_id=course.patient_id, subject=course.id)
    last: dict[str, datetime] = {}
    for at, name in scores:
        last[name] = max(at, last.get(name, at))
    return due_measures(
        indication=course.indication,
        phase=course.state,
        phase_since=max((each.at for each in moves if each.fact.machine == "course"), default=work.now),
        last_done=last,
        next_session_at=next_at,
        at=work.now,
        policy=work.policy_or_defaults(),
    )


def _measured(
    work: Work,
    name: str,
    *,
    answers: Mapping[str, int | bool | None] | Sequence[int | bool | None] | None,
    total: float | None,
    subscales: Mapping[str, float] | None,
) -> tuple[Measured, ScaleScore]:
    if sum(each is not None for each in (answers, total, subscales)) != 1:
        raise MissingValue("A score is its answers, its total or its subscales", allowed="one of the three")
    scale = instrument(name)
    items: tuple[tuple[str, int], ...] = ()
    if answers is not None:
        given = scale_answers(scale, answers)
        scored, items = score(given), tuple(sorted(given.items.items()))
    else:
        scored = score_subscales(scale, subscales) if subscales is not None else score_total(scale, _number(total))
    made = Measured(
        instrument=scale.id,
        items=items,
        entered_total=total,
        entered_subscales=tuple(sorted((subscales or {}).items())),
        total=scored.total,
        level=scored.level,
        status=scored.status,
        by=work.actor.person_id,
        self_rated=scale.is_self_rated,
    )
    return made, scored


def _number(total: float | None) -> float:
    return float(total if total is not None else "nan")


def _record(
    work: Work,
    patient_id: str,
    made: Measured,
    *,
    at: datetime | None,
    origin: str | None,
    told: Collection[str] = (),
) -> Written:
    when = at or work.now
    if when > work.now:
        raise WrongOrder("A scale was answered by now", observed=f"{when:%Y-%m-%d %H:%M} UTC")
    if origin is not None and (known := store_facts.find_origin(work.tx, origin)) is not None:
        work.about(subject=known)
        return Written(id=known)
    identity = patients.load(work.tx, patient_id).identifiers
    check_born(None if identity is None else identity.born_on, when)
    if origin is None and (twice := _sent_before(work, patient_id, made, when)) is not None:
        work.about(subject=twice, instrument=made.instrument, sent_twice=True)
        return Written(id=twice, state=HERE_ALREADY)
    fact_id = store_facts.write(work.tx, made, at=when, patient_id=patient_id, subject=made.instrument, origin=origin)
    work.about(patient_id=patient_id, subject=fact_id, instrument=made.instrument)
    lines = [each for each in score_lines(work, patient_id, name=made.instrument) if each.id == fact_id]
    found = lines[0].reading.alerts if work.now - when < ALERTING else ()
    states = tuple(each for each in found if each.alert.id not in told)
    raised = alerts_from_score(
        states, score_id=fact_id, patient_id=patient_id, at=work.now, policy=work.policy_or_defaults()
    )
    return Written(id=fact_id, also=raise_alerts(work, patient_id, raised))


def _sent_before(work: Work, patient_id: str, made: Measured, at: datetime) -> str | None:
    """The id of the same answers or score of these minutes, by whomever; None if there are none."""
    for each in work.standing(Measured, patient_id=patient_id, subject=made.instrument):
        if abs(each.at - at) <= SENT_TWICE_WITHIN and replace(each.fact, by=made.by) == made:
            return each.id
    return None


def check_in_alerts(
    work: Work, made: CheckIn, patient_id: str, *, alert_id: str, told: Collection[str] = ()
) -> tuple[ClinicAlert, ...]:
    """The alert of every yes that the clinic was not told of before; low mood or thoughts make it a high one."""
    said = [name for name in CHECK_IN_QUESTIONS if getattr(made, name) and name not in told]
    if not said:
        return ()
    alert = raise_alert(
        alert_id=f"{alert_id}.check_in",
        patient_id=patient_id,
        about="S072",
        text=f"24-hour check-in: {', '.join(each.replace('_', ' ') for each in said)}.",
        source=f"rule S072; {rule('S072').basis}",
        action="Call the patient",
        priority=Priority.HIGH if "low_mood_or_thoughts" in said else Priority.MEDIUM,
        at=work.now,
        policy=work.policy_or_defaults(),
    )
    return (alert,)


def answered_so_far(work: Work, about: str) -> Answering:
    """What the link's holder has tapped of a scale or check-in; nothing for whoever has no link."""
    kind, _, pass_id = work.actor.person_id.partition(":")
    kept = work.find(Answering, pass_id) if kind == PassKind.LINK else None
    return Answering(about=about) if kept is None or kept.now.about != about else kept.now


def _alert(work: Work, loaded: Loaded[ClinicAlert], outcome: Outcome[ClinicAlert]) -> Written:
    return work.keep(loaded, outcome, state=outcome.now.stage, due_at=outcome.now.respond_by)


def sex_of(work: Work, patient_id: str) -> str | None:
    """What cut-offs that differ by sex go by, where it was asked."""
    noted = work.standing(KnownFact, patient_id=patient_id, subject=_SEX)
    value = noted[-1].fact.value if noted else None
    return value if isinstance(value, str) else None
