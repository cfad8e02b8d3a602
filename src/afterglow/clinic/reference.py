"""Reference pages of the rules of care, generated from the data and tables that the software runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from afterglow.clinic.acting import StateTable
from afterglow.clinic.alerts import ALERT
from afterglow.clinic.containers import CONTAINER
from afterglow.clinic.course import COURSE
from afterglow.clinic.diary import BOOKING
from afterglow.clinic.factbook import say_condition
from afterglow.clinic.measures import cadences
from afterglow.clinic.policy import policy_settings
from afterglow.clinic.resistance import dose_notes, label_rows, staging
from afterglow.clinic.rulebook import Delivery, Group, Rule, basis_of, drug_classes, rules, sources, workup_items
from afterglow.clinic.session import SESSION
from afterglow.clinic.thresholds import Setting
from afterglow.markdown import table
from afterglow.provenance import Provenance

_RULES = """# Rules of care

Generated from `src/afterglow/clinic/data/`; do not edit by hand.

A rule raises a question for a clinician and shows what was seen, the threshold and its source; it does not decide. What
is missing is *unknown*, never negative. *page* was read at the source; *site default* is policy or recollection, and
no more than that until a medical director signs it. Where parts differ, *status* is the weakest and the parts follow.

**Severity.** caution: information. needs clinician review: nothing goes on until a decision is recorded. exclude: stop;
a prescriber may override with a reason and, by default, a second signature, except for a labelled contraindication and
for what a label or risk programme sets. emergency: staff raise the alarm, never the software. *Must be known*: a dose
waits until somebody finds out. *No override*: a time or state that no answer replaces. *Same visit*: its alert is high.

**For.** esk: intranasal esketamine; iv, im, sc, sl, po: ketamine into a vein, a muscle, under the skin, under the
tongue, by mouth. Thresholds are the defaults; a site's own are in its signed policy ([site policy](care-policy.md)).
"""
_TABLES = """# Transitions

Generated from the tables that the software runs on; do not edit by hand. What is not in a table cannot happen. Each
transition has an actor, a time and, where marked, a reason; the functions beside the tables check what must hold.
"""
_POLICY = """# Site policy

Generated from the data; do not edit by hand. Every threshold that a clinic may set, with its default and allowed range.
A medical director signs a version; it takes effect from a time, and a past session keeps the version it ran under. No
session runs on an unsigned policy outside the demo clinic. The allowed ranges are policy.
"""
_MACHINES: tuple[StateTable, ...] = (COURSE, SESSION, CONTAINER, BOOKING, ALERT)
_ALL = len(Delivery)


def clinic_markdown() -> Mapping[str, str]:
    """The pages by file name.

    >>> sorted(clinic_markdown())
    ['care-policy.md', 'care-rules.md', 'care-transitions.md']
    """
    return {
        "care-rules.md": "\n".join(_rule_page()) + "\n",
        "care-transitions.md": "\n".join(_transition_page()) + "\n",
        "care-policy.md": "\n".join(_policy_page()) + "\n",
    }


def _rule_page() -> Iterator[str]:
    yield _RULES
    for group in Group:
        found = [each for each in rules().values() if each.group is group]
        yield f"## {group.capitalize()}"
        yield ""
        yield from table(
            ["Rule", "For", "What", "Met when", "Severity", "What is asked, and why", "Status"], map(_row, found)
        )
        yield ""
    yield from _branches()
    yield from _workup()
    yield "## Interacting drug classes: names known"
    yield ""
    yield from table(
        ["Class", "Ingredients"], ([f"{c.rule.id} {c.name}", ", ".join(c.members)] for c in drug_classes())
    )
    yield ""
    yield from _doses()
    yield from _staging()
    yield "## Cadence of measures"
    yield ""
    yield from table(["For", "In", "Scales", "When", "Status"], map(_cadence_row, cadences()))
    yield ""
    yield "## Sources"
    yield ""
    for source in sources().values():
        parts = (source.citation, source.read, f"<{source.url}>" if source.url else None, source.verified, source.note)
        yield f'- <a id="source-{source.key}"></a>`{source.key}`: {"; ".join(filter(None, parts))}'


def _row(each: Rule) -> list[object]:
    words = (("must be known", each.gate), ("no override", each.lock), ("same visit", each.urgent))
    kinds = [name for name, yes in words if yes]
    labels = f"; labelled in {', '.join(each.label_regions)}" if each.label_regions else ""
    return [
        each.id,
        "all" if len(each.applies_to) == _ALL else ", ".join(each.applies_to),
        _sentence(each.condition) + labels,
        _sentence(say_condition(each.when)),
        each.severity.replace("_", " ") + (f" ({', '.join(kinds)})" if kinds else ""),
        _asked(each),
        status(each.provenance, each.checked),
    ]


def _asked(each: Rule) -> str:
    """What a rule asks for, and why."""
    return " ".join(f"{_sentence(text).rstrip('.')}." for text in (each.action, each.rationale) if text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def status(provenance: Provenance, checked: str | None = None) -> str:
    """How far a rule was checked and where it comes from; never shows a recalled figure as fact.

    >>> from afterglow.provenance import Verified
    >>> status(Provenance(source=(), verified=Verified.RECALLED))
    'site default to be signed (recalled)'
    """
    word = basis_of(provenance, checked)
    keys = ", ".join(f"[{key}](#source-{key})" for key in provenance.source)
    return f"{word}: {keys}" if keys else word


def _branches() -> Iterator[str]:
    yield "## Proposals"
    yield ""
    found = [(each, branch) for each in rules().values() for branch in each.branches]
    yield from table(["Rule", "When", "Shown"], ([e.id, _sentence(say_condition(b.when)), b.propose] for e, b in found))
    yield ""


def _workup() -> Iterator[str]:
    yield "## Work-up"
    yield ""
    rows = (
        [
            each.id,
            each.item,
            each.timing,
            each.required if each.required_if is None else f"{each.required}: {say_condition(each.required_if)}",
            "" if each.valid_days is None else each.valid_days,
            status(each.provenance, each.checked),
        ]
        for each in workup_items()
    )
    yield from table(["Item", "What", "When", "For whom", "Valid, days", "Status"], rows)
    yield ""


def _doses() -> Iterator[str]:
    yield "## Doses"
    yield ""
    rows = (
        [
            row.indication,
            ", ".join(row.regions),
            f"{row.ages[0]}-{row.ages[1]}" if row.ages[1] < 120 else f"{row.ages[0]} and over",
            f"{row.weeks[0]}-{row.weeks[1]}" if row.weeks[1] < 9999 else f"{row.weeks[0]} and later",
            ", ".join(f"{mg:g}" for mg in row.day1_mg),
            ", ".join(f"{mg:g}" for mg in row.doses_mg),
            status(row.provenance),
        ]
        for row in label_rows()
    )
    columns = ["Esketamine for", "Regions", "Ages", "Weeks", "First dose, mg", "Doses, mg", "Status"]
    yield from table(columns, rows)
    yield ""
    yield from table(["Of", "What is known", "Status"], ([n, text, status(p, c)] for n, text, p, c in dose_notes()))
    yield ""


def _staging() -> Iterator[str]:
    found = staging()
    yield "## Resistance and its stage"
    yield ""
    yield f"{found.definition}. {found.other}"
    yield ""
    yield f"A trial's class is one of {', '.join(found.classes)}; any other leaves open whether it counts."
    yield ""
    yield f"Maudsley stages: {', '.join(f'{low}-{high} {label}' for low, high, label in found.bands)}; "
    yield f"{status(found.provenance)}."
    yield ""
    yield from table(["Payer", "Asks for"], found.payers)
    yield ""


def _cadence_row(each: object) -> list[object]:
    found = next(c for c in cadences() if c is each)
    when = "before each session" if found.at_session else "once" if found.once else f"every {found.every_days} days"
    scales = ", ".join(found.instruments)
    return [", ".join(found.indications), ", ".join(found.phases), scales, when, status(found.provenance)]


def _transition_page() -> Iterator[str]:
    yield _TABLES
    for machine in _MACHINES:
        yield f"## {machine.machine.capitalize()}"
        yield ""
        yield "```mermaid"
        yield from machine.mermaid()
        yield "```"
        yield ""
        rows = (
            [
                row.event,
                ", ".join(row.states),
                row.goes_to,
                ", ".join(role.replace("_", " ") for role in row.roles),
                row.guard,
                "yes" if row.reason else "",
            ]
            for row in machine.rows
        )
        yield from table(["Event", "From", "To", "Who", "What must hold", "Reason"], rows)
        yield ""


def _policy_page() -> Iterator[str]:
    yield _POLICY
    yield from table(
        ["Setting", "Decides", "Default", "Unit", "Allowed", "Status"], map(_setting_row, policy_settings().values())
    )


def _setting_row(each: Setting) -> list[object]:
    default = ", ".join(f"{v:g}" for v in each.default) if isinstance(each.default, tuple) else each.default
    if isinstance(default, bool):
        default = "yes" if default else "no"
    elif isinstance(default, float):
        default = f"{default:g}"
    allowed = ", ".join(each.words) or (
        "yes, no" if isinstance(each.default, bool) else f"{each.low:g} to {each.high:g}"
    )
    note = f"; {each.provenance.note}" if each.provenance.note and "." in each.name and each.name.islower() else ""
    checked = rules()[each.name.partition(".")[0]].checked if each.name.partition(".")[0] in rules() else None
    return [each.name, each.text + note, default, each.unit or "", allowed, _plain_status(each, checked)]


def _plain_status(each: Setting, checked: str | None) -> str:
    keys = ", ".join(each.provenance.source)
    word = basis_of(each.provenance, checked)
    return f"{word}: {keys}" if keys else word
