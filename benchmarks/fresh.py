"""What a new process does for the cold-start and memory rows: `courses N reference|compiled` or `cohort N`."""

from __future__ import annotations

import json
import resource
import sys
import time

from benchmarks.problem import INFUSION_H, STARTS_H, TIMES_H, draw_people, modes, table


def courses(n: int, execution: str) -> None:
    from afterglow.therapy.relief import Execution, simulate_relief  # noqa: PLC0415

    people = draw_people(n, seed=1)
    simulate_relief(
        table(),
        modes=modes(people),
        weight_kg=people.weight_kg,
        chain=people.chain,
        readout=people.readout,
        execution=Execution(execution),
    )


def cohort(n: int) -> None:
    """Stream a cohort's courses and keep only a mean, as a trial does."""
    from afterglow.quantities import Dose, DrugForm  # noqa: PLC0415
    from afterglow.therapy.population import Belief, Circumstances, load_population  # noqa: PLC0415
    from afterglow.therapy.regimen import DoseAdministration, Route, repeat  # noqa: PLC0415
    from afterglow.therapy.setting import Condition  # noqa: PLC0415
    from afterglow.trials.cohort import ArmPlan, simulate_cohort  # noqa: PLC0415

    given = DoseAdministration(
        at_h=0.0, drug=DrugForm.RACEMIC_KETAMINE, route=Route.IV, dose=Dose(mg_per_kg=0.5), infusion_h=INFUSION_H
    )
    plan = ArmPlan(
        regimen=repeat(given, STARTS_H),
        sessions_h=STARTS_H,
        circumstances=Circumstances(belief=Belief.KETAMINE),
        scale="MADRS",
        lowest=0.0,
        highest=60.0,
        whole_numbers=True,
        self_report=False,
        baseline_mean=32.0,
        baseline_sd=6.0,
    )
    weeks_h = TIMES_H[7::7]
    start, total = time.perf_counter(), 0.0
    for chunk in simulate_cohort(
        load_population(Condition.DEPRESSION), plan, weeks_h, seed=1, n_draws=max(1, n // 250), patients_per_draw=250
    ):
        total += float(chunk.relief.left[:, -1].sum())
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print(json.dumps({"peak_mib": peak_mib, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    what, size, *rest = sys.argv[1:]
    if what == "courses":
        courses(int(size), *rest)
    else:
        cohort(int(size))
