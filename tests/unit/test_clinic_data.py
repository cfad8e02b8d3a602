"""A data file of the rules of care that breaks its own schema is refused, naming what is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from afterglow.clinic import factbook, measures, policy, readings, registers, resistance, rulebook
from afterglow.errors import InvalidData

CACHED: tuple[Any, ...] = (
    rulebook.rules,
    rulebook.drug_classes,
    rulebook.workup_items,
    rulebook.sources,
    factbook.known_facts,
    policy.policy_settings,
    resistance.label_rows,
    resistance.dose_notes,
    resistance.staging,
    resistance._label_file,
    readings.reading_limits,
    registers.adverse_events,
    registers.drug_record_rules,
    registers.visit_stages,
    registers.monitoring_form,
    registers.enrolment_duties,
    measures.cadences,
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the data that the loaders read, with nothing kept before or after."""
    copied = tmp_path / "data"
    shutil.copytree(rulebook.DATA, copied)
    for module in (rulebook, policy, resistance, readings, registers, measures):
        monkeypatch.setattr(module, "DATA", copied)
    for each in CACHED:
        each.cache_clear()
    yield copied
    for each in CACHED:
        each.cache_clear()


BROKEN: list[tuple[str, str, str, Callable[[], object], str]] = [
    ("session_rules.yaml", "id: S002", "id: S001", rulebook.rules, "share an id"),
    ("session_rules.yaml", "applies_to: [esk]", "applies_to: [nose]", rulebook.rules, "unknown route"),
    ("session_rules.yaml", "source: [rems_fda, rems_outpt]", "source: [nowhere]", rulebook.rules, "no such source"),
    ("session_rules.yaml", "default: 2\n", "default: 3\n", rulebook.rules, "does not name one comparison"),
    ("policy.yaml", "name: site.policy_ecg", "name: site.policy_uds", policy.policy_settings, "share a name"),
    ("policy.yaml", "source: [payer_cigna]", "source: [nowhere]", policy.policy_settings, "no such source"),
    ("staging.yaml", "mild: 2", "gentle: 2", resistance.staging, "not those of the scale"),
    ("label_doses.yaml", "source: [sc_esk_comeds]", "source: [nowhere]", resistance.label_rows, "no such source"),
    ("readings.yaml", "source: [moaas]", "source: [nowhere]", readings.reading_limits, "no such source"),
    ("cadence.yaml", "instruments: [gad7]", "instruments: [gad8]", measures.cadences, "known scales"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "read", "said"), BROKEN, ids=[f"{b[0]}: {b[4]}" for b in BROKEN])
def test_broken_data_is_refused(
    data: Path, file: str, right: str, wrong: str, read: Callable[[], object], said: str
) -> None:
    text = (data / file).read_text(encoding="utf-8")
    assert right in text
    (data / file).write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises(InvalidData, match=said):
        read()


def test_the_data_as_shipped_is_read(data: Path) -> None:
    assert data.exists()
    assert len(rulebook.rules()) > 120
    assert policy.policy_settings()
    assert measures.cadences()
