"""Who does what in the demo clinic, and when: desks of its people, the clock they work by, drug stock."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from afterglow.clinic import Delivery, Role, known_facts
from afterglow.demo.cast import STAFF
from afterglow.predicates import Fact
from afterglow.quantities import DrugForm
from afterglow.store.records import Store
from afterglow.usecases import drugs
from afterglow.usecases.desk import Desk
from afterglow.usecases.work import Actor

_ROLES = {each.login: each.roles for each in STAFF}
_EXPIRES = timedelta(days=420)
VIAL_UG, DEVICE_UG, UG_PER_UL = 200_000, 28_000, 10  # 200 mg in 20 mL; 28 mg
_PARCEL = {Delivery.IV: 12, Delivery.ESK: 24}


class Clock:
    """The time that the demo clinic lives in; it goes on when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.now = at

    def __call__(self) -> datetime:
        """The time now, in that time."""
        return self.now


@dataclass(slots=True, kw_only=True)
class Hands:
    """The clinic at work.

    Args:
        now: when the demo was asked for; nothing happens after it.
        zone: of the clinic, for its days.
        chance: of this clinic's seed.
        raised: whether an alert may have been raised since it was last looked after.
        sat: sessions that were sat through.
    """

    store: Store
    clinic_id: str
    clock: Clock
    now: datetime
    zone: ZoneInfo
    chance: random.Random
    stock: dict[Delivery, list[str]] = field(default_factory=lambda: {Delivery.IV: [], Delivery.ESK: []})
    parcels: int = 0
    raised: bool = False
    sat: int = 0

    def desk(self, login: str) -> Desk:
        """Somebody's desk."""
        return Desk(store=self.store, actor=self.actor(login))

    def actor(self, login: str) -> Actor:
        """Somebody who signed just now."""
        return Actor(person_id=login, roles=_ROLES[login], clinic_id=self.clinic_id, signed_at=self.clock.now)

    @property
    def operator(self) -> Desk:
        """Whoever runs the machine: adds the first people."""
        who = Actor(person_id="shell:demo", roles=(Role.ADMINISTRATOR,), clinic_id=self.clinic_id)
        return Desk(store=self.store, actor=who)

    def day(self, days_ago: float) -> date:
        """A day of the clinic, before its today."""
        return self.now.astimezone(self.zone).date() - timedelta(days=days_ago)

    def at(self, day: date, hour: float) -> datetime:
        """A time of a day by the clinic's clock, in UTC."""
        begins = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return (begins + timedelta(hours=hour)).astimezone(UTC)

    def containers(self, delivery: Delivery, count: int) -> tuple[str, ...]:
        """Full containers from stock; a parcel is received where stock is short."""
        shelf = self.stock[delivery]
        if len(shelf) < count:
            self._receive(delivery)
        taken = tuple(shelf[:count])
        del shelf[:count]
        return taken

    def _receive(self, delivery: Delivery) -> None:
        self.parcels += 1
        spray = delivery is Delivery.ESK
        lot = f"{'SP' if spray else 'KET'}{4100 + 7 * self.parcels}"
        for number in range(1, _PARCEL[delivery] + 1):
            made = drugs.receive_container(
                self.desk("niko"),
                f"{lot}-{number:02d}",
                lot=lot,
                drug=DrugForm.ESKETAMINE if spray else DrugForm.RACEMIC_KETAMINE,
                expires_on=self.clock.now.date() + _EXPIRES,
                amount_ug=DEVICE_UG if spray else VIAL_UG,
                concentration_ug_per_ul=None if spray else UG_PER_UL,
            )
            self.stock[delivery].append(made.id)


_DENIED = ("hx", "dx", "sud", "tx", "clinical", "pregnancy")


def intake(sex: str, *, bmi: float, systolic: float, suicide_risk: str, spray: bool) -> dict[str, Fact | None]:
    """What is asked and tested before a course, in somebody with depression and nothing else."""
    facts: dict[str, Fact | None] = {
        name: False for name, kind in known_facts().items() if kind is bool and name.split(".")[0] in _DENIED
    }
    facts |= {f"workup.w{n:02d}.age_days": 0 for n in range(1, 18) if n != 13}
    return facts | {
        "vitals.systolic": systolic,
        "vitals.diastolic": 78,
        "vitals.bmi": bmi,
        "lab.child_pugh": "none",
        "lab.alt_ast_xuln": 1,
        "lab.uds": "negative",
        "pregnancy.test": "negative",
        "hx.nyha_class": 0,
        "cssrs.level": suicide_risk,
        "patient.sex_for_cutoff": sex,
        "workup.pdmp_checked": True,
        "rems.patient_enrolled": True if spray else None,
        "rems.setting_certified": True,
        "rems.prescriber_on_site": True,
        "rems.pulse_oximeter_present": True,
        "logistics.transport": True,
        "plan.prescriber_evaluation_done": True,
        "plan.team_review": True,
        "plan.home_unsupervised": False,
        "intake.hours_since_alcohol": 200,
        "hx.liver_risk": False,
        "lab.days_since_alt_ast": 0,
    }


def renewed(sex: str) -> dict[str, Fact | None]:
    """Work-up that a course asks for again and again."""
    again = ("w01", "w02", "w03", "w04", "w05", "w06", "w09", "w10", "w11", "w12", "w14", "w15", "w16", "w17")
    facts: dict[str, Fact | None] = {f"workup.{name}.age_days": 0 for name in again}
    return facts | {"lab.uds": "negative", "lab.days_since_alt_ast": 0, "patient.sex_for_cutoff": sex}


def arrival(*, spray: bool, unknown: Iterable[str] = ()) -> Mapping[str, Fact | None]:
    """What is asked at arrival, all as it should be, but for what nobody knows yet."""
    facts: dict[str, Fact | None] = {
        "rems.patient_enrolled": True if spray else None,
        "rems.setting_certified": True,
        "rems.prescriber_on_site": True,
        "rems.pulse_oximeter_present": True,
        "intake.hours_since_food": 8,
        "intake.minutes_since_liquids": 150,
        "intake.minutes_since_nasal_drug": 600,
        "intake.hours_since_solid_food": 10,
        "intake.hours_since_clear_fluids": 3,
        "intake.hours_since_alcohol": 96,
        "logistics.escort_confirmed": True,
        "logistics.no_driving_confirmed": True,
        "checklist.arrival_complete": True,
        "cssrs_slc.item_4": False,
        "cssrs_slc.item_5": False,
        "cssrs_slc.behaviour": False,
        "meds.sedating_or_pressor_changed": False,
        "arrival.acute_illness": False,
        "arrival.intoxicated": False,
        "arrival.oriented": True,
        "staff.prescriber_in_facility": True,
        "staff.acls_on_site": True,
        "staff.second_bls_on_site": True,
        "equipment.emergency_set_checked": True,
    }
    return {name: None if name in set(unknown) else value for name, value in facts.items()}
