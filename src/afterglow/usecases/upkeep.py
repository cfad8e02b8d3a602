"""Upkeep of an installation: create it, prove its audit trail, back it up and bring it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from afterglow.errors import NotFound, UnwritableFile
from afterglow.settings import Settings
from afterglow.store.audit import AuditEvent, Verification, anchor, anchored_clinics, verify, who
from afterglow.store.backup import BackedUp, Restored, back_up, check_backup, restore
from afterglow.store.engine import open_engine, schema_of, upgrade
from afterglow.store.export import export_clinic, import_clinic
from afterglow.store.keys import create_keys, load_keys, rotate_key
from afterglow.store.patients import reseal_keys
from afterglow.store.records import Clinic, Store, open_store
from afterglow.usecases.kinds import KINDS

BACKED_UP = "records.backed_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What a new installation has; `keys` are to be kept apart from the database and its backups."""

    clinic: Clinic | None
    keys: Path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise UnwritableFile(
            "The records' folder cannot be made",
            observed=f"{folder}: {fault.strerror}",
            next_step="Set AFTERGLOW_FOLDER to a folder that you may write to",
        ) from None


def create_records(settings: Settings, clinic: Clinic | None) -> Created:
    """A new installation with one clinic or none, or one more clinic in an installation.

    Raises: Conflict if the clinic is there; KeysRefused if there are records without keys, or keys without records.
    """
    if settings.database_url is None:
        _make_folder(settings.folder)
    engine = open_engine(settings.url, busy_timeout_s=settings.busy_timeout_s)
    try:
        if schema_of(engine) is None:
            create_keys(settings.keys)
            upgrade(engine)
    finally:
        engine.dispose()
    if clinic is not None:
        with opened(settings) as store:
            store.add_clinic(clinic, by="program")
    return Created(clinic=clinic, keys=settings.keys)


def upgrade_records(settings: Settings) -> tuple[str | None, str | None]:
    """Bring the database to this version; the revision before and after.

    Raises: NotFound if there are no records; StoreFault, StoreUnavailable.
    """
    engine = open_engine(settings.url, busy_timeout_s=settings.busy_timeout_s)
    try:
        before = schema_of(engine)
        if before is None:
            raise NotFound("There are no records to upgrade", next_step="Run 'afterglow records create'")
        upgrade(engine)
        return before, schema_of(engine)
    finally:
        engine.dispose()


def rotate_keys(settings: Settings, ring: str) -> tuple[str, int]:
    """A new key in one ring ("clinic" or "audit"), and every patient's key wrapped by it; its id, how many patients.

    Older keys stay in the file: older backups and events need them.
    Raises: KeysRefused; StoreFault.
    """
    with opened(settings):
        made = rotate_key(settings.keys, ring)
    count = 0
    with opened(settings) as store:
        for clinic in store.clinics():
            with store.write(clinic.id, by="program") as tx:
                count += reseal_keys(tx) if ring == "clinic" else 0
                tx.event("keys.rotated", ring=ring, key_id=made.current)
    return made.current, count


def verify_audit(settings: Settings) -> tuple[Verification, ...]:
    """Prove the audit trail of every clinic, also of one that the database has forgotten and an anchor knows.

    Raises: StoreFault.
    """
    with opened(settings) as store:
        known = {clinic.id for clinic in store.clinics()} | set(anchored_clinics(store))
        return tuple(verify(store, clinic_id) for clinic_id in sorted(known))


def anchor_audit(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Anchor the audit trail of every clinic outside the database; clinic and last event.

    Raises: StoreFault.
    """
    with opened(settings) as store:
        return tuple((clinic.id, anchor(store, clinic.id).seq) for clinic in store.clinics())


def who_saw(settings: Settings, patient_id: str, *, by: str) -> tuple[AuditEvent, ...]:
    """Everything that anybody did or saw of a patient; that it was asked for is told as well.

    Raises: NotFound if no event is about such a patient; StoreFault.
    """
    with opened(settings) as store:
        with store.read(settings.clinic) as tx:
            found = who(tx, patient_id)
        if not found:
            raise NotFound("The audit trail knows no such patient", observed=patient_id)
        with store.write(settings.clinic, by=by) as tx:
            tx.event("audit.read", patient_id=patient_id)
    return found


def write_backup(settings: Settings, file: Path) -> BackedUp:
    """Write a backup while the installation runs, and tell every clinic's trail of it; rows, and who cannot be opened.

    The event comes after the backup, so it is not in it.

    Raises: UnwritableFile, StoreUnavailable.
    """
    with opened(settings) as store:
        made = back_up(store, file)
        for clinic in store.clinics():
            with store.write(clinic.id, by="program") as tx:
                tx.event(BACKED_UP, rows=made.rows)
    return made


def restore_backup(settings: Settings, file: Path) -> Restored:
    """Bring a backup back into the empty database of the settings.

    Raises: Conflict, RecordsDamaged, KeysRefused.
    """
    if settings.database_url is None:
        _make_folder(settings.folder)
    with _apart(settings) as store:
        return restore(store, file)


def verify_backup(settings: Settings, file: Path) -> Restored:
    """Prove a backup: restored into a database of its own, verified, and thrown away.

    Raises: RecordsDamaged, KeysRefused.
    """
    with _apart(settings) as store:
        return check_backup(store, file)


def write_export(settings: Settings, file: Path, *, by: str) -> int:
    """Write everything of the clinic of the settings in open formats, in the clear; how many records.

    Raises: NotFound, UnwritableFile, StoreUnavailable.
    """
    with opened(settings) as store:
        return export_clinic(store, settings.clinic, file, by=by)


def bring_clinic(settings: Settings, file: Path, *, by: str) -> Clinic:
    """Bring an exported clinic into this installation, under new keys.

    Raises: RecordsDamaged, InputError; Conflict if the clinic is there.
    """
    with opened(settings) as store:
        return import_clinic(store, file, by=by)


@contextmanager
def opened(settings: Settings, *, synced: bool = True) -> Iterator[Store]:
    """The installation's store, closed at the end; `synced` as in `open_engine`.

    Raises: StoreOutdated, StoreUnavailable, KeysRefused.
    """
    store = open_store(settings, KINDS, synced=synced)
    try:
        yield store
    finally:
        store.engine.dispose()


@contextmanager
def _apart(settings: Settings) -> Iterator[Store]:
    """A store whose database need not be there yet."""
    keys = load_keys(settings.keys)
    engine = open_engine(settings.url, busy_timeout_s=settings.busy_timeout_s)
    try:
        yield Store(engine=engine, keys=keys, kinds=KINDS, anchors=settings.anchors, spool=settings.spool)
    finally:
        engine.dispose()
