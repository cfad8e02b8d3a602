"""Which model serves which drug, route, analyte and site, what it may claim, and how it is put together.

Arterial levels come from a pooled model, venous levels after an infusion from one estimated in venous blood,
intranasal and oral esketamine from one with a liver, sublingual from a film study. The effect site lags arterial
S-ketamine by ke0; it is never paired with a venous model, which would count the delay twice.

Assumption (derived): intranasal and oral esketamine reach the artery and the effect site through the pooled
disposition, with the absorption and first pass of the intranasal model scaled so that each person's area under the
curve is what the intranasal model predicts (its clearance is 109 L/h against 84).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, partial

import numpy as np

from afterglow.errors import NoModel
from afterglow.evidence import fact
from afterglow.quantities import DrugForm
from afterglow.therapy import disposition as pk
from afterglow.therapy import hepatoportal
from afterglow.therapy.kinetics import ExposureModes, Path, first_order, path_modes, summed
from afterglow.therapy.regimen import Route
from afterglow.therapy.variation import PkVariation, assumptions, given

RACEMIC, ESKETAMINE = DrugForm.RACEMIC_KETAMINE, DrugForm.ESKETAMINE


class Analyte(StrEnum):
    """What is measured; ketamine and norketamine without a letter are the sum of both enantiomers."""

    KETAMINE = "ketamine"
    S_KETAMINE = "s_ketamine"
    R_KETAMINE = "r_ketamine"
    NORKETAMINE = "norketamine"
    S_NORKETAMINE = "s_norketamine"
    R_NORKETAMINE = "r_norketamine"
    S_HYDROXYNORKETAMINE = "s_hydroxynorketamine"


class Site(StrEnum):
    """Where: plasma of an artery or a vein, or the effect site."""

    ARTERIAL = "arterial"
    VENOUS = "venous"
    EFFECT = "effect"


Builder = Callable[[PkVariation, Analyte], ExposureModes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureModel:
    """One row of what can be predicted.

    Args:
        id: kinetic model it rests on, plus what was put on it.
        analytes, sites: what it predicts and where.
        sources: keys of kinetic models and facts it takes numbers from.
        borrowed_spread: the spread between people was taken from other people (volunteers) and widened.
        exploratory: not for any decision.
        cautions: what it must not be used for.
        build: modes in ng/mL per mg of the drug form given.
    """

    id: str
    drug: DrugForm
    route: Route
    analytes: tuple[Analyte, ...]
    sites: tuple[Site, ...]
    sources: tuple[str, ...]
    borrowed_spread: bool
    exploratory: bool = False
    cautions: tuple[str, ...] = ()
    build: Builder = field(repr=False, compare=False)

    @property
    def covers(self) -> str:
        """In words, such as "ketamine or s_ketamine at arterial"."""
        return f"{' or '.join(self.analytes)} at {' or '.join(self.sites)} ({self.id})"


@cache
def exposure_models() -> tuple[ExposureModel, ...]:
    """Everything that can be predicted.

    >>> len({(model.drug, model.route) for model in exposure_models()})
    12
    """
    return tuple(
        row
        for drug in (RACEMIC, ESKETAMINE)
        for route in Route
        for row in (*_parent_rows(drug, route), *_metabolite_rows(drug, route))
    )


def exposure_model(drug: DrugForm, route: Route, *, analyte: Analyte, site: Site) -> ExposureModel:
    """The default model of a combination.

    Raises: NoModel listing what exists for the drug and route.

    >>> exposure_model(ESKETAMINE, Route.INTRANASAL, analyte=Analyte.S_KETAMINE, site=Site.VENOUS).id
    'perezruixo2021_esketamine'
    """
    here = [model for model in exposure_models() if (model.drug, model.route) == (drug, route)]
    for model in here:
        if analyte in model.analytes and site in model.sites:
            return model
    raise NoModel(
        f"No model covers {analyte} at the {site} site after {drug} by route {route}",
        allowed="; ".join(model.covers for model in here),
        next_step="Ask for a combination that exists",
    )


Entries = Callable[[PkVariation], dict[str, Path]]
ParentOf = Callable[[PkVariation, float], pk.Parent]

PARENTS = (Analyte.KETAMINE, Analyte.S_KETAMINE, Analyte.R_KETAMINE)
_NORKETAMINES = (Analyte.NORKETAMINE, Analyte.S_NORKETAMINE, Analyte.R_NORKETAMINE)
_PLASMA = (Site.ARTERIAL, Site.VENOUS)

EARLY_VENOUS = (
    "The venous level during an infusion and within about 15 min after it is over-predicted, about 1.6 times for the "
    "standard infusion: this model describes arterial blood."
)
_RACEMIC_NOSE = "Published bioavailabilities of nasal racemate differ 3 to 4 fold: a band, not a point."
_INJECTED = (
    "No human absorption data were found for this route: absorption is an assumed band, without patient spread. Do not "
    "compare its peak or acute effects with an infusion's."
)
_SWALLOWED = "Oral absorption rate is borrowed from esketamine; inhibitors and inducers of CYP3A4 or CYP2B6 change it."
_DERIVED_ARTERY = "Derived: absorption of the intranasal model on the pooled arterial disposition, with the same area."
_LOZENGE = "Lozenges that are swallowed early behave more like an oral dose."
_NK_AREA = "Use the peak: this model's norketamine area is 1.4 to 1.6 times too high as printed."
_R_KETAMINE = "R-ketamine takes the venous model of S-ketamine with its clearance lowered by the S/R ratio."
_R_NORKETAMINE = "R-norketamine takes the parameters of S-norketamine."
_EXPLORATORY = "Exploratory: not for any decision; published hydroxynorketamine levels contradict each other."


def _parent_rows(drug: DrugForm, route: Route) -> list[ExposureModel]:
    """Ketamine in plasma and at the effect site."""
    entries = partial(_entries, drug, route)
    parent_of: ParentOf = pk.simons_parent if route is Route.SUBLINGUAL else pk.kamp_parent
    parent_id = pk.SIMONS if route is Route.SUBLINGUAL else pk.KAMP
    liver = drug is ESKETAMINE and route in {Route.INTRANASAL, Route.ORAL}
    venous_model = liver or route is Route.IV
    arterial_only = venous_model or route is Route.SUBLINGUAL
    cautions = _CAUTIONS.get((drug, route), ())
    row = partial(ExposureModel, drug=drug, route=route, borrowed_spread=True)
    arterial = row(
        id=f"{parent_id}+{hepatoportal.PEREZ_RUIXO}_absorption" if liver else parent_id,
        analytes=PARENTS if drug is RACEMIC else PARENTS[:2],
        sites=(Site.ARTERIAL,) if arterial_only else _PLASMA,
        sources=(parent_id, *((hepatoportal.PEREZ_RUIXO,) if liver else ()), *_SOURCES.get((drug, route), ())),
        cautions=cautions if arterial_only else (*cautions, EARLY_VENOUS),
        build=partial(_parent_modes, drug, route, entries, parent_of, effect=False),
    )
    effect = row(
        id=f"{arterial.id}+ke0",
        analytes=(Analyte.S_KETAMINE,),
        sites=(Site.EFFECT,),
        sources=(*arterial.sources, "olofsen2022_effect_site_half_life"),
        cautions=cautions,
        build=partial(_parent_modes, drug, route, entries, parent_of, effect=True),
    )
    if not venous_model:
        return [arterial, effect]
    model_id = hepatoportal.PEREZ_RUIXO if liver else pk.OTTO
    build: Builder = partial(_parent_modes, drug, route, entries, pk.otto_parent, effect=False)
    if liver:
        build = partial(_liver_modes, route, norketamine=False)
    venous = replace(
        arterial,
        id=model_id,
        sites=(Site.VENOUS,),
        sources=(model_id,),
        borrowed_spread=not liver,
        cautions=(_R_KETAMINE,) if drug is RACEMIC else (),
        build=build,
    )
    return [arterial, effect, venous]


def _metabolite_rows(drug: DrugForm, route: Route) -> list[ExposureModel]:
    row = partial(ExposureModel, drug=drug, route=route)
    rows = []
    racemic = drug is RACEMIC
    if route is Route.IV:
        rows.append(
            row(
                id=f"{pk.OTTO}_metabolite_on_{pk.KAMP}",
                analytes=_NORKETAMINES if racemic else _NORKETAMINES[:2],
                sites=_PLASMA,
                sources=(pk.OTTO, pk.KAMP),
                borrowed_spread=True,
                cautions=(_R_NORKETAMINE,) if racemic else (),
                build=partial(_norketamine_modes, drug),
            )
        )
    if route is Route.INTRANASAL and not racemic:
        rows.append(
            row(
                id=hepatoportal.PEREZ_RUIXO,
                analytes=_NORKETAMINES[:2],
                sites=(Site.VENOUS,),
                sources=(hepatoportal.PEREZ_RUIXO,),
                borrowed_spread=False,
                cautions=(_NK_AREA,),
                build=partial(_liver_modes, route, norketamine=True),
            )
        )
    if route in {Route.IV, Route.SUBLINGUAL}:
        metabolites = partial(row, id=pk.SIMONS, sites=(Site.ARTERIAL,), sources=(pk.SIMONS,), borrowed_spread=True)
        build = partial(_film_metabolite_modes, drug, route)
        if route is Route.SUBLINGUAL:
            analytes = (Analyte.S_NORKETAMINE,) if racemic else _NORKETAMINES[:2]
            rows.append(metabolites(analytes=analytes, cautions=(_LOZENGE,), build=build))
        rows.append(
            metabolites(
                analytes=(Analyte.S_HYDROXYNORKETAMINE,), exploratory=True, cautions=(_EXPLORATORY,), build=build
            )
        )
    return rows


def _entries(drug: DrugForm, route: Route, variation: PkVariation) -> dict[str, Path]:
    """Mg given -> mg per h arriving in the circulation, by part of the dose."""
    known = assumptions()
    if route is Route.IV:
        return {"dose": Path(gain=np.ones(variation.n), poles=())}
    if route is Route.IM:
        f = given(fact("im_racemic_f").value)
        rate = _band(known["im_absorption_rate"].lo, known["im_absorption_rate"].hi)
        return {"dose": pk.injected_entry(variation, rate=rate, bioavailability=(f, f))}
    if route is Route.SC:
        rate = _band(known["sc_absorption_rate"].lo, known["sc_absorption_rate"].hi)
        share = _band(known["sc_bioavailability"].lo, known["sc_bioavailability"].hi)
        return {"dose": pk.injected_entry(variation, rate=rate, bioavailability=share)}
    if route is Route.SUBLINGUAL:
        return {"mucosa": pk.film_entries(variation)[0]}
    if drug is ESKETAMINE:
        person = hepatoportal.hepato_portal(variation)
        return hepatoportal.hepato_portal_entries(person, oral=route is Route.ORAL)
    bounds = [given(fact(name).value) for name in _SOURCES[drug, route]]
    f_band = (min(bounds), max(bounds))
    if route is Route.ORAL:
        return {
            "oral": pk.borrowed_entry(
                variation, deviate="swallowed_absorption_rate", rate="ka_po", bioavailability=f_band
            )
        }
    return {"dose": pk.borrowed_entry(variation, deviate="absorption_rate", rate="ka_n", bioavailability=f_band)}


def _band(low: float | None, high: float | None) -> tuple[float, float]:
    return given(low), given(high)


_SOURCES: Mapping[tuple[DrugForm, Route], tuple[str, ...]] = {
    (RACEMIC, Route.INTRANASAL): ("singh2022_intranasal_racemic_f_50_mg", "yanagihara2003_intranasal_racemic_f"),
    (RACEMIC, Route.ORAL): ("yanagihara2003_oral_racemic_f", "chong2006_oral_racemic_f"),
    (RACEMIC, Route.IM): ("im_racemic_f",),
    (ESKETAMINE, Route.IM): ("im_racemic_f",),
}
_CAUTIONS: Mapping[tuple[DrugForm, Route], tuple[str, ...]] = {
    (RACEMIC, Route.INTRANASAL): (_RACEMIC_NOSE,),
    (RACEMIC, Route.ORAL): (_SWALLOWED,),
    (ESKETAMINE, Route.INTRANASAL): (_DERIVED_ARTERY,),
    (ESKETAMINE, Route.ORAL): (_DERIVED_ARTERY, _SWALLOWED),
    **{(drug, route): (_INJECTED,) for drug in DrugForm for route in (Route.IM, Route.SC)},
    **{(drug, Route.SUBLINGUAL): (_LOZENGE,) for drug in DrugForm},
}


def _enantiomers(drug: DrugForm, analyte: Analyte, *, pooled: bool) -> list[tuple[float, float]]:
    """Share of the dose and clearance factor of each enantiomer that the analyte counts."""
    if drug is ESKETAMINE:
        return [(1.0, 1.0)]
    s, r = pk.enantiomer_factors(pooled=pooled)
    which = {"s": [(0.5, s)], "r": [(0.5, r)]}
    return which.get(analyte.partition("_")[0], [(0.5, s), (0.5, r)])


def channel_name(drug: DrugForm, route: Route, part: str) -> str:
    """Name of the channel that takes one part of a dose."""
    return f"{drug}.{route}.{part}"


def _parent_modes(
    drug: DrugForm,
    route: Route,
    entries: Entries,
    parent_of: ParentOf,
    variation: PkVariation,
    analyte: Analyte,
    *,
    effect: bool,
) -> ExposureModes:
    entering = entries(variation)
    ke0 = np.full(variation.n, pk.effect_site_rate_per_h()) if effect else None
    responses = []
    for share, factor in _enantiomers(drug, analyte, pooled=parent_of is pk.kamp_parent):
        parent = parent_of(variation, factor)
        end = pk.to_ng_per_ml(parent.path.scaled(share))
        if ke0 is not None:
            end = end.then(first_order(ke0))
        if drug is ESKETAMINE and route in {Route.INTRANASAL, Route.ORAL}:
            # The same area as the intranasal model: F / its clearance, on a disposition with another clearance.
            end = end.scaled(parent.clearance_l_per_h / hepatoportal.hepato_portal(variation).clearance_l_per_h)
        responses.append(
            path_modes({channel_name(drug, route, part): path.then(end) for part, path in entering.items()})
        )
    return summed(responses)


def _liver_modes(route: Route, variation: PkVariation, analyte: Analyte, *, norketamine: bool) -> ExposureModes:  # noqa: ARG001 - S and the sum are the same here
    modes = hepatoportal.hepato_portal_plasma(variation, oral=route is Route.ORAL, norketamine=norketamine)
    channels = tuple(channel_name(ESKETAMINE, route, part) for part in modes.channels)
    return ExposureModes(rates_per_h=modes.rates_per_h, channels=channels, amplitude=modes.amplitude)


def _norketamine_modes(drug: DrugForm, variation: PkVariation, analyte: Analyte) -> ExposureModes:
    channel = channel_name(drug, Route.IV, "dose")
    responses = []
    for share, factor in _enantiomers(drug, analyte, pooled=True):
        path = pk.otto_norketamine(variation, pk.kamp_parent(variation, factor))
        responses.append(path_modes({channel: pk.to_ng_per_ml(path.scaled(share))}))
    return summed(responses)


def _film_metabolite_modes(drug: DrugForm, route: Route, variation: PkVariation, analyte: Analyte) -> ExposureModes:
    share = 0.5 if drug is RACEMIC else 1.0
    from_blood, from_liver = pk.simons_norketamine(variation, pk.simons_parent(variation))
    if analyte is Analyte.S_HYDROXYNORKETAMINE:
        from_blood, from_liver = (pk.simons_hydroxynorketamine(variation, path) for path in (from_blood, from_liver))
    if route is Route.IV:
        return path_modes({channel_name(drug, route, "dose"): pk.to_ng_per_ml(from_blood.scaled(share))})
    mucosa, swallowed = pk.film_entries(variation)
    return path_modes(
        {
            channel_name(drug, route, "mucosa"): pk.to_ng_per_ml(mucosa.then(from_blood).scaled(share)),
            channel_name(drug, route, "swallowed"): pk.to_ng_per_ml(swallowed.then(from_liver).scaled(share)),
        }
    )
