"""The medicine list, reconciled at each visit, and allergies: what they say about the drug classes that interact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from afterglow.clinic.acting import CLINICAL, Act, Outcome
from afterglow.clinic.rulebook import drug_classes
from afterglow.clinic.typed import typed
from afterglow.errors import MissingValue, OutOfRange, UnknownName, echo
from afterglow.predicates import Fact

_MOST_DIAZEPAM_MG = 1000.0  # Assumption: beyond it a typing slip
_SEDATING_OR_PRESSOR = ("D01", "D02", "D03", "D04", "D05")  # what S009 asks about


class AllergyStatus(StrEnum):
    """Not asked is not the same as none."""

    NOT_ASKED = "not_asked"
    NONE_KNOWN = "none_known"
    KNOWN = "known"


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Allergies:
    """Allergies as asked.

    Args:
        ketamine: whether ketamine, esketamine or an excipient is among them; None where that is not certain.
    """

    status: AllergyStatus
    substances: tuple[str, ...] = ()
    ketamine: bool | None = None

    def __post_init__(self) -> None:
        if (self.status is AllergyStatus.KNOWN) != bool(self.substances):
            raise MissingValue(
                "Known allergies name their substances, and only they do",
                observed=f"{self.status}, {len(self.substances)} substances",
            )


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class Medicine:
    """One medicine a person takes.

    Args:
        ingredient: generic name, not empty.
        classes: ids of interacting classes a clinician gave it ("D03"); None leaves that to its name, an empty tuple
            says that somebody looked and it belongs to none.
        diazepam_equivalent_mg_per_day: of a benzodiazepine, as the clinician converts it; no table ships.
        last_taken_at: aware UTC; None when not asked.
    """

    ingredient: str
    dose: str | None = None
    classes: tuple[str, ...] | None = None
    diazepam_equivalent_mg_per_day: float | None = None
    last_taken_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.ingredient.strip():
            raise MissingValue("A medicine has a name", next_step="Write its ingredient")
        amount = self.diazepam_equivalent_mg_per_day
        if amount is not None and not 0 <= amount <= _MOST_DIAZEPAM_MG:
            raise OutOfRange(
                "The diazepam equivalent is refused",
                observed=f"{amount:g} mg/d",
                allowed=f"0 to {_MOST_DIAZEPAM_MG:g} mg/d",
                next_step="Correct the number",
            )
        known = {each.rule.id for each in drug_classes()}
        for each in self.classes or ():
            if each not in known:
                raise UnknownName("No interacting class has this id", observed=echo(each), allowed=", ".join(known))


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class MedicineList:
    """What a person takes, as last reconciled; never reconciled means that nothing is known.

    Args:
        reconciled_at: aware UTC, when somebody went through the list with the patient.
        visit: the session or visit it was reconciled for.
    """

    medicines: tuple[Medicine, ...] = ()
    reconciled_at: datetime | None = None
    reconciled_by: str | None = None
    visit: str | None = None


def reconcile(before: MedicineList, medicines: tuple[Medicine, ...], act: Act, *, visit: str) -> Outcome[MedicineList]:
    """The list as gone through with the patient at a visit, changed or not.

    Raises: NotPermitted unless a clinician does it.

    >>> from datetime import UTC
    >>> from afterglow.clinic.acting import Role
    >>> act = Act(by="rn1", roles=(Role.NURSE,), at=datetime(2026, 1, 5, 9, tzinfo=UTC))
    >>> reconcile(MedicineList(), (Medicine(ingredient="lithium"),), act, visit="s1").now.visit
    's1'
    """
    act.check_role(*CLINICAL, what="Reconciling medicines")
    now = replace(before, medicines=medicines, reconciled_at=act.at, reconciled_by=act.by, visit=visit)
    return Outcome(now=now, written=(now,))


def classes_of(medicine: Medicine) -> tuple[str, ...] | None:
    """Ids of the interacting classes a medicine belongs to; None where nobody knows.

    Classes known by its name count even where somebody said that it belongs to none.

    >>> classes_of(Medicine(ingredient="Lorazepam")), classes_of(Medicine(ingredient="newdrug"))
    (('D01',), None)
    """
    name = medicine.ingredient.casefold().strip()
    found = tuple(each.rule.id for each in drug_classes() if name in each.members)
    if medicine.classes is not None:
        return tuple(dict.fromkeys((*found, *medicine.classes)))
    return found or None


def unclassified(medicines: MedicineList) -> tuple[str, ...]:
    """Medicines of which nobody has said to which interacting class they belong, if to any.

    >>> unclassified(MedicineList(medicines=(Medicine(ingredient="lithium"), Medicine(ingredient="newdrug"))))
    ('newdrug',)
    """
    return tuple(each.ingredient for each in medicines.medicines if classes_of(each) is None)


def medicine_facts(medicines: MedicineList, allergies: Allergies) -> dict[str, Fact | None]:
    """What the rules ask about medicines and allergies.

    A class is absent only if the list was reconciled and every medicine on it is classified.

    >>> facts = medicine_facts(MedicineList(), Allergies(status=AllergyStatus.NOT_ASKED))
    >>> facts["meds.maoi"] is None, facts["allergy.ketamine"] is None
    (True, True)
    """
    found: dict[str, Fact | None] = dict(_class_facts(medicines))
    found["meds.diazepam_equivalent_mg_per_day"] = _diazepam_equivalent(medicines)
    asked = {AllergyStatus.NOT_ASKED: None, AllergyStatus.NONE_KNOWN: False, AllergyStatus.KNOWN: allergies.ketamine}
    found["allergy.ketamine"] = asked[allergies.status]
    return found


def changed_facts(before: MedicineList, now: MedicineList) -> dict[str, Fact | None]:
    """Whether a sedating or pressor medicine is new or changed since the last visit.

    A medicine nobody classified may be one; a list never reconciled says nothing.

    >>> changed_facts(MedicineList(), MedicineList())
    {'meds.sedating_or_pressor_changed': None}
    """
    name = "meds.sedating_or_pressor_changed"
    if before.reconciled_at is None or now.reconciled_at is None:
        return {name: None}
    old, new = {_dosed(each) for each in before.medicines}, {_dosed(each) for each in now.medicines}
    touched = [each for each in (*before.medicines, *now.medicines) if _dosed(each) in old ^ new]
    classified = [classes_of(each) for each in touched]
    if any(set(classes or ()) & set(_SEDATING_OR_PRESSOR) for classes in classified):
        return {name: True}
    return {name: None if None in classified else False}


def is_reconciled(medicines: MedicineList, *, visit: str) -> bool:
    """Whether the list was gone through at this visit.

    >>> is_reconciled(MedicineList(), visit="s1")
    False
    """
    return medicines.reconciled_at is not None and medicines.visit == visit


def _class_facts(medicines: MedicineList) -> Iterator[tuple[str, bool | None]]:
    classified = [classes_of(each) for each in medicines.medicines]
    complete = medicines.reconciled_at is not None and None not in classified
    for each in drug_classes():
        present = any(each.rule.id in (classes or ()) for classes in classified)
        yield each.fact, True if present else False if complete else None


def _diazepam_equivalent(medicines: MedicineList) -> float | None:
    if medicines.reconciled_at is None:
        return None
    amounts = []
    for each in medicines.medicines:
        classes = classes_of(each)
        if classes is None or "D01" in classes:
            amounts.append(each.diazepam_equivalent_mg_per_day)
    known = [amount for amount in amounts if amount is not None]
    return float(sum(known)) if len(known) == len(amounts) else None


def _dosed(medicine: Medicine) -> tuple[str, str | None]:
    return medicine.ingredient.casefold().strip(), medicine.dose
