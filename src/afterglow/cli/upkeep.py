"""`afterglow records`, `audit`, `backup` and `restore`: the upkeep of an installation.

The store is imported inside each command, so that commands without records start as fast as before.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import getpass
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterglow.cli.output import console, print_table
from afterglow.errors import RecordsDamaged

if TYPE_CHECKING:
    from afterglow.settings import Settings
    from afterglow.store.audit import Verification

records_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Create, upgrade and re-key the records.")
audit_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Prove and read the audit trail.")

_SHOWN_REASONS = 20
_ROWS_REJECTED = 8  # an exit code of its own: after those of errors, in `app.EXIT_CODES`

BackupFile = Annotated[Path, typer.Argument(metavar="FILE.zip", help="The backup.", show_default=False)]


class Ring(StrEnum):
    """The two rings of keys."""

    CLINIC = "clinic"
    AUDIT = "audit"


@records_app.command("create")
def create_command(
    name: Annotated[
        str | None,
        typer.Option("--name", help="The clinic's name, as staff know it; none: no clinic yet.", show_default=False),
    ] = None,
    time_zone: Annotated[str, typer.Option("--time-zone", metavar="ZONE", help="IANA name, for display.")] = "UTC",
) -> None:
    """Create the database and keys of AFTERGLOW_... settings, with the clinic that AFTERGLOW_CLINIC names.

    Example: AFTERGLOW_CLINIC=north afterglow records create --name "North clinic" --time-zone Europe/Zurich
    """
    from afterglow.store.records import Clinic
    from afterglow.usecases.upkeep import create_records

    settings = _settings()
    clinic = None if name is None else Clinic(id=settings.clinic, name=name, time_zone=time_zone)
    made = create_records(settings, clinic)
    out = console()
    out.print(f"The records of clinic {clinic.id} are ready." if clinic else "The records are ready, without a clinic.")
    out.print(f"The keys lie in {made.keys}. Keep a copy apart from the database and its backups:")
    out.print("without them no record can be read, and no backup restored.")


@records_app.command("change-clinic")
def change_clinic_command(
    name: Annotated[
        str | None, typer.Option("--name", help="As staff know it; left out: as it is.", show_default=False)
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="IANA name, for display.", show_default=False)
    ] = None,
) -> None:
    """Rename the clinic that AFTERGLOW_CLINIC names, or move it to another time zone; the audit trail tells of it.

    Example: afterglow records change-clinic --time-zone Europe/Berlin
    """
    from afterglow.cli.clinic import operator
    from afterglow.usecases.policies import change_clinic

    with operator() as desk:
        clinic = change_clinic(desk, name=name, time_zone=time_zone)
    console().print(f"Clinic {clinic.id} is now {clinic.name}, with the time of {clinic.time_zone}.", markup=False)


@records_app.command("upgrade")
def upgrade_command() -> None:
    """Bring the database of an older version to this one, with its data; make a backup first."""
    from afterglow.usecases.upkeep import upgrade_records

    before, after = upgrade_records(_settings())
    console().print(f"Revision {before} is now {after}." if before != after else f"Revision {after}: nothing to do.")


@records_app.command("rotate-key")
def rotate_key_command(
    ring: Annotated[Ring, typer.Argument(metavar="RING", help=f"{', '.join(Ring)}.", show_default=False)],
) -> None:
    """Take a new key into use, beside a running server too; keep a copy of the key files afterwards."""
    from afterglow.usecases.upkeep import rotate_keys

    key_id, count = rotate_keys(_settings(), ring)
    wrapped = "1 patient's key was" if count == 1 else f"{count} patients' keys were"
    more = f"; {wrapped} wrapped by it" if ring is Ring.CLINIC else ": it signs events from now on"
    console().print(f"The {ring} key is now {key_id}{more}. Copy the key files.")


@audit_app.command("verify")
def verify_command() -> None:
    """Prove the audit trail of every clinic: any edit, deletion, new order or cut tail, and where it is."""
    from afterglow.usecases.upkeep import verify_audit

    _report(verify_audit(_settings()))


@audit_app.command("anchor")
def anchor_command() -> None:
    """Keep the head of each trail outside the database; run it every ten minutes where no server does."""
    from afterglow.usecases.upkeep import anchor_audit

    for clinic_id, seq in anchor_audit(_settings()):
        console().print(f"{clinic_id}: anchored at event {seq}.")


@audit_app.command("who")
def who_command(
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="The patient's id.", show_default=False)],
) -> None:
    """Everything that anybody did or saw of a patient of AFTERGLOW_CLINIC, oldest first; asking is told as well."""
    from afterglow.usecases.upkeep import who_saw

    found = who_saw(_settings(), patient, by=_operator())
    rows = [
        (
            str(each.seq),
            each.at.isoformat(timespec="seconds"),
            str(each.detail.get("read_by", each.by)),
            each.action,
            " ".join(f"{name}={value}" for name, value in sorted(each.detail.items())),
        )
        for each in found
    ]
    print_table(console(), ("Event", "At (UTC)", "By", "What", "Detail"), rows, numeric=(0,), whole=(1,))


def backup_command(file: BackupFile) -> None:
    """Write a backup of the whole installation while it runs; the keys are not in it.

    Example: afterglow backup /backups/2026-01-05.zip
    """
    from afterglow.usecases.upkeep import write_backup

    made = write_backup(_settings(), file)
    console().print(f"{made.rows} rows are in {file}. Prove it with: afterglow restore --verify {file}")
    for where, what in made.unopened:
        console().print(f"  FAULT {what} ({where})")
    if made.unopened:
        raise RecordsDamaged(
            "The backup is written, but patients in it cannot be opened or found",
            observed=f"{len(made.unopened)} faults",
            next_step="Run 'afterglow audit verify'; keep the last good backup, and restore it if keys are missing",
        )


def restore_command(
    file: BackupFile,
    verify: Annotated[bool, typer.Option("--verify", help="Only prove the backup; nothing is changed.")] = False,
) -> None:
    """Bring a backup back into the empty database of AFTERGLOW_DATABASE_URL, and prove it."""
    from afterglow.usecases.upkeep import restore_backup, verify_backup

    done = (verify_backup if verify else restore_backup)(_settings(), file)
    what = "The backup is whole" if verify else "The backup is restored"
    again = f" {done.erased_again} patients were erased again." if done.erased_again else ""
    console().print(f"{what}: {done.rows} rows of {done.made_at.isoformat(timespec='seconds')}.{again}")
    _report(done.verified)


def export_command(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="Where to write it.", show_default=False)],
) -> None:
    """Write everything of the clinic in open formats, in the clear: keep the file safe.

    Example: AFTERGLOW_CLINIC=north afterglow export north.zip
    """
    from afterglow.usecases.upkeep import write_export

    count = write_export(_settings(), file, by=_operator())
    console().print(f"{count} records are in {file}, in the clear. README.txt in it says how to read it.")


@records_app.command("bring-clinic")
def bring_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.zip", help="What `afterglow export` wrote.", show_default=False)
    ],
) -> None:
    """Bring an exported clinic into this installation, under new keys; for an empty one, create it without a name."""
    from afterglow.usecases.upkeep import bring_clinic

    clinic = bring_clinic(_settings(), file, by=_operator())
    console().print(f"Clinic {clinic.id} is here. Prove it with: afterglow audit verify")


def _operator() -> str:
    return f"shell:{getpass.getuser()}"[:64]


def _settings() -> Settings:
    from afterglow.settings import read_settings

    return read_settings()


def _report(found: tuple[Verification, ...]) -> None:
    """Print what was proven.

    Raises: RecordsDamaged if anything was found.
    """
    out = console()
    for each in found:
        anchored = f"anchored up to event {each.anchored_seq}" if each.anchored_seq else "no anchor vouches for them"
        out.print(f"{each.clinic_id}: {each.events} events and {each.rows} records; {anchored}.")
        for fault in each.faults:
            place = f"event {fault.seq}: " if fault.seq is not None else ""
            out.print(f"  FAULT {place}{fault.what}{f' ({fault.where})' if fault.where else ''}")
        for remark in each.remarks:
            out.print(f"  Note: {remark}")
    count = sum(len(each.faults) for each in found)
    if count:
        raise RecordsDamaged(
            "The audit trail does not verify",
            observed=f"{count} faults",
            next_step="Keep the database as it is, tell whoever answers for the records, restore the last good backup",
        )
    out.print("Everything verifies.")


def import_command(
    mapping: Annotated[Path, typer.Argument(metavar="MAPPING.yaml", help="Which column is what.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="CSV files.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be written.")] = False,
    rejected: Annotated[
        Path | None,
        typer.Option("--rejected", metavar="FOLDER", help="Where rejected rows go; default: beside the mapping."),
    ] = None,
) -> None:
    """Bring in a clinic's history: patients, sessions and scores, as spreadsheets and forms export them.

    It ends with 0 when every row was taken or is here already, and with 8 when rows were rejected.

    Example: afterglow import mapping.yaml patients.csv scores.csv --dry-run
    """
    from afterglow.protocol.history_file import read_history, read_mapping
    from afterglow.usecases.desk import Desk
    from afterglow.usecases.importing import check_history, counted, import_history, write_rejected
    from afterglow.usecases.upkeep import opened
    from afterglow.usecases.work import program

    settings = _settings()
    known = read_mapping(mapping)
    with opened(settings) as store:
        desk = Desk(store=store, actor=replace(program(settings.clinic), person_id=_operator()))
        rows = read_history(known, files, now=store.clock())
        report = check_history(desk, rows).shown if dry_run else import_history(desk, rows)
    out = console()
    out.print(f"{'Would be written' if dry_run else 'Written'}: {', '.join(counted(report.new)) or 'nothing'}.")
    out.print(f"Here already, or twice in the files: {', '.join(counted(report.known)) or 'nothing'}.")
    out.print(f"Rejected: {len(report.rejected)}.")
    for each in report.rejected[:_SHOWN_REASONS]:
        out.print(f"  {each.row.place}: {each.why.refused}.")  # what was found may identify somebody
    if (more := len(report.rejected) - _SHOWN_REASONS) > 0:
        out.print(f"  {more} more {'reason is' if more == 1 else 'reasons are'} not shown here.")
    for path in write_rejected(report, rejected or mapping.parent, [each.name for each in files]):
        out.print(f"Rejected rows with their reasons, in the clear: {path}")
    if report.rejected:
        raise typer.Exit(_ROWS_REJECTED)
