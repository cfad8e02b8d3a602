"""Readings during a session: entering and correcting them, what they say to the rules, and what they fire.

Readings are discrete and typed. Nothing is inferred from a missing one, and a rule fires on the entered reading alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import chain
from types import MappingProxyType

from afterglow.clinic.acting import Act, Outcome, Role, login, minutes_between
from afterglow.clinic.factbook import check_facts
from afterglow.clinic.policy import SitePolicy
from afterglow.clinic.rulebook import DATA, Group, Rule, Severity, rules_of, sources
from afterglow.clinic.ruling import Facts, Finding, Verdict, check_open, condition_in, judge, judge_all, severity_in
from afterglow.clinic.session import EmergencyAssessment, Reading, TreatmentSession, admit, standing_readings, step
from afterglow.errors import (
    AfterglowError,
    Conflict,
    GateClosed,
    InvalidData,
    MissingValue,
    NotFound,
    NotPermitted,
    OutOfRange,
    WrongOrder,
    echo,
    first_of,
)
from afterglow.predicates import Fact, Truth, evaluate
from afterglow.records import read_record

_EARLIEST_BEFORE_ARRIVAL = timedelta(hours=1)  # Assumption: a set read in the waiting room before check-in


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimit:
    """What a reading can be, closed bounds."""

    name: str
    text: str
    unit: str
    low: float
    high: float


def enter_reading(
    session: TreatmentSession, reading: Reading, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """Add a set of readings; the facts written are the reading and every escalation rule that it meets.

    A reading typed late counts from when it was taken.

    Raises: WrongState, NotPermitted; OutOfRange, WrongOrder, MissingValue for a slip; Conflict for an id used already.

    >>> from afterglow.clinic.examples import POLICY, injected, nurse, reading
    >>> done = enter_reading(injected(), reading(20, spo2_pct=91), nurse(20), policy=POLICY)
    >>> [each.rule for each in done.written if hasattr(each, "rule")]
    ['S044']
    """
    admit(session, "enter_reading", act, policy=policy)
    _check_reading(session, reading, act)
    if reading.supersedes is not None or reading.entered_in_error:
        raise Conflict("A new reading replaces nothing", next_step="Correct the reading instead")
    return _with_reading(session, "enter_reading", reading, act, policy)


def correct_reading(
    session: TreatmentSession, reading: Reading, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """A reading that supersedes another, or marks it entered in error; the old one stays as it was written.

    Raises: as `enter_reading`; NotFound unless it supersedes a reading that stands; NotPermitted where an emergency
        would be cleared by it and who corrects is no prescriber.

    >>> from afterglow.clinic.examples import POLICY, injected, nurse, reading
    >>> from dataclasses import replace
    >>> session = enter_reading(injected(), reading(20, spo2_pct=91), nurse(20), policy=POLICY).now
    >>> right = replace(reading(21, spo2_pct=97), supersedes="r20")
    >>> now = correct_reading(session, right, nurse(21, reason="finger moved"), policy=POLICY).now
    >>> escalations(now, POLICY)
    ()
    """
    admit(session, "correct_reading", act, policy=policy)
    _check_reading(session, reading, act)
    if reading.supersedes not in {each.id for each in standing_readings(session.readings)}:
        raise NotFound(
            "The reading to correct does not stand",
            observed=echo(reading.supersedes),
            next_step="Correct the last version of it",
        )
    done = _with_reading(session, "correct_reading", reading, act, policy)
    _check_may_clear(session, done.now, act, policy)
    return done


def reading_facts(session: TreatmentSession, reading: Reading, policy: SitePolicy) -> dict[str, Fact | None]:
    """What one reading says to the rules, with its rise over the last pressure before the dose.

    >>> from datetime import UTC
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, number=1, week=1, planned_at=now)
    >>> reading = Reading(id="r1", taken_at=now, entered_at=now, by="rn1", spo2_pct=93)
    >>> facts = reading_facts(session, reading, demo_policy())
    >>> facts["vitals.spo2"], facts["bp.systolic"] is None
    (93, True)
    """
    return _Looking.back_on(session, policy).facts(reading)


def latest_facts(
    session: TreatmentSession, policy: SitePolicy, *, since: datetime | None = None
) -> dict[str, Fact | None]:
    """Each vital sign as last read since a time; what was not read since then stays unknown.

    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> reading = Reading(id="r1", taken_at=now, entered_at=now, by="rn1", spo2_pct=93)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now, readings=(reading,))
    >>> latest_facts(session, demo_policy())["vitals.spo2"]
    93
    >>> latest_facts(session, demo_policy(), since=now + timedelta(minutes=1))
    {}
    """
    found: dict[str, Fact | None] = {}
    looking = _Looking.back_on(session, policy)
    for reading in looking.standing:
        if since is None or reading.taken_at >= since:
            found |= {name: value for name, value in looking.facts(reading).items() if value is not None}
    return found


def judge_reading(session: TreatmentSession, reading: Reading, policy: SitePolicy) -> tuple[Finding, ...]:
    """Every escalation rule against one reading.

    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> reading = Reading(id="r1", taken_at=now, entered_at=now, by="rn1", spo2_pct=91)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now, readings=(reading,))
    >>> [each.rule for each in judge_reading(session, reading, demo_policy()) if each.verdict is Verdict.HIT]
    ['S044']
    """
    facts = reading_facts(session, reading, policy)
    return judge_all(rules_of(Group.ESCALATION, delivery=session.delivery), facts, policy, delivery=session.delivery)


def escalations(session: TreatmentSession, policy: SitePolicy) -> tuple[Finding, ...]:
    """Escalation rules as they stand: met and not cleared by a later reading; an emergency is not cleared by one.

    A later reading clears a rule only where it can be judged on it.

    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> readings = tuple(Reading(id=f"{spo2}", taken_at=now + timedelta(minutes=n), entered_at=now, by="rn1",
    ...                          spo2_pct=spo2) for n, spo2 in enumerate((91, 89, 97)))
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now, readings=readings)
    >>> [each.rule for each in escalations(session, demo_policy())]  # S044 is cleared, the emergency is not
    ['S045']
    """
    standing: dict[Rule, tuple[Facts, Truth]] = {}
    asked = rules_of(Group.ESCALATION, delivery=session.delivery)
    stays = {each for each in asked if severity_in(each, policy) is Severity.EMERGENCY}
    for _, of, facts, met in _judged(session, policy):
        if met or (met is False and not (of in stays and of in standing and standing[of][1])):
            standing[of] = (facts, met)
    return tuple(judge(of, facts, policy, delivery=session.delivery) for of, (facts, met) in standing.items() if met)


def check_no_escalation(session: TreatmentSession, policy: SitePolicy, *, what: str) -> None:
    """Refuse to give drug while an escalation rule that a standing reading met is not answered.

    Raises: GateClosed.

    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now)
    >>> check_no_escalation(session, demo_policy(), what="The dose cannot start")
    """
    check_open(escalations(session, policy), session.answers, what=what)


def check_over(session: TreatmentSession, policy: SitePolicy, *, what: str) -> None:
    """Refuse to let the patient leave while an escalation is open, or an emergency was not assessed after it was over.

    Raises: GateClosed.

    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now)
    >>> check_over(session, demo_policy(), what="Leaving")
    """
    standing = escalations(session, policy)
    check_open((f for f in standing if f.severity is not Severity.EMERGENCY), session.answers, what=what)
    for found in standing:
        if found.severity is Severity.EMERGENCY:
            over_at = _over_at(session, found.rule, policy)
            assessed = [each.at for each in session.assessments if each.rule == found.rule]
            if over_at is None or not any(each >= over_at for each in assessed):
                raise GateClosed(
                    f"{what}: emergency {found.rule} is not over",
                    rule=found.rule,
                    observed=found.values + ("" if over_at is None else f", clear at {over_at:%H:%M} UTC"),
                    allowed="a later reading that is clear, then a prescriber's assessment",
                    next_step="The prescriber assesses the patient, or transfers the patient to emergency care",
                )


def assess_emergency(
    session: TreatmentSession, rule_id: str, act: Act, *, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    """A prescriber saw the patient after an emergency was over and says so; no more drug is given all the same.

    Raises: WrongState, NotPermitted, MissingValue; NotFound if no such emergency stands; GateClosed before a later
        reading is clear.

    >>> from afterglow.clinic.acting import Role
    >>> from afterglow.clinic.policy import demo_policy
    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.clinic.session import SessionState, policy_digest
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> readings = tuple(Reading(id=f"{spo2}", taken_at=now + timedelta(minutes=n), entered_at=now, by="rn1",
    ...                          spo2_pct=spo2, respiratory_rate_per_min=12, symptoms=(("events.apnoea", False),))
    ...                  for n, spo2 in enumerate((89, 97)))
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now, readings=readings, policy_version=0,
    ...                            policy_digest=policy_digest(demo_policy()), state=SessionState.OBSERVING)
    >>> act = Act(by="dr1", roles=(Role.PRESCRIBER,), at=now + timedelta(minutes=30), reason="awake, lungs clear")
    >>> assess_emergency(session, "S045", act, policy=demo_policy()).now.assessments[0].rule
    'S045'
    """
    admit(session, "assess_emergency", act, policy=policy)
    standing = {each.rule: each for each in escalations(session, policy) if each.severity is Severity.EMERGENCY}
    if rule_id not in standing:
        raise NotFound("No such emergency stands", observed=echo(rule_id), allowed=", ".join(standing) or "none")
    if _over_at(session, rule_id, policy) is None:
        raise GateClosed(
            f"Emergency {rule_id} is not over",
            rule=rule_id,
            observed=standing[rule_id].values,
            allowed="a later reading that is clear",
            next_step="Read again all that the rule looks at",
        )
    reason = act.check_reason(what="Assessing an emergency")
    made = EmergencyAssessment(rule=rule_id, by=act.by, at=act.at, reason=reason)
    return step(session, "assess_emergency", act, written=(made,), assessments=(*session.assessments, made))


def baseline(session: TreatmentSession) -> Reading | None:
    """The last standing pressure before the dose; None if there is none.

    >>> from afterglow.clinic.rulebook import Delivery
    >>> from afterglow.quantities import DrugForm
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> session = TreatmentSession(id="s1", patient_id="p1", course_id="c1", delivery=Delivery.IV, number=1, week=1,
    ...                            drug=DrugForm.RACEMIC_KETAMINE, planned_at=now)
    >>> baseline(session) is None
    True
    """
    return _baseline(standing_readings(session.readings), session.dose_started_at)


def check_values(reading: Reading) -> None:
    """Refuse a slip: a value that no reading can have, half a pressure, a set that holds nothing.

    Raises: OutOfRange with every such value; MissingValue, WrongOrder, about its field; UnknownName for no symptom.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, 9, tzinfo=UTC)
    >>> check_values(Reading(id="r1", taken_at=now, entered_at=now, by="rn1", spo2_pct=93))
    """
    _check_symptoms(reading)
    known = {each: value for each in reading_limits() if (value := getattr(reading, each)) is not None}
    if reading.entered_in_error == bool(known or reading.symptoms or reading.dissociated is not None):
        text = "A reading holds at least one value, and one entered in error holds none"
        raise MissingValue(text, about="systolic_mmhg")
    slips = [slip for name, value in known.items() for slip in _beyond(reading_limits()[name], value)]
    if slips:
        raise first_of(slips)
    if (reading.systolic_mmhg is None) != (reading.diastolic_mmhg is None):
        missing = "systolic_mmhg" if reading.systolic_mmhg is None else "diastolic_mmhg"
        raise MissingValue("A pressure has two numbers", next_step="Enter systolic and diastolic", about=missing)
    if reading.systolic_mmhg is not None and reading.systolic_mmhg <= (reading.diastolic_mmhg or 0):
        raise WrongOrder(
            "Systolic must be above diastolic",
            observed=f"{reading.systolic_mmhg}/{reading.diastolic_mmhg} mmHg",
            next_step="Correct the pressure",
            about="systolic_mmhg",
        )


@cache
def reading_limits() -> Mapping[str, ReadingLimit]:
    """What each reading can be, by field.

    >>> reading_limits()["spo2_pct"].high
    100.0
    """
    file = read_record(DATA, "readings.yaml")
    found = {}
    for row in file.records("readings"):
        low, high = row.pair("range", float)
        name, text, unit = row.text("name"), row.text("text"), row.text("unit")
        provenance = row.provenance()
        if any(key not in sources() for key in provenance.source):
            raise InvalidData("readings.yaml: no such source", observed=", ".join(provenance.source))
        found[name] = row.close(ReadingLimit(name=name, text=text, unit=unit, low=float(low), high=float(high)))
    return MappingProxyType(file.close(found))


def _with_reading(
    session: TreatmentSession, event: str, reading: Reading, act: Act, policy: SitePolicy
) -> Outcome[TreatmentSession]:
    now = replace(session, readings=(*session.readings, reading))
    fired = () if reading.entered_in_error else judge_reading(now, reading, policy)
    hits = [each for each in fired if each.verdict is Verdict.HIT]
    return step(session, event, act, written=(reading, *hits), readings=now.readings)


def _check_may_clear(before: TreatmentSession, after: TreatmentSession, act: Act, policy: SitePolicy) -> None:
    """An emergency is not corrected away by who is no prescriber: its rule was met by what somebody read."""
    met, stands = ({e.rule: e for e in escalations(each, policy)} for each in (before, after))
    cleared = [e for e in met.values() if e.severity is Severity.EMERGENCY and e.rule not in stands]
    if cleared and not act.has(Role.PRESCRIBER):
        raise NotPermitted(
            f"A correction that clears emergency {', '.join(each.rule for each in cleared)} is for a prescriber",
            next_step="A prescriber corrects it, or enter a fresh reading",
        )


def _judged(session: TreatmentSession, policy: SitePolicy) -> Iterator[tuple[Reading, Rule, Facts, Truth]]:
    """Every standing reading against every escalation rule: whether it is met on the facts; None where unknown."""
    looking = _Looking.back_on(session, policy)
    asked = rules_of(Group.ESCALATION, delivery=session.delivery)
    for reading in looking.standing:
        facts = looking.facts(reading)
        for of, met in zip(asked, _truths(tuple(facts.items()), asked, policy), strict=True):
            yield reading, of, facts, met


@lru_cache(maxsize=20_000)  # a day's readings, that every look at a session judges again
def _truths(facts: tuple[tuple[str, Fact | None], ...], asked: tuple[Rule, ...], policy: SitePolicy) -> list[Truth]:
    known = dict(facts)
    return [evaluate(condition_in(each, policy), known) for each in asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looking:
    """A session's standing readings, looked at once for the facts of each."""

    standing: tuple[Reading, ...]
    dose_started_at: datetime | None
    baseline: Reading | None
    level_mmhg: tuple[float, float]  # S042: two pressures at it, minutes apart, are a finding
    apart_min: float

    @classmethod
    def back_on(cls, session: TreatmentSession, policy: SitePolicy) -> _Looking:
        standing = standing_readings(session.readings)
        return cls(
            standing=standing,
            dose_started_at=session.dose_started_at,
            baseline=_baseline(standing, session.dose_started_at),
            level_mmhg=(policy.number("S042.systolic"), policy.number("S042.diastolic")),
            apart_min=policy.number("S042.minutes_apart"),
        )

    def facts(self, reading: Reading) -> dict[str, Fact | None]:
        """What one reading says to the rules."""
        systolic, diastolic = reading.systolic_mmhg, reading.diastolic_mmhg
        found: dict[str, Fact | None] = {
            "bp.systolic": systolic,
            "bp.diastolic": diastolic,
            "vitals.heart_rate": reading.heart_rate_per_min,
            "vitals.spo2": reading.spo2_pct,
            "vitals.respiratory_rate": reading.respiratory_rate_per_min,
            "moaas.score": reading.moaas,
            "readings.dissociated": reading.dissociated,
            "bp.consecutive_readings_at_level": self._at_level(reading),
        }
        base, start = self.baseline, self.dose_started_at
        after = start is not None and reading.taken_at >= start
        if base is not None and after and systolic is not None and diastolic is not None:
            before_s, before_d = base.systolic_mmhg or 0, base.diastolic_mmhg or 0
            rise_s, rise_d = systolic - before_s, diastolic - before_d
            found["bp.systolic_rise"], found["bp.diastolic_rise"] = rise_s, rise_d
            found["bp.change_from_baseline_pct"] = round(max(100 * rise_s / before_s, 100 * rise_d / before_d), 6)
        return dict(reading.symptoms) | found

    def _at_level(self, reading: Reading) -> int | None:
        """How many standing pressures in a row, the last being this one, are at the level, minutes apart."""
        if reading.systolic_mmhg is None:
            return None
        count, counted_at = 0, None
        for each in chain((reading,), self._pressures_before(reading.taken_at)):
            systolic, diastolic = self.level_mmhg
            if (each.systolic_mmhg or 0) < systolic and (each.diastolic_mmhg or 0) < diastolic:
                break
            if counted_at is None or minutes_between(each.taken_at, counted_at) >= self.apart_min:
                count, counted_at = count + 1, each.taken_at
        return count

    def _pressures_before(self, at: datetime) -> Iterator[Reading]:
        """Backwards in time."""
        for place in range(bisect_left(self.standing, at, key=_taken_at) - 1, -1, -1):
            if self.standing[place].systolic_mmhg is not None:
                yield self.standing[place]


def _taken_at(reading: Reading) -> datetime:
    return reading.taken_at


def _baseline(standing: tuple[Reading, ...], start: datetime | None) -> Reading | None:
    for each in reversed(standing):
        if each.systolic_mmhg is not None and (start is None or each.taken_at < start):
            return each
    return None


def _over_at(session: TreatmentSession, rule_id: str, policy: SitePolicy) -> datetime | None:
    """When it was typed that a rule is clear, after the last reading that met it; None if it is not."""
    over_at = None
    for reading, of, _, met in _judged(session, policy):
        if of.id == rule_id and met is not None:
            over_at = None if met else over_at or reading.entered_at
    return over_at


def _check_reading(session: TreatmentSession, reading: Reading, act: Act) -> None:
    if reading.id in {each.id for each in session.readings}:
        raise Conflict("A reading with this id was entered already", observed=echo(reading.id))
    if (login(reading.by), reading.entered_at) != (act.by, act.at):
        raise Conflict("Who enters a reading and when is the act's", next_step="Take both from the act")
    earliest = None if session.arrived_at is None else session.arrived_at - _EARLIEST_BEFORE_ARRIVAL
    if reading.taken_at > reading.entered_at or (earliest is not None and reading.taken_at < earliest):
        raise WrongOrder(
            "The time of the reading is refused",
            observed=f"taken {reading.taken_at:%Y-%m-%d %H:%M} UTC",
            allowed=f"from an hour before arrival to {reading.entered_at:%Y-%m-%d %H:%M} UTC",
            next_step="Correct when it was taken",
        )
    check_values(reading)


def _check_symptoms(reading: Reading) -> None:
    for name, value in reading.symptoms:
        if name.partition(".")[0] not in {"symptoms", "events"} or not isinstance(value, bool):
            raise OutOfRange(
                "This is no symptom",
                observed=f"{echo(name)}: {echo(value)}",
                allowed="symptoms and events, yes or no; a measured value has its own field",
                next_step="Enter the value in its field",
            )
    check_facts(dict(reading.symptoms))


def _beyond(limit: ReadingLimit, value: object) -> Iterator[AfterglowError]:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole and limit.low <= value <= limit.high):  # type: ignore[operator]
        yield OutOfRange(
            f"The {limit.text} is refused",
            observed=f"{value} {limit.unit}",
            allowed=f"{limit.low:g} to {limit.high:g} {limit.unit}",
            next_step="Correct the number",
            about=limit.name,
        )
