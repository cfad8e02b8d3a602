"""Which model serves which drug, route, analyte and site, what it may claim, and how it is put together.

Arterial levels come from a pooled model, venous esketamine from one estimated in venous blood, intranasal and oral
esketamine from one with a liver, sublingual from a film study. The effect site lags arterial S-ketamine by ke0; it is
never paired with a venous model, which would count the delay twice.

Assumption (derived): intranasal and oral esketamine reach the artery and the effect site through the pooled
disposition, with the absorption and first pass of the intranasal model scaled so that each person's area under the
curve is what the intranasal model predicts (its clearance is 109 L/h against 84).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


def exposure_models() -> tuple[ExposureModel, ...]:
    """Everything that can be predicted.

    >>> len({(model.drug, model.route) for model in exposure_models()})
    12
    """
    return _models()


def exposure_model(drug: DrugForm, route: Route, *, analyte: Analyte, site: Site) -> ExposureModel:
    """The default model of a combination.

    Raises: NoModel listing what exists for the drug and route.

    >>> exposure_model(ESKETAMINE, Route.INTRANASAL, analyte=Analyte.S_KETAMINE, site=Site.VENOUS).id
    'perezruixo2021_esketamine'
    """
    here = [model for model in _models() if (model.drug, model.route) == (drug, route)]
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
_INJECTED = "No human absorption data were found for this route: absorption is an assumed band, without patient spread."
_SWALLOWED = "Oral absorption rate is borrowed from esketamine; inhibitors and inducers of CYP3A4 or CYP2B6 change it."
_DERIVED_ARTERY = "Derived: absorption of the intranasal model on the pooled arterial disposition, with the same area."
_LOZENGE = "Lozenges that are swallowed early behave more like an oral dose."
_NK_AREA = "Use the peak: this model's norketamine area is 1.4 to 1.6 times too high as printed."
_R_NORKETAMINE = "R-norketamine takes the parameters of S-norketamine."
_EXPLORATORY = "Exploratory: not for any decision; published hydroxynorketamine levels contradict each other."


@cache
def _models() -> tuple[ExposureModel, ...]:
    rows: list[ExposureModel] = []
    for drug in (RACEMIC, ESKETAMINE):
        parents = PARENTS if drug is RACEMIC else PARENTS[:2]
        for route in Route:
            entries, cautions = partial(_entries, drug, route), _CAUTIONS.get((drug, route), ())
            row = partial(ExposureModel, drug=drug, route=route)
            pooled = route is not Route.SUBLINGUAL
            parent_of: ParentOf = pk.kamp_parent if pooled else pk.simons_parent
            liver = drug is ESKETAMINE and route in {Route.INTRANASAL, Route.ORAL}
            parent_id = pk.KAMP if pooled else pk.SIMONS
            sources = (parent_id, *((hepatoportal.PEREZ_RUIXO,) if liver else ()), *_SOURCES.get((drug, route), ()))
            build = partial(_parent_modes, drug, route, entries, parent_of)
            venous_too = pooled and not liver and not (drug is ESKETAMINE and route is Route.IV)
            rows.append(
                row(
                    id=f"{parent_id}+{hepatoportal.PEREZ_RUIXO}_absorption" if liver else parent_id,
                    analytes=parents,
                    sites=_PLASMA if venous_too else (Site.ARTERIAL,),
                    sources=sources,
                    borrowed_spread=True,
                    cautions=(*cautions, *((EARLY_VENOUS,) if venous_too else ())),
                    build=partial(build, effect=False),
                )
            )
            rows.append(
                row(
                    id=f"{rows[-1].id}+ke0",
                    analytes=(Analyte.S_KETAMINE,),
                    sites=(Site.EFFECT,),
                    sources=(*sources, "olofsen2022_effect_site_half_life"),
                    borrowed_spread=True,
                    cautions=cautions,
                    build=partial(build, effect=True),
                )
            )
            if liver:
                rows.append(
                    row(
                        id=hepatoportal.PEREZ_RUIXO,
                        analytes=parents,
                        sites=(Site.VENOUS,),
                        sources=(hepatoportal.PEREZ_RUIXO,),
                        borrowed_spread=False,
                        build=partial(_liver_modes, route, norketamine=False),
                    )
                )
            rows.extend(_metabolite_rows(drug, route, row))
    rows.append(
        ExposureModel(
            id=pk.OTTO,
            drug=ESKETAMINE,
            route=Route.IV,
            analytes=PARENTS[:2],
            sites=(Site.VENOUS,),
            sources=(pk.OTTO,),
            borrowed_spread=True,
            build=partial(
                _parent_modes,
                ESKETAMINE,
                Route.IV,
                partial(_entries, ESKETAMINE, Route.IV),
                pk.otto_parent,
                effect=False,
            ),
        )
    )
    return tuple(rows)


def _metabolite_rows(drug: DrugForm, route: Route, row: Callable[..., ExposureModel]) -> list[ExposureModel]:
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
