"""The protocol file (YAML): its keys, and reading and writing it."""

from __future__ import annotations

import os
from dataclasses import replace

from afterglow.errors import MalformedFile, Place, UnknownName
from afterglow.protocol.design import LARGEST_SIZE, Endpoint, MaintenanceArm, TrialDesign
from afterglow.protocol.dropout import Analysis, Dropout
from afterglow.protocol.kinds import (
    DAY,
    DOSE,
    DURATION,
    PERCENT,
    RATE,
    TEXT,
    TIME,
    TRUTH,
    WORD,
    Key,
    Kind,
    many,
    number,
    plain,
    read_section,
    section,
    whole,
    words,
    write_section,
)
from afterglow.protocol.nodes import Node, read_yaml
from afterglow.protocol.source_text import clean_text, read_text
from afterglow.protocol.treatment import Infusion
from afterglow.protocol.trial import (
    ArmSelection,
    AtRisk,
    ObservationPlan,
    Population,
    PublishedArms,
    RelapseQuestion,
    ScaleBounds,
    TrialProtocol,
    known_bounds,
)
from afterglow.quantities import DrugForm
from afterglow.therapy.regimen import InfusionStep, Route
from afterglow.therapy.setting import Condition, Control, Enrolment, Setting

LARGEST_MB = 1
MOST_PATIENTS = 1_000_000

# Wider than any human being: these catch a slip of the pen or of the unit and are no clinical limits.
HEAVIEST_KG = 650.0
OLDEST_YEARS = 130.0


def read_protocol(path: str | os.PathLike[str]) -> TrialProtocol:
    """The protocol in a YAML file of up to 1 MB.

    Raises: InputError with file and line for anything that is not a valid protocol.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "plan.yaml")
    ...     _ = file.write_text("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3]}")
    ...     read_protocol(file).session_h
    (0.0, 72.0)
    """
    return _parse(read_text(path, largest_mb=LARGEST_MB), file=os.fspath(path))


def parse_protocol(text: str, *, file: str = "protocol") -> TrialProtocol:
    """The protocol in a YAML text; `file` names it in errors.

    Raises: InputError with file and line for anything that is not a valid protocol.

    >>> protocol = parse_protocol("{drug: esketamine, route: intranasal, dose: 84 mg, days: [0, 3]}")
    >>> protocol.session_h
    (0.0, 72.0)
    """
    return _parse(clean_text(text, file=file), file=file)


def place_in_protocol(path: str | os.PathLike[str], key: str) -> Place:
    """Where a key of a protocol file stands, for an error that only shows after the file was read."""
    return read_yaml(read_text(path, largest_mb=LARGEST_MB), file=os.fspath(path)).place_of(key)


def write_protocol(protocol: TrialProtocol) -> str:
    """The protocol as YAML; what has its default value is left out.

    >>> print(write_protocol(parse_protocol("{days: [0], dose: 84 mg, route: intranasal, drug: esketamine}")), end="")
    drug: esketamine
    route: intranasal
    dose: 84 mg
    days: [0]
    """
    return "".join(f"{name}: {text}\n" for name, text in write_section(PROTOCOL_KEYS, protocol))


def _parse(text: str, *, file: str) -> TrialProtocol:
    return read_section(TrialProtocol, PROTOCOL_KEYS, read_yaml(text, file=file))


def _parse_scale(text: str, _: str) -> str:
    name = text.strip()
    try:
        return known_bounds(name).name
    except UnknownName:
        return name  # perhaps declared under `scales`; the protocol checks


def _read_infusion(node: Node) -> Infusion:
    if isinstance(node.value, tuple):
        return STEPS.read(node)
    return 0.0 if node.value == "bolus" else DURATION.read(node)


def _write_infusion(infusion: Infusion) -> str:
    if isinstance(infusion, tuple):
        return STEPS.write(infusion)
    return DURATION.write(infusion) if infusion else "bolus"


def _read_scales(node: Node) -> tuple[ScaleBounds, ...]:
    declared = []
    for name, entry in node.entries().items():
        bounds = BOUNDS.read(entry)
        if len(bounds) != 2:
            raise MalformedFile(
                f"{entry.path} needs two numbers",
                observed=f"{len(bounds)}",
                allowed="[lowest score, highest score]",
                place=entry.place,
            )
        declared.append(ScaleBounds(name=name.strip(), lowest=bounds[0], highest=bounds[1]))
    return tuple(declared)


def _write_scales(scales: tuple[ScaleBounds, ...]) -> str:
    return "{" + ", ".join(f"{WORD.write(s.name)}: {BOUNDS.write((s.lowest, s.highest))}" for s in scales) + "}"


_POINTS = replace(number(-10_000, 10_000, "points"), says="points of the scale")
SCALE = plain("name of a scale, as in `MADRS`, `PHQ-9`", _parse_scale, WORD.write)
BOUNDS = many(_POINTS, says="`[lowest, highest]`")
TIMES = many(TIME, says="list of times with their units, rising: `[2 h, 24 h, 7 d]`")

STEP_KEYS = (
    Key(name="rate", kind=RATE, meaning="constant rate of free base"),
    Key(name="for", kind=DURATION, meaning="how long the rate is held", field="duration_h"),
)
STEPS = many(
    section(InfusionStep, STEP_KEYS, says="step"),
    says="list of steps",
)
INFUSION: Kind[Infusion] = Kind(
    says="duration (`40 min`), `bolus`, or a list of steps: `[{rate: 0.1 mg/kg/h, for: 2 h}]`",
    read=_read_infusion,
    write=_write_infusion,
)
SCALES: Kind[tuple[ScaleBounds, ...]] = Kind(
    says="`{CAPS-5: [0, 80]}`: lowest and highest score by name", read=_read_scales, write=_write_scales
)

POPULATION_KEYS = (
    Key(name="n", kind=whole(1, MOST_PATIENTS), meaning="patients in the active arm"),
    Key(
        name="n_control",
        kind=whole(1, MOST_PATIENTS),
        meaning="patients in the control arm; as many as in the active arm if left out",
    ),
    Key(name="scale", kind=SCALE, meaning="scale of the baseline; the observed one if left out"),
    Key(name="baseline_mean", kind=_POINTS, meaning="mean score before treatment, inside the scale"),
    Key(
        name="baseline_sd",
        kind=_POINTS,
        meaning="standard deviation of that score between patients, at most half the range of the scale",
    ),
    Key(name="weight_kg", kind=number(1.0, HEAVIEST_KG, "kg"), meaning="mean body weight"),
    Key(name="age_mean", kind=number(0.0, OLDEST_YEARS, "years"), meaning="mean age"),
    Key(name="new_antidepressant", kind=TRUTH, meaning="whether an oral antidepressant is started with the course"),
    Key(
        name="enrolment",
        kind=words(Enrolment),
        meaning="how patients came in: a trial's screening inflates the first score, a clinic's does not",
    ),
)
RELAPSE_KEYS = (
    Key(name="of", kind=words(AtRisk), meaning="whose relapse"),
    Key(name="at", kind=TIMES, meaning="times at which the fraction relapsed is asked for", field="at_h"),
    Key(
        name="judged",
        kind=TIME,
        meaning="when responders or remitters are determined; a day after the last session if left out",
        field="judged_h",
    ),
    Key(
        name="score_at_least",
        kind=_POINTS,
        meaning="relapse is a score of at least this; without this and the next key, relapse is the loss of response "
        "or remission",
    ),
    Key(name="improvement_below", kind=PERCENT, meaning="relapse is an improvement on baseline under this"),
    Key(
        name="visits",
        kind=TIMES,
        meaning="times at which patients are scored; those of `at` if left out",
        field="visits_h",
    ),
    Key(
        name="consecutive",
        kind=whole(1, 10),
        meaning="visits in a row that must show it; the first dates the relapse",
    ),
)
OBSERVE_KEYS = (
    Key(name="scale", kind=SCALE, meaning="scale that is observed; the one of the baseline if left out"),
    Key(name="times", kind=TIMES, meaning="times of the scores after the first session", field="times_h"),
    Key(
        name="response",
        kind=PERCENT,
        meaning="improvement on baseline that counts as response; left out: response is not computed",
        field="response_fraction",
    ),
    Key(
        name="remission",
        kind=_POINTS,
        meaning="highest score that counts as remission; left out: remission is not computed",
        field="remission_at_most",
    ),
    Key(
        name="relapse",
        kind=section(RelapseQuestion, RELAPSE_KEYS, says="keys under `observe.relapse`"),
        meaning="left out: relapse is not computed",
    ),
)
DROPOUT_KEYS = (
    Key(
        name="unimproved",
        kind=PERCENT,
        meaning="chance of leaving after a visit for somebody without improvement; under 100 %",
    ),
    Key(
        name="recovered",
        kind=PERCENT,
        meaning="the same for somebody who has lost all symptoms; between the two the log odds run straight",
    ),
    Key(name="source", kind=WORD, meaning="key of a source or a trial, or `assumed`"),
    Key(
        name="visits",
        kind=TIMES,
        meaning="visits after which patients may leave; those of `observe` if left out",
        field="visits_h",
    ),
    Key(name="analysis", kind=words(Analysis), meaning="which result is asked for; the other one is given too"),
)
ARM_KEYS = (
    Key(name="name", kind=TEXT, meaning="one line for people"),
    Key(
        name="every",
        kind=DURATION,
        meaning="interval between sessions, the first one interval after randomisation; left out: no more sessions",
        field="every_h",
    ),
)
DESIGN_KEYS = (
    Key(
        name="sizes",
        kind=many(whole(2, LARGEST_SIZE), says=f"list of whole numbers, rising, 2 to {LARGEST_SIZE}"),
        meaning="patients who start treatment for each arm",
    ),
    Key(
        name="arms",
        kind=many(section(MaintenanceArm, ARM_KEYS, says="arm"), says="list of arms: `[{name: weekly, every: 7 d}]`"),
        meaning="ways of going on for those at risk when `observe.relapse` judges it, each compared with the first; "
        "left out: active against control",
    ),
    Key(
        name="endpoint",
        kind=words(Endpoint),
        meaning="what is compared, at the last asked time; left out: `relapse` with arms, else `change`",
    ),
    Key(
        name="alpha",
        kind=PERCENT,
        meaning="chance of a false positive, two-sided, shared out among the comparisons; up to 50 %",
    ),
)
TRIAL_KEYS = (
    Key(name="key", kind=WORD, meaning="key of a published trial, as listed by `afterglow evidence trials`"),
    Key(name="active", kind=WORD, meaning="its arm that got the drug"),
    Key(name="control", kind=WORD, meaning="its comparator"),
)
PROTOCOL_KEYS = (
    Key(name="title", kind=TEXT, meaning="one line for people"),
    Key(name="condition", kind=words(Condition), meaning="what is treated"),
    Key(name="drug", kind=words(DrugForm), meaning="what is given"),
    Key(name="route", kind=words(Route), meaning="how it is given"),
    Key(name="dose", kind=DOSE, meaning="per session; left out only where infusion steps say it"),
    Key(
        name="infusion",
        kind=INFUSION,
        meaning="needed for `iv`, possible for `sc`, refused elsewhere",
    ),
    Key(
        name="days",
        kind=many(DAY, says="list of days or times, rising: `[0, 2, 4]`, `[0, 36 h, 7 d]`"),
        meaning="of the sessions, counted from the first, which is 0",
        field="session_h",
    ),
    Key(name="control", kind=words(Control), meaning="what the other arm gets; `none` is open label"),
    Key(name="setting", kind=words(Setting), meaning="where patients are treated"),
    Key(name="arm", kind=words(ArmSelection), meaning="which arm is asked for; `both` adds their contrast"),
    Key(name="scales", kind=SCALES, meaning="only for scales that Afterglow does not know"),
    Key(
        name="population",
        kind=section(Population, POPULATION_KEYS, says="keys under `population`"),
        meaning="who is treated; predicting a trial needs n, scale, baseline_mean and baseline_sd",
    ),
    Key(
        name="observe",
        kind=section(ObservationPlan, OBSERVE_KEYS, says="keys under `observe`"),
        meaning="what is asked of the course",
    ),
    Key(
        name="dropout",
        kind=section(Dropout, DROPOUT_KEYS, says="keys under `dropout`"),
        meaning="who leaves before the end; left out: everybody stays",
    ),
    Key(
        name="design",
        kind=section(TrialDesign, DESIGN_KEYS, says="keys under `design`"),
        meaning="the trial that `afterglow design` plans",
    ),
    Key(
        name="trial",
        kind=section(PublishedArms, TRIAL_KEYS, says="keys under `trial`"),
        meaning="the published trial whose figures stand beside the prediction",
    ),
)
