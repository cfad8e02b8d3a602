"""What each patient of the demo clinic scores: courses drawn from the calibrated model, picked to fit each story.

The model is calibrated for depression. The score of another condition is the same relief, as a share of the level
before treatment, written on that condition's own scale: a made-up course, no claim about the condition.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from afterglow.clinic import Delivery
from afterglow.demo.cast import Answer, Patient
from afterglow.forecast.proof import Design, simulate_patients
from afterglow.quantities import HOURS_PER_DAY, Dose, DrugForm
from afterglow.therapy.regimen import DoseAdministration, Regimen, Route

INDUCTION = {Delivery.IV: (0, 3, 7, 10, 14, 17), Delivery.ESK: (0, 3, 8, 11, 16, 19, 24, 27)}
_LATER = {
    Delivery.IV: tuple(range(38, 220, 21)),
    Delivery.ESK: (36, 44, 52, 60, *range(75, 220, 15)),
}
LAST_DAY = 200
_BEFORE_DAYS = 0.03  # a score is asked shortly before the session
_BASELINES = (15, 22)
_DRAWN = 120
_FULL = {"PHQ-9": (0, 27), "PCL-5": (0, 80), "PEG": (0, 10)}
_RISES = {Delivery.IV: 7.0, Delivery.ESK: 14.0}  # days until the relief of a story is there
FADED_FROM = 40  # days after the first session from which a story that fades has lost most
_WANTED = {  # share of relief while treated, and once it faded
    Answer.GOOD: (0.65, 0.65),
    Answer.SLOW: (0.36, 0.36),
    Answer.NONE: (0.08, 0.08),
    Answer.FADES: (0.6, 0.15),
}
_AT_START = {"PCL-5": 56.0, "PEG": 7.3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Scores of one patient on PHQ-9: before treatment, and on each day (whole days after the first session)."""

    before: float
    by_day: dict[int, float]

    def at(self, day: int) -> float:
        """The score on a day, or on the last day before it that was asked."""
        known = [each for each in self.by_day if each <= day]
        return self.by_day[max(known)] if known else self.before


def session_days(patient: Patient) -> tuple[int, ...]:
    """Days after the first session on which this patient's schedule has one, up to its last."""
    days = (*INDUCTION[patient.delivery], *_LATER[patient.delivery])
    return days[: patient.sessions]


def courses(patients: tuple[Patient, ...], *, seed: int) -> dict[str, Course]:
    """By name, each patient's own; nobody has another's."""
    chance = random.Random(seed)  # noqa: S311  no secret
    taken: set[tuple[Delivery, int | None, int]] = set()
    found: dict[str, Course] = {}
    for patient in patients:
        key = (patient.delivery, patient.sessions)
        drawn = _drawn(*key, seed)
        order = list(range(len(drawn)))
        chance.shuffle(order)
        best = min(order, key=lambda n: ((*key, n) in taken, _misfit(drawn[n], patient)))
        taken.add((*key, best))
        found[patient.name] = drawn[best]
    return found


def on_scale(patient: Patient, course: Course, day: int | None) -> float:
    """The score on the patient's main scale; before treatment for None."""
    points = course.before if day is None else course.at(day)
    if patient.main_scale == "PHQ-9":
        return points
    low, high = _FULL[patient.main_scale]
    made = min(float(high), max(float(low), _AT_START[patient.main_scale] * points / course.before))
    return round(3 * made) / 3 if patient.main_scale == "PEG" else float(round(made))


def answers_of(scale: str, points: float, chance: random.Random, *, item_9: int = 0) -> list[int]:
    """Answers that add up to a score: PHQ-9, PCL-5, or PEG's three."""
    count, most = {"PHQ-9": (9, 3), "PCL-5": (20, 4), "PEG": (3, 10)}[scale]
    left = round(3 * points) if scale == "PEG" else int(points)
    items = [0] * count
    free = list(range(count))
    if scale == "PHQ-9":
        items[8] = min(item_9, left)
        left -= items[8]
        free.remove(8)
    left = min(left, most * len(free))
    while left > 0:
        least = min(items[each] for each in free)
        place = chance.choice([each for each in free if items[each] <= least + 1 and items[each] < most])
        items[place] += 1
        left -= 1
    return items


@cache
def _drawn(delivery: Delivery, sessions: int | None, seed: int) -> tuple[Course, ...]:
    """Courses of one schedule, as the model draws them."""
    days = [each for each in (*INDUCTION[delivery], *_LATER[delivery])[:sessions] if each < LAST_DAY]
    asked = sorted({*days[1:], *range(1, LAST_DAY, 7)})
    design = Design(
        scale="PHQ-9",
        baselines=_BASELINES,
        sessions=Regimen(tuple(_given(delivery, day) for day in days)),
        score_days=tuple(day - _BEFORE_DAYS for day in asked),
        lead_days=(1,),
        from_day=float(LAST_DAY),
    )
    drawn = simulate_patients(design, count=_DRAWN, seed=seed)
    return tuple(
        Course(
            before=points[0],
            by_day=dict(zip(asked, points[1:], strict=True)),
        )
        for points in ([score.points or 0.0 for score in each.given.scores] for each in drawn)
    )


def _given(delivery: Delivery, day: int) -> DoseAdministration:
    at_h = HOURS_PER_DAY * day
    if delivery is Delivery.ESK:
        dose = Dose(mg=56.0 if day == 0 else 84.0)
        return DoseAdministration(at_h=at_h, drug=DrugForm.ESKETAMINE, route=Route.INTRANASAL, dose=dose)
    drug, dose = DrugForm.RACEMIC_KETAMINE, Dose(mg_per_kg=0.5)
    return DoseAdministration(at_h=at_h, drug=drug, route=Route.IV, dose=dose, infusion_h=40 / 60)


def _misfit(course: Course, patient: Patient) -> float:
    """How far a drawn course is from the story, as mean distance in shares of the level before treatment."""
    now = max(patient.days_ago, 1)
    days = [each for each in course.by_day if each <= now]
    rises = _RISES[patient.delivery]
    high, left = _WANTED[patient.answer]
    apart = []
    for day in days:
        faded = left if patient.answer is Answer.FADES and day > FADED_FROM else high
        apart.append(abs(1.0 - course.at(day) / course.before - faded * min(1.0, day / rises)))
    return sum(apart) / len(apart)
