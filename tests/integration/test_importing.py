"""A clinic's history comes in whole, once, and for the right patient."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.desks import at_work, desk

from afterglow.clinic import Role
from afterglow.errors import MalformedFile, UnwritableFile
from afterglow.protocol import RecordedScore, RecordedSession
from afterglow.protocol.history_file import parse_mapping, read_history
from afterglow.store import audit, facts, patients
from afterglow.store.codec import encode
from afterglow.store.records import Store
from afterglow.usecases.desk import Desk
from afterglow.usecases.importing import ImportReport, PastAnswers, check_history, import_history, write_rejected

NOW = datetime(2026, 3, 2, tzinfo=UTC)
MAPPING = """
time_zone: UTC
files:
  p.csv: {kind: patients, columns: {patient: MRN, name: Name, born_on: DOB}, dates: ["%Y-%m-%d"]}
  s.csv: {kind: scores, columns: {patient: MRN, at: When, total: Sum, scale: Scale}, items: {"1": A, "2": B, "3": C},
    dates: ["%Y-%m-%d %H:%M"]}
  d.csv: {kind: sessions, columns: {patient: MRN, at: When, dose: Dose, infusion: Over},
    fixed: {drug: racemic_ketamine, route: iv}, dates: ["%Y-%m-%d %H:%M"]}
"""
PATIENTS = ("7,Ann Early,1980-03-02", "8,Bea Late,")


def brought(
    desk_: Desk,
    folder: Path,
    *,
    p: tuple[str, ...] = PATIENTS,
    s: tuple[str, ...] = (),
    d: tuple[str, ...] = (),
    dry: bool = False,
) -> ImportReport:
    heads = {"p": "MRN,Name,DOB", "s": "MRN,When,Scale,Sum,A,B,C", "d": "MRN,When,Dose,Over"}
    for name, lines in (("p", p), ("s", s), ("d", d)):
        (folder / f"{name}.csv").write_text("\n".join([heads[name], *lines, ""]), encoding="utf-8")
    paths = [folder / "s.csv", folder / "d.csv", folder / "p.csv"]  # patients come first whatever the order
    rows = read_history(parse_mapping(MAPPING), paths, now=NOW)
    return check_history(desk_, rows).shown if dry else import_history(desk_, rows)


@pytest.fixture
def clinic(store: Store) -> Store:
    return at_work(store)


SCORES = ("7,2026-01-05 09:00,PHQ-9,18,,,", "7,2026-01-06 09:00,PEG,,3,4,5")
SESSIONS = ("8,2026-01-05 09:00,40 mg,40 min",)


def test_a_history_comes_in_once(clinic: Store, tmp_path: Path) -> None:
    me = desk(clinic, Role.SYSTEM)
    expected = {"patients": 2, "scores": 2, "sessions": 1}
    assert brought(me, tmp_path, s=SCORES, d=SESSIONS, dry=True).new == expected
    assert brought(me, tmp_path, s=SCORES, d=SESSIONS).new == expected
    again = brought(me, tmp_path, s=SCORES, d=SESSIONS)
    assert (again.new, again.known, again.rejected) == ({}, expected, ())
    with clinic.read("north") as tx:
        (ann,) = patients.find_exact(tx, record_number="7")
        scores = [each.fact for each in facts.standing(tx, RecordedScore, patient_id=ann)]
        (answers,) = facts.standing(tx, PastAnswers, patient_id=ann)
        assert len(facts.standing(tx, RecordedSession)) == 1
        assert [each.action for each in audit.who(tx, ann)] == ["history.imported"]
    assert [(each.scale, each.points) for each in scores if each] == [("PHQ-9", 18), ("PEG", 4)]  # (3 + 4 + 5) / 3
    assert answers.fact is not None
    assert (answers.fact.instrument, len(encode(answers.fact)) < 200) == ("PEG", True)
    assert dict(answers.fact.items) == {"1": 3, "2": 4, "3": 5}
    assert audit.verify(clinic, "north").faults == ()


def test_a_corrected_score_does_not_come_back(clinic: Store, tmp_path: Path) -> None:
    me = desk(clinic, Role.SYSTEM)
    brought(me, tmp_path, s=SCORES[:1])
    with clinic.write("north", by="nurse-1") as tx:
        (was,) = facts.standing(tx, RecordedScore)
        facts.mark_in_error(tx, was.id, reason="of somebody else")
        tx.event("score.in_error")
    assert brought(me, tmp_path, s=SCORES[:1]).new == {}


@pytest.mark.parametrize(
    ("p", "s", "why"),
    [
        (PATIENTS, ("9,2026-01-05 09:00,PHQ-9,18,,,",), "No patient has this record number"),
        (PATIENTS, ("7,1980-03-01 09:00,PHQ-9,18,,,",), "earlier than the patient's birth"),
        ((*PATIENTS, "7,Cleo Other,1980-03-02"), (), "another name or birth date"),
        ((*PATIENTS, "7,ann  early,1980-03-03"), (), "another name or birth date"),
        ((*PATIENTS, "9,Cleo\u202e Other,1980-03-02"), (), "The patient's name is refused"),
        ((*PATIENTS, "9,Cleo Other,1880-03-02"), (), "The birth date is too long ago"),
        ((*PATIENTS, "9,Cleo Other,2098-03-02"), (), "The birth date is in the future"),
        ((*PATIENTS, "8,Bea Late,1990-01-01"), (), "here already with another born_on"),
        (PATIENTS, ("7,2026-01-05 09:00,PHQ-9,99,,,",), "PHQ-9"),
        ((*PATIENTS, "007,Ann  EARLY,1980-03-02"), (), "has another record number"),
        ((*PATIENTS, "007,Ann Early,"), (), "has another record number"),
        ((*PATIENTS, "9,Béa Late,1990-01-01"), (), "has another record number"),
    ],
)
def test_rows_that_are_rejected(
    clinic: Store, tmp_path: Path, p: tuple[str, ...], s: tuple[str, ...], why: str
) -> None:
    report = brought(desk(clinic, Role.SYSTEM), tmp_path, p=p, s=s)
    (rejected,) = report.rejected
    assert why in rejected.why.refused
    (path,) = write_rejected(report, tmp_path)
    head, row = path.read_text(encoding="utf-8").splitlines()
    assert head.startswith("line,why,MRN")
    assert row.startswith(f"{rejected.row.place.line},")
    assert why in row
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UnwritableFile):
        write_rejected(report, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("s", "d", "lines"),
    [
        ((SCORES[0], "7,2026-01-05 09:00,PHQ-9,17,,,", SCORES[0]), (), ("s.csv:2", "s.csv:3", "s.csv:4")),
        ((), (SESSIONS[0], "8,2026-01-05 09:00,50 mg,40 min"), ("d.csv:2", "d.csv:3")),
        ((), (SESSIONS[0], "8,2026-01-05 09:00,4000 mg,40 min"), ("d.csv:2", "d.csv:3")),
    ],
)
def test_rows_that_disagree_are_all_rejected(
    clinic: Store, tmp_path: Path, s: tuple[str, ...], d: tuple[str, ...], lines: tuple[str, ...]
) -> None:
    report = brought(desk(clinic, Role.SYSTEM), tmp_path, s=s, d=d)
    assert report.new == {"patients": 2}
    assert tuple(str(each.row.place) for each in report.rejected) == lines


def test_a_row_that_disagrees_with_the_records(clinic: Store, tmp_path: Path) -> None:
    me = desk(clinic, Role.SYSTEM)
    brought(me, tmp_path, s=SCORES[:1])
    report = brought(me, tmp_path, s=("7,2026-01-05 09:00,PHQ-9,17,,,",))
    assert [each.why.refused for each in report.rejected] == ["Another row says otherwise of the same time"]
    assert report.new == {}


def test_one_of_a_name_with_another_birth_date_is_somebody_else(clinic: Store, tmp_path: Path) -> None:
    report = brought(desk(clinic, Role.SYSTEM), tmp_path, p=(*PATIENTS, "9,Ann Early,1981-03-02"))
    assert (report.new, report.rejected) == ({"patients": 3}, ())


def test_a_patient_of_the_records_does_not_come_in_again_under_another_number(clinic: Store, tmp_path: Path) -> None:
    me = desk(clinic, Role.SYSTEM)
    brought(me, tmp_path)
    report = brought(me, tmp_path, p=("70,Ann Early,1980-03-02",), s=("70,2026-01-05 09:00,PHQ-9,18,,,",))
    assert [each.why.refused for each in report.rejected] == [
        "A patient of this name and birth date has another record number",
        "No patient has this record number",
    ]
    assert report.new == {}


def test_contact_that_differs_from_the_records_is_not_lost_without_a_word(clinic: Store, tmp_path: Path) -> None:
    me = desk(clinic, Role.SYSTEM)
    mapping = parse_mapping(
        "{time_zone: UTC, files: "
        "{p.csv: {kind: patients, columns: {patient: MRN, name: Name, email: Mail, phone: Tel}}}}"
    )

    def report(mail: str, phone: str) -> ImportReport:
        (tmp_path / "p.csv").write_text(f"MRN,Name,Mail,Tel\n7,Ann Early,{mail},{phone}\n", encoding="utf-8")
        return import_history(me, read_history(mapping, [tmp_path / "p.csv"], now=NOW))

    assert report("a@x.example", "044 1").new == {"patients": 1}
    for mail, phone in (("A@X.example", "044 1"), ("a@x.example", ""), ("", "")):
        assert report(mail, phone).known == {"patients": 1}
    (rejected,) = report("b@x.example", "044 2").rejected
    assert rejected.why.refused == "The patient is here already with another email and phone"
    assert "x.example" not in rejected.why.message


def test_a_clean_import_takes_old_rejected_rows_away(clinic: Store, tmp_path: Path) -> None:
    me = desk(clinic, Role.SYSTEM)
    bad = brought(me, tmp_path, s=("9,2026-01-05 09:00,PHQ-9,18,,,,one,more",))
    (path,) = write_rejected(bad, tmp_path, ["p.csv", "s.csv"])
    row = path.read_text(encoding="utf-8").splitlines()[1]
    assert row.endswith("9,2026-01-05 09:00,PHQ-9,18,,,,one,more")  # as it was, also what is beyond the header
    assert write_rejected(brought(me, tmp_path), tmp_path, ["p.csv", "s.csv"]) == ()
    assert not path.exists()
    path.mkdir()
    with pytest.raises(UnwritableFile, match="Old rejected rows"):
        write_rejected(brought(me, tmp_path), tmp_path, ["s.csv"])


@pytest.mark.parametrize(
    ("dose", "said"),
    [
        ("0 mg", "0 mg/kg"),
        ("0.04 mg", "0.001 mg/kg"),
        ("40 mcg", "0.001 mg/kg"),
        ("0.005 mg/kg", "0.005 mg/kg"),
    ],
)
def test_a_dose_that_is_next_to_nothing_is_no_session(clinic: Store, tmp_path: Path, dose: str, said: str) -> None:
    report = brought(desk(clinic, Role.SYSTEM), tmp_path, d=(f"8,2026-01-05 09:00,{dose},40 min",))
    (rejected,) = report.rejected
    assert rejected.why.refused.endswith("is next to nothing")
    assert said in rejected.why.message
    assert "fava2020" in rejected.why.message
    low = brought(desk(clinic, Role.SYSTEM), tmp_path, d=("8,2026-01-05 09:00,0.1 mg/kg,40 min",))
    assert (low.new, low.rejected) == ({"sessions": 1}, ())


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("", "The file lacks the columns DOB, MRN, Name; found no header"),
        ("MRN,Called,DOB", "The file lacks the columns Name; found MRN, Called, DOB"),
        ("MRN,Name,DOB,Name", "Two columns have the same name; found Name"),
    ],
)
def test_a_header_that_cannot_be_trusted_takes_nothing(tmp_path: Path, head: str, why: str) -> None:
    (tmp_path / "p.csv").write_text(f"{head}\n", encoding="utf-8")
    with pytest.raises(MalformedFile, match=why):
        read_history(parse_mapping(MAPPING), [tmp_path / "p.csv"], now=NOW)


def test_an_answer_in_words_that_the_mapping_lacks(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        "MRN,When,Scale,Sum,A,B,C\n7,2026-01-06 09:00,PEG,,sometimes,4,5\n", encoding="utf-8"
    )
    for words, allowed in (
        ("", "a whole number. "),
        (', words: {"never": 0}', "or one of the mapping's words: never. "),
    ):
        mapping = parse_mapping(MAPPING.replace('"3": C}', '"3": C}' + words))
        (row,) = read_history(mapping, [tmp_path / "s.csv"], now=NOW)
        assert row.refused is not None
        assert "An answer cannot be read; found 'sometimes'; allowed: a whole number" in row.refused.message
        assert allowed in row.refused.message


def test_rejected_rows_come_in_order_of_file_and_line(clinic: Store, tmp_path: Path) -> None:
    report = brought(
        desk(clinic, Role.SYSTEM),
        tmp_path,
        p=(*PATIENTS, ",Nobody,"),
        s=("9,2026-01-05 09:00,PHQ-9,18,,,", "7,2026-01-05 09:00,PHQ-9,99,,,"),
        d=("8,2026-01-05 09:00,4000 mg,40 min",),
    )
    assert [str(each.row.place) for each in report.rejected] == ["d.csv:2", "p.csv:4", "s.csv:2", "s.csv:3"]


@pytest.mark.parametrize(("second", "new"), [("09:10", 1), ("09:11", 2)])
def test_a_form_sent_twice(clinic: Store, tmp_path: Path, second: str, new: int) -> None:
    again = f"7,2026-01-05 {second},PHQ-9,18,,,"
    assert brought(desk(clinic, Role.SYSTEM), tmp_path, s=(SCORES[0], again)).new["scores"] == new


def test_a_number_that_two_patients_have(clinic: Store, tmp_path: Path) -> None:
    with clinic.write("north", by="nurse-1") as tx:
        for name in ("Ann Early", "Ann Earlier"):
            patients.register(tx, patients.Identifiers(name=name, record_number="7"))
        tx.event("patient.registered")
    report = brought(desk(clinic, Role.SYSTEM), tmp_path)
    assert [each.why.refused for each in report.rejected] == ["Several patients have this record number"]
