"""Site policy: every threshold a clinic may set, as signed versions; a past session keeps the version it ran under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from types import MappingProxyType

from afterglow.clinic.acting import CLINICAL, Act, Outcome, Role
from afterglow.clinic.rulebook import DATA, rules, sources, workup_items
from afterglow.clinic.thresholds import Setting, SettingValue, is_allowed, read_setting
from afterglow.clinic.typed import check_utc, typed
from afterglow.errors import InvalidData, OutOfRange, PolicyUnsigned, TooEarly, WrongOrder, WrongState, echo
from afterglow.predicates import Fact
from afterglow.records import read_record, unknown_name


@typed
@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """One version of a clinic's thresholds.

    Args:
        version: counts from 1 within a clinic; 0 is the demo clinic's unsigned one.
        values: only what differs from the defaults, by name, in order.
        drafted_by: login; drafted_at: when, None where that was not kept.
        signed_by: login of the medical director; None for a draft.
        effective_from: aware UTC; None for a draft.
        demo: of the demo clinic, where sessions may run on the unsigned defaults.
    """

    version: int
    values: tuple[tuple[str, SettingValue], ...] = ()
    drafted_by: str
    drafted_at: datetime | None = None
    signed_by: str | None = None
    signed_at: datetime | None = None
    effective_from: datetime | None = None
    demo: bool = False

    def __getitem__(self, name: str) -> SettingValue:
        """The value in force of a setting.

        Raises: UnknownName.
        """
        own = dict(self.values)
        return own[name] if name in own else setting(name).default

    def number(self, name: str) -> float:
        """A number; see `__getitem__`."""
        value = self[name]
        if isinstance(value, bool | str | tuple):
            raise InvalidData(f"The setting {name} is not one number", observed=echo(value))
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Several numbers in ascending order."""
        value = self[name]
        if not isinstance(value, tuple):
            raise InvalidData(f"The setting {name} is not several numbers", observed=echo(value))
        return value

    def flag(self, name: str) -> bool:
        """Yes or no."""
        value = self[name]
        if not isinstance(value, bool):
            raise InvalidData(f"The setting {name} is not yes or no", observed=echo(value))
        return value

    @property
    def region(self) -> str:
        """Whose labels apply."""
        return str(self["site.region"])

    @property
    def own_values(self) -> Mapping[str, SettingValue]:
        """What differs from the defaults, by name."""
        return MappingProxyType(dict(self.values))


@cache
def policy_settings() -> Mapping[str, Setting]:
    """Every setting by name: those of the rules, of the work-up and of the policy itself.

    >>> policy_settings()["S013.spo2_below"].default
    94.0
    """
    file = read_record(DATA, "policy.yaml")
    own = file.close([read_setting(row) for row in file.records("settings")])
    of_rules = [each for rule in rules().values() for each in rule.settings]
    found = [*own, *of_rules, *(each for item in workup_items() for each in item.settings)]
    by_name = {each.name: each for each in found}
    if len(by_name) != len(found):
        raise InvalidData("Two settings share a name")
    for each in own:
        for key in each.provenance.source:
            if key not in sources():
                raise InvalidData(f"{each.name}: no such source", observed=key)
    return MappingProxyType(by_name)


def setting(name: str) -> Setting:
    """One setting.

    Raises: UnknownName with close matches.

    >>> setting("alerts.high_minutes").unit
    'min'
    """
    found = policy_settings()
    if name not in found:
        raise unknown_name("No setting has this name", name, found)
    return found[name]


def draft_policy(
    act: Act, *, version: int, changes: Mapping[str, SettingValue], before: SitePolicy | None = None
) -> SitePolicy:
    """A new version as a draft: the changes on top of the version before; only signing puts it in force.

    Raises: NotPermitted unless a clinician or compliance drafts; UnknownName for a setting nobody knows; OutOfRange
        outside its allowed range; WrongOrder unless the version follows the one before.

    >>> from datetime import UTC
    >>> act = Act(by="md", roles=(Role.MEDICAL_DIRECTOR,), at=datetime(2026, 1, 5, tzinfo=UTC))
    >>> draft_policy(act, version=1, changes={"S013.spo2_below": 95.0}).number("S013.spo2_below")
    95.0
    """
    act.check_role(*CLINICAL, Role.COMPLIANCE, what="Drafting a policy")
    if version != (1 if before is None else before.version + 1):
        raise WrongOrder("A policy version follows the one before", observed=str(version), next_step="Count on by one")
    values = {} if before is None else dict(before.values)
    for name, value in changes.items():
        chosen = setting(name)
        if not is_allowed(chosen, value):
            raise OutOfRange(
                f"The setting {name} is refused",
                observed=f"{echo(value)} {chosen.unit or ''}".strip(),
                allowed=_allowed(chosen),
                next_step="Choose a value inside the allowed range",
                about=name,
            )
        values[name] = value
        if value == chosen.default:
            del values[name]
    return SitePolicy(version=version, values=tuple(sorted(values.items())), drafted_by=act.by, drafted_at=act.at)


def sign_policy(
    draft: SitePolicy, act: Act, *, effective_from: datetime, before: SitePolicy | None = None
) -> Outcome[SitePolicy]:
    """The signed version, in force from a time that is not in the past.

    Args:
        draft: as it was drafted.
        act: of the medical director, not dated before the draft or the signature of the version before.
        effective_from: aware UTC, not before the start of `before`.
        before: the last version that was signed, if any.
    Raises: NotPermitted unless a medical director signs; WrongState if it is signed already; WrongOrder for an act that
        is dated back, a version that does not follow, or a start before the one it follows; TooEarly for a start in the
        past.

    >>> from afterglow.clinic.examples import act, at
    >>> draft = draft_policy(act(Role.MEDICAL_DIRECTOR), version=1, changes={"S013.spo2_below": 95.0})
    >>> sign_policy(draft, act(Role.MEDICAL_DIRECTOR, 5), effective_from=at(10)).now.signed_by
    'medical_director1'
    """
    act.check_role(Role.MEDICAL_DIRECTOR, what="Signing a policy")
    check_utc(effective_from, what="The time a policy starts")
    if draft.signed_by is not None or draft.signed_at is not None or draft.effective_from is not None:
        raise WrongState("This version is signed already", rule="policy.sign", next_step="Draft the next version")
    if before is not None and before.version >= draft.version:
        raise WrongOrder(
            "A later version is signed already",
            observed=f"version {draft.version}",
            allowed=f"after version {before.version}",
            next_step="Draft the next version",
        )
    signed = None if before is None else before.signed_at
    for earlier in (draft.drafted_at, signed):
        if earlier is not None:
            act.check_after(earlier, what="Signing a policy")
    if effective_from < act.at:
        raise TooEarly(
            "A policy cannot start in the past: sessions keep the version they ran under",
            rule="policy.sign",
            observed=f"{effective_from:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {act.at:%Y-%m-%d %H:%M} UTC on",
        )
    if before is not None and before.effective_from is not None and effective_from < before.effective_from:
        raise WrongOrder(
            "A policy does not start before the version it follows, which would take its place again",
            observed=f"{effective_from:%Y-%m-%d %H:%M} UTC",
            allowed=f"from {before.effective_from:%Y-%m-%d %H:%M} UTC on, when version {before.version} starts",
        )
    now = replace(draft, signed_by=act.by, signed_at=act.at, effective_from=effective_from)
    return Outcome(now=now, written=(now,))


def demo_policy() -> SitePolicy:
    """The unsigned defaults, for the demo clinic alone.

    >>> demo_policy().signed_by is None
    True
    """
    return SitePolicy(version=0, drafted_by="demo", demo=True)


def policy_at(versions: Iterable[SitePolicy], at: datetime) -> SitePolicy:
    """The version in force at a time: the signed one that started last; the latest version wins a tie.

    Raises: PolicyUnsigned if none is in force and none is of the demo clinic.

    >>> from afterglow.clinic.examples import POLICY, at
    >>> policy_at((POLICY,), at(0)).demo
    True
    """
    check_utc(at, what="The time a policy is asked for")
    all_versions = list(versions)
    started = [each for each in all_versions if each.effective_from is not None and each.effective_from <= at]
    if started:
        return max(started, key=lambda each: (each.effective_from, each.version))
    for each in all_versions:
        if each.demo:
            return each
    raise PolicyUnsigned(
        "No session runs on an unsigned policy",
        rule="policy",
        observed=f"{len(all_versions)} versions, none in force",
        next_step="Let the medical director sign the site's thresholds",
    )


def check_in_force(policy: SitePolicy, act: Act) -> None:
    """Refuse what runs on a policy that nobody signed, outside the demo clinic, or that is not in force yet.

    Raises: PolicyUnsigned.

    >>> from datetime import UTC
    >>> check_in_force(demo_policy(), Act(by="rn1", roles=(Role.NURSE,), at=datetime(2026, 1, 5, tzinfo=UTC)))
    """
    if policy.demo and policy.signed_at is None:
        return
    if policy.signed_by is None or policy.signed_at is None or policy.effective_from is None:
        raise PolicyUnsigned(
            "Nothing runs on an unsigned policy",
            rule="policy",
            observed=f"version {policy.version} is a draft",
            next_step="Let the medical director sign it",
        )
    if act.at < max(policy.signed_at, policy.effective_from):
        raise PolicyUnsigned(
            "The policy is not in force yet",
            rule="policy",
            observed=f"version {policy.version} from {policy.effective_from:%Y-%m-%d %H:%M} UTC",
            allowed=f"in force at {act.at:%Y-%m-%d %H:%M} UTC",
            next_step="Use the policy in force",
        )


def policy_facts(policy: SitePolicy) -> dict[str, Fact | None]:
    """What the rules ask about the site.

    >>> policy_facts(demo_policy())["site.region"]
    'US'
    """
    names = ("region", "label_low_start_65", "policy_uds", "policy_renal_labs", "policy_ecg", "policy_apnoea_screen")
    found: dict[str, Fact | None] = {}
    for name in names:
        value = policy[f"site.{name}"]
        found[f"site.{name}"] = value if isinstance(value, bool | str) else None
    return found


def _allowed(setting: Setting) -> str:
    """What a site may choose, in words."""
    if isinstance(setting.default, bool):
        return "yes or no"
    if setting.words:
        return ", ".join(setting.words)
    unit = "" if setting.unit is None else f" {setting.unit}"
    keeps = f", with {', '.join(f'{each:g}' for each in setting.keeps)} of the label" if setting.keeps else ""
    return f"{setting.low:g} to {setting.high:g}{unit}{keeps}"
