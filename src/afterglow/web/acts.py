"""What a session's forms ask for: each act reads its form and calls one use case. No rule of care stands here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from fastapi import Request

from afterglow.clinic import Decision, Medicine, RateStep, classes_of
from afterglow.errors import AfterglowError, MissingValue, first_of
from afterglow.predicates import Fact
from afterglow.usecases import patients, room, sessions
from afterglow.usecases.desk import Desk
from afterglow.usecases.room import Vitals
from afterglow.usecases.titration import order_new_rate, set_new_rate
from afterglow.usecases.words import LEAVING, READINGS, SEEN, questions
from afterglow.usecases.work import Actor
from afterglow.usecases.worklists import note_form_sent
from afterglow.web.pages import clinic_of, second_person
from afterglow.web.typed import Typed, as_typed

_AHEAD = timedelta(seconds=10)  # a device's guess of the server's time is not better than that
STEPS = 3  # rows of an order in steps
PARTS = 5  # of the Aldrete score and of PADSS


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One form of a session's page as it came in."""

    request: Request
    desk: Desk
    session_id: str
    typed: Typed

    @property
    def version(self) -> int:
        """The version that the page showed."""
        return self.typed.whole("version", "The version of the page") or 0

    @property
    def zone(self) -> str:
        """The clinic's time zone."""
        return clinic_of(self.desk.store, self.desk.actor.clinic_id).time_zone

    def second(self, what: str) -> Actor:
        """The second person who proves who it is on this screen.

        Raises: MissingValue, LoginRefused, TooManyTries.
        """
        return second_person(self.request, self.desk, self.typed, what)


def vitals_of(typed: Typed) -> Vitals:
    """A set of readings as typed; "none of these seen" says no to each sign, a tick says yes, else nobody looked.

    Raises: OutOfRange, with every number that is none.

    >>> vitals_of(Typed(fields={"systolic_mmhg": "124", "diastolic_mmhg": "78", "dissociated": "no"})).dissociated
    False
    """
    none = typed.ticked("seen_none")
    seen = {name: True for name in SEEN if typed.ticked(name)}
    symptoms = dict.fromkeys(SEEN, False) | seen if none else seen
    numbers, faults = {}, list[AfterglowError]()
    for name, (words, _) in READINGS.items():
        try:
            numbers[name] = typed.whole(name, words)
        except AfterglowError as fault:
            faults.append(fault)
    if faults:
        raise first_of(faults)
    return Vitals(
        **numbers,
        moaas=typed.whole("moaas", "Alertness"),
        dissociated=typed.yes_no("dissociated"),
        symptoms=tuple(symptoms.items()),
    )


def _moment(asked: Asked, clock: str) -> datetime | None:
    """When it was: as the device says (its guess of our time may be ahead by little), or as typed; None for now."""
    now = asked.desk.store.clock()
    said = asked.typed.moment("taken_at")
    if said is None:
        return asked.typed.at(clock, now=now, zone=asked.zone)
    return min(said, now) if said - now < _AHEAD else said


def _arrive(asked: Asked) -> None:
    sessions.check_in(asked.desk, asked.session_id)


def _reading(asked: Asked) -> None:
    room.read_vitals(
        asked.desk,
        asked.session_id,
        vitals_of(asked.typed),
        id=asked.typed.text("id") or None,
        taken_at=_moment(asked, "taken"),
        tablet_at=asked.typed.moment("tablet_at"),
    )


def _correct(asked: Asked) -> None:
    in_error = asked.typed.ticked("in_error")
    room.correct_vitals(
        asked.desk,
        asked.session_id,
        asked.typed.needed("reading_id", "The reading"),
        vitals=None if in_error else vitals_of(asked.typed),
        reason=asked.typed.needed("reason", "The reason"),
    )


def _event(asked: Asked) -> None:
    room.note_event(
        asked.desk,
        asked.session_id,
        term=asked.typed.needed("term", "What happened"),
        started_at=_moment(asked, "started"),
        intervention=asked.typed.text("intervention") or None,
        grade=asked.typed.whole("grade", "The grade"),
        serious=asked.typed.yes_no("serious"),
        id=asked.typed.text("id") or None,
        tablet_at=asked.typed.moment("tablet_at"),
    )


def _answers(asked: Asked) -> dict[str, Fact | None]:
    """The questions of screening as answered; what was asked today beside them goes into the chart."""
    session = sessions.read_session(replace(asked.desk, refresh=True, request_key=None), asked.session_id).shown.session
    facts: dict[str, Fact | None] = {}
    for _, group in questions(session.delivery):
        for each in group:
            name = each.name
            facts[name] = asked.typed.number(name, each.words) if each.number else asked.typed.yes_no(name)
    done: dict[str, Fact | None] = {
        f"workup.{name.removeprefix('workup_')}.age_days": 0
        for name in asked.typed.fields
        if name.startswith("workup_w") and asked.typed.ticked(name)
    }
    if done:
        patients.note_facts(replace(asked.desk, request_key=None), session.patient_id, done)
    return facts


def _screen(asked: Asked) -> None:
    known = {name: value for name, value in _answers(asked).items() if value is not None}
    sessions.screening(asked.desk, asked.session_id, known)


def _amend(asked: Asked) -> None:
    """Only what differs from what the form showed: the others, and what a colleague changed meanwhile, stay."""
    shown = {name: value for name, _, value in (each.partition("=") for each in asked.typed.text("before").split())}
    reason = asked.typed.needed("reason", "The reason")
    changed = {name: fact for name, fact in _answers(asked).items() if as_typed(fact) != shown.get(name, "")}
    if changed or not any(name.startswith("workup_w") for name in asked.typed.fields):
        sessions.amend(asked.desk, asked.session_id, changed, reason=reason)


def _medicines(asked: Asked) -> None:
    here = replace(asked.desk, refresh=True, request_key=None)
    sheet = sessions.read_session(here, asked.session_id).shown.session
    patients.reconcile_medicines(asked.desk, sheet.patient_id, medicines_of(asked.typed), visit=asked.session_id)


def medicines_of(typed: Typed) -> tuple[Medicine, ...]:
    """The list as gone through, a row each; a row without a name, or that was stopped, is left out.

    Raises: OutOfRange.

    >>> medicines_of(Typed(fields={"ingredient_0": "lithium", "ingredient_1": "zolpidem", "stopped_1": "yes"}))[0].dose
    """
    return tuple(
        Medicine(
            ingredient=ingredient,
            dose=typed.text(f"dose_{i}") or None,
            classes=_classes(typed, i),
            diazepam_equivalent_mg_per_day=typed.number(f"diazepam_{i}", "The diazepam equivalent"),
        )
        for i in range(30)
        if (ingredient := typed.text(f"ingredient_{i}")) and not typed.ticked(f"stopped_{i}")
    )


def _classes(typed: Typed, i: int) -> tuple[str, ...] | None:
    """The interacting class that was chosen; "none" says that it belongs to none, an empty choice says nothing."""
    chosen = typed.text(f"class_{i}")
    known = classes_of(Medicine(ingredient=typed.text(f"ingredient_{i}")))
    if chosen == "keep":
        return tuple(typed.text(f"classes_{i}").split()) if typed.text(f"classes_{i}") else known
    return None if not chosen else () if chosen == "none" else (chosen,)


def _steps(typed: Typed) -> tuple[RateStep, ...]:
    """Rates in steps as typed, a row each; a row of which half is empty is refused."""
    found = []
    for i in range(1, STEPS + 1):
        if typed.text(f"mg_per_h_{i}") or typed.text(f"hours_{i}"):
            rate, hours = (
                typed.needed_number(f"mg_per_h_{i}", "The rate"),
                typed.needed_number(f"hours_{i}", "The hours"),
            )
            found.append(RateStep(mg_per_h=rate, hours=hours))
    return tuple(found)


def _order_rate(asked: Asked) -> None:
    reason = asked.typed.needed("reason", "The reason")
    order_new_rate(asked.desk, asked.session_id, _steps(asked.typed), reason=reason, version=asked.version)


def _set_rate(asked: Asked) -> None:
    rate = asked.typed.needed_number("mg_per_h", "The rate")
    rest_ug = asked.typed.needed_thousandths("rest_mg", "What is left to give")
    set_new_rate(
        asked.desk,
        asked.session_id,
        second=asked.second("The second check"),
        mg_per_h=rate,
        rest_ug=rest_ug,
        version=asked.version,
    )


def _order(asked: Asked) -> None:
    sessions.order(
        asked.desk,
        asked.session_id,
        dose_mg=asked.typed.number("dose_mg", "The dose"),
        dose_mg_per_kg=asked.typed.number("dose_mg_per_kg", "The dose"),
        steps=_steps(asked.typed),
        infusion_min=asked.typed.number("infusion_min", "The length of the infusion"),
    )


def _countersign(asked: Asked) -> None:
    sessions.countersign(asked.desk, asked.session_id)


def _prepare(asked: Asked) -> None:
    diluted = asked.typed.yes_no("diluted")
    sessions.prepare(
        asked.desk,
        asked.session_id,
        weight_kg=asked.typed.number("weight_kg", "The weight"),
        concentration_mg_per_ml=asked.typed.whole("concentration_mg_per_ml", "The concentration"),
        diluted=bool(diluted),
    )


def _second_check(asked: Asked) -> None:
    desk = asked.desk
    if asked.typed.text("second_login"):
        desk = replace(desk, actor=asked.second("The second check"))
    sessions.second_check(
        desk,
        asked.session_id,
        amount_ug=asked.typed.needed_thousandths("amount_mg", "The amount"),
        volume_ul=asked.typed.thousandths("volume_ml", "The volume"),
        concentration_ug_per_ul=asked.typed.whole("concentration_mg_per_ml", "The concentration"),
    )


def _answer(asked: Asked) -> None:
    second = asked.second("The second signature") if asked.typed.text("second_login") else None
    leaving = leave_points(asked.typed) if asked.typed.ticked("leaving") else None
    first, *also = asked.typed.needed("rule", "The rule").split()
    sessions.answer(
        asked.desk,
        asked.session_id,
        first,
        also=also,
        decision=Decision(asked.typed.one_of("decision", Decision, "The decision")),
        reason=asked.typed.needed("reason", "The reason"),
        leaving=leaving,
        cosigner=second,
    )


def _decide(asked: Asked) -> None:
    if asked.typed.one_of("decision", ("go", "no_go"), "The decision") == "go":
        sessions.say_go(asked.desk, asked.session_id, version=asked.version)
    else:
        sessions.say_no_go(asked.desk, asked.session_id, reason=asked.typed.needed("reason", "The reason for no go"))


def _back(asked: Asked) -> None:
    sessions.take_back_go(asked.desk, asked.session_id, reason=asked.typed.needed("reason", "The reason"))


def _take(asked: Asked) -> None:
    room.take(
        asked.desk,
        asked.session_id,
        asked.typed.needed("container_id", "The container"),
        amount_ug=asked.typed.needed_thousandths("amount_mg", "The amount"),
    )


def _start(asked: Asked) -> None:
    room.start(asked.desk, asked.session_id, version=asked.version)


def _device(asked: Asked) -> None:
    room.use_device(
        asked.desk,
        asked.session_id,
        asked.typed.needed("container_id", "The device"),
        green_dots_checked=asked.typed.yes_no("green_dots_checked"),
        primed=asked.typed.yes_no("primed"),
    )


def _hold(asked: Asked) -> None:
    room.pause_dose(asked.desk, asked.session_id, reason=asked.typed.needed("reason", "The reason"))


def _resume(asked: Asked) -> None:
    room.go_on(asked.desk, asked.session_id, version=asked.version)


def _amounts(typed: Typed) -> tuple[tuple[str, int], ...]:
    """What was given from each container that the form names; none may be left blank, 0 is typed."""
    given = (name for name in typed.fields if name.startswith("given_"))
    return tuple((name.removeprefix("given_"), typed.needed_thousandths(name, "The amount given")) for name in given)


def _finish_dose(asked: Asked) -> None:
    reason = asked.typed.text("reason") or None
    room.end_dose(asked.desk, asked.session_id, amounts_ug=_amounts(asked.typed), reason=reason)


def _stop(asked: Asked) -> None:
    reason = asked.typed.needed("reason", "The reason")
    room.stop_early(asked.desk, asked.session_id, reason=reason, amounts_ug=_amounts(asked.typed))


def _assess(asked: Asked) -> None:
    reason = asked.typed.needed("reason", "What you found")
    room.assess(asked.desk, asked.session_id, asked.typed.needed("rule", "The rule"), reason=reason)


def _grade(asked: Asked) -> None:
    number, serious = asked.typed.whole("grade", "The grade"), asked.typed.yes_no("serious")
    if number is None or serious is None:
        raise MissingValue(
            "A grade needs a number, and whether the event is serious",
            next_step="Choose both",
            about="grade" if number is None else "serious",
        )
    room.grade(
        asked.desk,
        asked.session_id,
        asked.typed.needed("event_id", "The event"),
        grade=number,
        serious=serious,
        ended_at=asked.typed.at("ended", now=asked.desk.store.clock(), zone=asked.zone),
        reason=asked.typed.text("reason") or None,
    )


def _void_event(asked: Asked) -> None:
    event_id = asked.typed.needed("event_id", "The event")
    room.take_event_back(asked.desk, asked.session_id, event_id, reason=asked.typed.needed("reason", "The reason"))


def leave_points(typed: Typed) -> dict[str, bool | None]:
    """The points of the leave check as answered."""
    return {name: typed.yes_no(name) for name in LEAVING if name != "signed"} | {
        "signed": True if typed.ticked("signed") else None
    }


def _parts(typed: Typed, scale: str) -> tuple[int, ...] | None:
    """The parts of a scale; None unless each is scored."""
    points = [typed.whole(f"{scale}_{i}", "A part of the score") for i in range(1, PARTS + 1)]
    return None if None in points else tuple(point or 0 for point in points)


def _leave(asked: Asked) -> None:
    room.let_go(
        asked.desk,
        asked.session_id,
        leave_points(asked.typed),
        aldrete=_parts(asked.typed, "aldrete"),
        padss=_parts(asked.typed, "padss"),
        version=asked.version,
    )


def _walk_out(asked: Asked) -> None:
    room.left_unchecked(asked.desk, asked.session_id, reason=asked.typed.needed("reason", "The reason"))


def _transfer(asked: Asked) -> None:
    room.hand_over_to_emergency(asked.desk, asked.session_id, reason=asked.typed.needed("reason", "The reason"))


def _waste(asked: Asked) -> None:
    amount = asked.typed.needed_thousandths("amount_mg", "The amount")
    room.waste_drug(
        asked.desk,
        asked.session_id,
        asked.typed.needed("container_id", "The container"),
        amount_ug=amount,
        reason=asked.typed.needed("reason", "The reason"),
        witness=asked.second("The witness"),
    )


def _give_back(asked: Asked) -> None:
    room.return_drug(
        asked.desk,
        asked.session_id,
        asked.typed.needed("container_id", "The container"),
        amount_ug=asked.typed.needed_thousandths("amount_mg", "The amount"),
        reason=asked.typed.needed("reason", "The reason"),
    )


def _sign_note(asked: Asked) -> None:
    room.sign(asked.desk, asked.session_id)


def _close(asked: Asked) -> None:
    room.finish(asked.desk, asked.session_id, version=asked.version)


def _cancel(asked: Asked) -> None:
    sessions.call_off(asked.desk, asked.session_id, reason=asked.typed.needed("reason", "The reason"))


def _form_sent(asked: Asked) -> None:
    note_form_sent(asked.desk, asked.session_id, reference=asked.typed.text("reference"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAct:
    """One act of the page.

    Args:
        case: the use case's name, which says who may.
        goes_to: the part of the page where one goes on after it.
    """

    do: Callable[[Asked], None]
    case: str
    goes_to: str = "main"


def _acts() -> dict[str, SessionAct]:
    table: tuple[tuple[str, Callable[[Asked], None], str, str], ...] = (
        ("arrive", _arrive, "arrive", "main"),
        ("reading", _reading, "enter_reading", "reading-systolic_mmhg"),
        ("correct", _correct, "correct_reading", "sheet"),
        ("event", _event, "record_event", "events"),
        ("screen", _screen, "screen", "gates"),
        ("amend", _amend, "amend_screening", "gates"),
        ("order", _order, "order", "dose"),
        ("countersign", _countersign, "countersign", "dose"),
        ("prepare", _prepare, "prepare", "dose"),
        ("second_check", _second_check, "second_check", "dose"),
        ("answer", _answer, "answer", "main"),
        ("decide", _decide, "go", "main"),
        ("back", _back, "back_to_screen", "gates"),
        ("take", _take, "take_drug", "dose"),
        ("start", _start, "start_dose", "main"),
        ("device", _device, "give_device", "dose"),
        ("hold", _hold, "hold", "dose"),
        ("order_rate", _order_rate, "order_rate", "dose"),
        ("set_rate", _set_rate, "set_rate", "dose"),
        ("resume", _resume, "resume", "dose"),
        ("finish_dose", _finish_dose, "finish_dose", "main"),
        ("stop", _stop, "stop_dose", "main"),
        ("assess", _assess, "assess_emergency", "main"),
        ("grade", _grade, "grade_event", "events"),
        ("void_event", _void_event, "void_event", "events"),
        ("leave", _leave, "clear_to_leave", "main"),
        ("walk_out", _walk_out, "walk_out", "main"),
        ("transfer", _transfer, "transfer", "main"),
        ("waste", _waste, "waste", "close"),
        ("give_back", _give_back, "give_back", "close"),
        ("sign_note", _sign_note, "sign_note", "close"),
        ("close", _close, "close", "main"),
        ("cancel", _cancel, "cancel", "main"),
        ("form_sent", _form_sent, "form_sent", "close"),
    )
    found = {name: SessionAct(do=do, case=f"sessions.{case}", goes_to=to) for name, do, case, to in table}
    found["medicines"] = SessionAct(do=_medicines, case="patients.reconcile_medicines", goes_to="gates")
    return found


ACTS: Mapping[str, SessionAct] = MappingProxyType(_acts())
"""Every act of the page, by the last part of its address."""
