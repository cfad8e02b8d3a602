"""What a prescriber decides about the next session, beside the forecast shown then; the model decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from afterglow.clinic import CourseState, Role, TreatmentCourse
from afterglow.errors import MissingValue, Outdated, OutOfRange, WrongState, echo
from afterglow.usecases.desk import use_case
from afterglow.usecases.jobs import forecast_of
from afterglow.usecases.work import Work, Written

_LONGEST_REASON = 500  # characters
_TREATED = (CourseState.INDUCTION, CourseState.REINDUCTION, CourseState.MAINTENANCE, CourseState.PAUSED)


class NextStep(StrEnum):
    """What may be decided; the options stand side by side, and none is proposed."""

    BOOK_BY = "book_by"
    WAIT = "wait"
    REVIEW = "review"
    END = "end"

    @property
    def words(self) -> str:
        """The option as it stands on the card."""
        return _WORDS[self]


_WORDS = {
    NextStep.BOOK_BY: "Book a session by a date",
    NextStep.WAIT: "Wait for the next score",
    NextStep.REVIEW: "Review the plan first",
    NextStep.END: "End the course",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDecision:
    """A decision about the next session, for good; a change is a new one.

    Args:
        by_day: for a session that is to be booked: its last day.
        due_day: the last day under the limit by the forecast that stood then; None without a date.
        digest: of that forecast; empty without one.
    """

    course_id: str
    step: NextStep
    by_day: date | None
    reason: str
    due_day: date | None
    digest: str
    by: str
    at: datetime


@use_case("courses.decide_next", roles=(Role.PRESCRIBER,))
def decide_next(
    work: Work,
    course_id: str,
    *,
    step: NextStep,
    reason: str,
    by_day: date | None = None,
    digest: str = "",
    known: int | None = None,
) -> Written:
    """Record what is decided about the next session; an earlier decision stays in the history.

    `digest` is of the forecast that was looked at, so that nobody decides by one that another has replaced; `known` how
    many decisions about the course were looked at, None for whoever did not look.

    Raises: NotFound; Outdated where a newer forecast or decision stands; WrongState for a course that is not under
        treatment; MissingValue without a reason or a day to book by; OutOfRange for a day that is past, or a reason
        over 500 characters.
    """
    course = work.load(TreatmentCourse, course_id).now
    told = forecast_of(work, course)
    if digest != told.digest:
        raise Outdated("A newer forecast stands", observed="another one", next_step="Look at it, then decide")
    earlier = work.standing(NextDecision, patient_id=course.patient_id, subject=course_id)
    if known not in {None, len(earlier)}:
        last = earlier[-1].fact
        raise Outdated(
            "Somebody decided meanwhile",
            observed=f"{last.step.words.lower()}, by {last.by}",
            next_step="Look at it; send yours again if it still holds",
        )
    if course.state not in _TREATED:
        raise WrongState(
            "Nothing is decided about a next session here",
            observed=course.state.replace("_", " "),
            allowed=", ".join(each.replace("_", " ") for each in _TREATED),
            next_step="Start treatment first",
        )
    if not reason.strip():
        raise MissingValue("A decision needs a reason", about="reason", next_step="Write one sentence")
    if len(reason) > _LONGEST_REASON:
        raise OutOfRange(
            "The reason is too long",
            observed=f"{len(reason)} characters",
            allowed=f"up to {_LONGEST_REASON}",
            about="reason",
        )
    if (step is NextStep.BOOK_BY) != (by_day is not None):
        raise MissingValue(
            "A day belongs to booking a session, and only to that",
            observed="no day" if by_day is None else by_day.isoformat(),
            about="by_day",
            next_step="Give the last day",
        )
    if by_day is not None and by_day < work.now.date():
        raise OutOfRange(
            "The day to book by is past", observed=echo(by_day.isoformat()), allowed="today or later", about="by_day"
        )
    made = NextDecision(
        course_id=course_id,
        step=step,
        by_day=by_day,
        reason=reason.strip(),
        due_day=None if told.answer is None else told.answer.due_day,
        digest=digest,
        by=work.actor.person_id,
        at=work.now,
    )
    work.about(step=step.value)
    return Written(id=work.write(made, patient_id=course.patient_id, subject=course_id))
