"""Every transition of every machine as a table: what may happen where, who may do it, and that nothing else can."""

from __future__ import annotations

import pytest
from tests.clinic_cases import START

from afterglow.clinic import ALERT, BOOKING, CONTAINER, COURSE, SESSION, Act, Role, StateTable
from afterglow.errors import MissingValue, NotPermitted, WrongState

# State -> event -> state after it; "=" stays, "<" goes back where it was.
RATE = ("order_rate", "set_rate", "countersign_order")
READ = ("enter_reading", "correct_reading", "record_event", "void_event")
IN_USE = {
    "draw": "opened",
    "draw_all": "spent",
    "put_back": "opened",
    "put_back_all": "sealed",
    "waste": "spent",
    "count": "=",
    "miscount": "discrepant",
    "waste_drawn": "=",
}
TABLES: dict[StateTable, dict[str, dict[str, str]]] = {
    COURSE: {
        "inquiry": {"accept": "candidacy", "stop": "stopped"},
        "candidacy": {"find_suitable": "consent", "stop": "stopped"},
        "consent": {"await_cover": "authorisation", "stop": "stopped"},
        "authorisation": {"start": "induction", "stop": "stopped"},
        "induction": {"maintain": "maintenance", "pause": "paused", "relapse": "relapse", "stop": "stopped"},
        "reinduction": {"maintain": "maintenance", "pause": "paused", "relapse": "relapse", "stop": "stopped"},
        "maintenance": {"pause": "paused", "relapse": "relapse", "stop": "stopped"},
        "paused": {"resume": "<", "relapse": "relapse", "stop": "stopped"},
        "relapse": {"induce_again": "reinduction", "recover": "maintenance", "stop": "stopped"},
        "stopped": {},
    },
    SESSION: {
        "booked": {
            "arrive": "arrived",
            "miss": "missed",
            "cancel": "cancelled",
            **dict.fromkeys(("order_dose", "countersign_order"), "="),
        },
        "arrived": {
            "transfer": "left",
            "screen": "screened",
            "cancel": "cancelled",
            **dict.fromkeys(("order_dose", "countersign_order", "attach_dose", *READ), "="),
        },
        "screened": {
            "transfer": "left",
            "go": "cleared",
            "no_go": "cancelled",
            "cancel": "cancelled",
            **dict.fromkeys(("screen", "amend_screening", "order_dose", "countersign_order", "attach_dose"), "="),
            **dict.fromkeys((*READ, "answer_finding", "account_drug"), "="),
        },
        "cleared": {
            "transfer": "left",
            "start_dose": "dosing",
            "back_to_screen": "screened",
            "cancel": "cancelled",
            **dict.fromkeys((*READ, "answer_finding", "take_drug", "account_drug"), "="),
        },
        "dosing": {
            "hold": "held",
            "finish_dose": "observing",
            "stop": "observing",
            **dict.fromkeys((*READ, "answer_finding", "assess_emergency"), "="),
            **dict.fromkeys(("give_device", "take_drug", "account_drug", *RATE), "="),
        },
        "held": {
            "resume": "dosing",
            "stop": "observing",
            **dict.fromkeys((*READ, "answer_finding", "assess_emergency", "take_drug", "account_drug", *RATE), "="),
        },
        "observing": {
            "clear_to_leave": "left",
            "walk_out": "left",
            "transfer": "left",
            **dict.fromkeys((*READ, "answer_finding", "assess_emergency", "account_drug", "grade_event"), "="),
        },
        "left": {
            "close": "closed",
            **dict.fromkeys((*READ, "answer_finding", "account_drug", "grade_event", "sign_note"), "="),
        },
        "closed": dict.fromkeys(("correct_reading", "record_event", "void_event", "grade_event"), "="),
        "cancelled": {},
        "missed": {"undo_miss": "booked"},
    },
    CONTAINER: {
        "sealed": IN_USE,
        "opened": IN_USE,
        "spent": {
            "put_back": "opened",
            "put_back_all": "sealed",
            "count": "=",
            "miscount": "discrepant",
            "waste_drawn": "=",
        },
        "discrepant": {"explain": "opened", "explain_empty": "spent", "waste_drawn": "="},
    },
    BOOKING: {
        "booked": {"move": "=", "arrive": "arrived", "cancel": "cancelled", "no_show": "no_show"},
        "arrived": {"leave": "left", "stay": "="},
        "left": {},
        "cancelled": {},
        "no_show": {"undo_no_show": "booked"},
    },
    ALERT: {
        "open": {"read": "seen", "escalate": "=", "hand_over": "="},
        "seen": {"act": "acted", "escalate": "=", "hand_over": "="},
        "acted": {"act": "acted", "close": "closed", "escalate": "=", "hand_over": "="},
        "closed": {},
    },
}
WITH_REASON = {
    "course": {"pause", "relapse", "recover"},
    "session": {
        *(
            "miss",
            "undo_miss",
            "cancel",
            "no_go",
            "amend_screening",
            "back_to_screen",
            "hold",
            "stop",
            "walk_out",
            "transfer",
        ),
        *("correct_reading", "answer_finding", "assess_emergency", "account_drug", "order_rate"),
        "void_event",
    },
    "container": {"put_back", "put_back_all", "waste", "waste_drawn", "explain", "explain_empty"},
    "booking": {"move", "cancel", "no_show", "undo_no_show", "stay"},
    "alert": {"act", "hand_over"},
}
EVERYBODY = Act(by="all", roles=tuple(Role), at=START, reason="a reason")
MACHINES = pytest.mark.parametrize("machine", TABLES, ids=lambda machine: machine.machine)


@MACHINES
def test_what_may_happen_and_nothing_else(machine: StateTable) -> None:
    assert set(machine.states) == set(TABLES[machine])
    events = {row.event for row in machine.rows}
    for state, allowed in TABLES[machine].items():
        assert set(machine.events(state)) == set(allowed), state
        for event in events:
            if event in allowed:
                step = machine.step(state, event, EVERYBODY, subject="x")
                assert step.after == (state if allowed[event] in {"=", "<"} else allowed[event])
                assert (step.before, step.by, step.at, step.reason) == (state, "all", START, "a reason")
            else:
                with pytest.raises(WrongState, match="cannot"):
                    machine.step(state, event, EVERYBODY, subject="x")


@MACHINES
def test_who_may(machine: StateTable) -> None:
    for row in machine.rows:
        for role in Role:
            one = Act(by="one", roles=(role,), at=START, reason="a reason")
            if role in row.roles:
                assert machine.check(row.states[0], row.event, one) is row
            else:
                with pytest.raises(NotPermitted, match="you are here as"):
                    machine.check(row.states[0], row.event, one)


@MACHINES
def test_which_need_a_reason(machine: StateTable) -> None:
    for row in machine.rows:
        silent = Act(by="all", roles=tuple(Role), at=START, reason=" ")
        if row.event in WITH_REASON[machine.machine]:
            with pytest.raises(MissingValue, match="needs a reason"):
                machine.check(row.states[0], row.event, silent)
        else:
            machine.check(row.states[0], row.event, silent)


@MACHINES
def test_the_diagram_has_an_arrow_for_each_transition(machine: StateTable) -> None:
    lines = [line.strip() for line in machine.mermaid()]
    for state, allowed in TABLES[machine].items():
        for event, after in allowed.items():
            if after != "<":
                assert f"{state} --> {state if after == '=' else after}: {event}" in lines
    assert lines[:2] == ["stateDiagram-v2", f"[*] --> {machine.initial}"]
    back = [line for line in lines if "(back where it was)" in line]
    ahead = [after for allowed in TABLES[machine].values() for after in allowed.values() if after != "<"]
    assert sum(":" in line for line in lines) - len(back) == len(ahead)


def test_a_paused_course_resumes_where_it_was() -> None:
    lines = [line.strip() for line in COURSE.mermaid()]
    back = [line for line in lines if line.startswith("paused --> ") and "resume" in line]
    assert back == [f"paused --> {s}: resume (back where it was)" for s in ("induction", "reinduction", "maintenance")]
    (resume,) = (row for row in COURSE.rows if row.event == "resume")
    assert resume.goes_to == "back where it was"
