"""Compares a window of live data with what the training data looked like, column by column."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import polars as pl

from filiera.core.reference import CategoricalReference, NumericReference, Reference, ReferenceProfile
from filiera.monitoring.counting import (
    COARSE_CELLS,
    Categories,
    WrongKind,
    bin_numbers,
    coarse_cells,
    coarse_labels,
    count_categories,
    count_missing,
    would_be_unlisted,
)
from filiera.monitoring.distances import jensen_shannon_distance, population_stability_index, total_variation
from filiera.monitoring.findings import Aspect, Bar, DriftReport, DriftSettings, DriftVerdict, Finding, Role
from filiera.monitoring.statistics import (
    MINIMUM_EXPECTED,
    Counts,
    benjamini_hochberg,
    chi_square,
    fisher_exact,
    grouped,
    kolmogorov_smirnov_binned,
    newcombe_interval,
    pool,
    smallest_expected,
    two_proportions,
)


def compare(
    reference: ReferenceProfile,
    current: pl.DataFrame,
    *,
    outputs: pl.DataFrame | None = None,
    settings: DriftSettings | None = None,
) -> DriftReport:
    """Return what differs between the training data and a window of live data.

    A column alarms when its change is both unlikely to be chance (Benjamini-Hochberg over all tests of the report) and
    large (effect at least the threshold). Tests that cannot reject whatever happens, such as missing values where
    neither side has any, are left out of the correction; that choice sees both samples together only, and so is fair.

    Args:
        reference: Kept with the model when it was trained.
        current: Inputs of the window, one row per prediction, in any order; columns are found by name.
        outputs: What the model answered to them; None looks at the inputs alone.
        settings: Thresholds; None means the calibrated defaults.

    Source:
        Which test for which column: KS on frozen bins for many-valued numbers, χ² contingency for categories, two
        proportions (Fisher's exact test when few rows are expected) for two-valued columns, missing and unseen values.
        Unseen values are compared with what ``would_be_unlisted``.
    """
    settings = settings or DriftSettings()
    findings = list(_side(reference.columns, current, "input", settings))
    unexpected = _unexpected(reference.columns, current, settings)
    if outputs is not None:
        findings += _side(reference.outputs, outputs, "output", settings)
        unexpected += _unexpected(reference.outputs, outputs, settings)
    judged = _judge(findings, settings)
    return DriftReport(
        verdict=_verdict(judged),
        findings=judged,
        unexpected=unexpected,
        reference_rows=reference.rows,
        current_rows=current.height,
        settings=settings,
    )


def _side(
    references: Iterable[Reference], frame: pl.DataFrame, role: Role, settings: DriftSettings
) -> Iterable[Finding]:
    for reference in references:
        if reference.name not in settings.ignore:
            for finding in _column(reference, frame, settings):
                yield replace(finding, role=role)


def _unexpected(references: Iterable[Reference], frame: pl.DataFrame, settings: DriftSettings) -> tuple[str, ...]:
    known = {reference.name for reference in references} | set(settings.ignore)
    return tuple(name for name in frame.columns if name not in known)


def _column(reference: Reference, frame: pl.DataFrame, settings: DriftSettings) -> list[Finding]:
    if frame.height < settings.minimum_rows or reference.rows < settings.minimum_rows:
        return [_too_few(reference, reference.rows, frame.height)]
    if reference.name not in frame.columns:
        return [replace(_finding(reference, "values"), state="missing column", note="the window does not have it")]
    column = frame[reference.name]
    try:
        if isinstance(reference, CategoricalReference):
            return _categorical(reference, column, settings)
        if reference.type in ("date", "timestamp"):
            return _moment(reference, column, settings)
        return _numeric(reference, column, settings)
    except WrongKind as error:
        return [replace(_finding(reference, "values"), state="missing column", note=str(error))]


def _numeric(reference: NumericReference, column: pl.Series, settings: DriftSettings) -> list[Finding]:
    live = bin_numbers(column, reference)
    gone = _missing(reference, reference.nulls + reference.non_finite, live.missing, len(column), settings)
    n, m = reference.total, int(live.counts.sum())
    if min(n, m) < settings.minimum_rows:
        return [_too_few(reference, n, m), *gone]
    cells = coarse_cells(reference)
    coarse = grouped(reference.counts, cells), grouped(live.counts, cells)
    found = kolmogorov_smirnov_binned(reference.counts, live.counts)
    values = replace(
        _finding(reference, "values"),
        test="Kolmogorov-Smirnov",
        statistic=found.statistic,
        p_value=found.p_value,
        effect=found.statistic,
        effect_name="D",
        threshold=settings.least_shift,
        reference_rows=n,
        current_rows=m,
        note=f"{live.outside / m:.1%} outside the training range" if live.outside else "",
        bars=_bars(coarse_labels(reference, cells), *coarse),
        measures=_measures(*coarse) | _mean_shift(reference, live.mean) | {"outside range": live.outside / m},
    )
    return [values, *gone]


def _mean_shift(reference: NumericReference, mean: float | None) -> dict[str, float]:
    if not reference.sd or mean is None or reference.mean is None:
        return {}
    return {"mean shift in sd": (mean - reference.mean) / reference.sd}


def _moment(reference: NumericReference, column: pl.Series, settings: DriftSettings) -> list[Finding]:
    note = "time always moves on: test an age or a lag in its place"
    gone = _missing(reference, reference.nulls + reference.non_finite, count_missing(column), len(column), settings)
    return [replace(_finding(reference, "values"), state="not tested", note=note), *gone]


def _categorical(reference: CategoricalReference, column: pl.Series, settings: DriftSettings) -> list[Finding]:
    live = count_categories(column, reference)
    gone = _missing(reference, reference.nulls, live.missing, len(column), settings)
    n, m = int(live.reference.sum()), int(live.current.sum())
    if min(n, m) < settings.minimum_rows:
        return [_too_few(reference, n, m), *gone]
    return [_mix(reference, live, settings), *_unseen(reference, live, settings), *gone]


def _mix(reference: CategoricalReference, live: Categories, settings: DriftSettings) -> Finding:
    groups = pool(live.reference, live.current)
    a, b = grouped(live.reference, groups), grouped(live.current, groups)
    base = replace(
        _finding(reference, "values"),
        threshold=settings.least_shift,
        reference_rows=int(a.sum()),
        current_rows=int(b.sum()),
        bars=_category_bars(live),
    )
    if len(a) == 1:
        return replace(base, note="one value on both sides")
    base = replace(base, measures=_measures(a, b))
    if len(a) == 2:
        return _shares(base, int(a[0]), int(b[0]))
    found = chi_square(a, b)
    return replace(
        base,
        test="chi-square",
        statistic=found.statistic,
        p_value=found.p_value,
        effect=total_variation(a, b),
        effect_name="total variation",
        note=f"{len(groups) - len(a) + 1} rare values taken together" if len(groups) > len(a) else "",
    )


def _unseen(reference: CategoricalReference, live: Categories, settings: DriftSettings) -> list[Finding]:
    if reference.type == "bool":
        return []
    would_be, rows = would_be_unlisted(reference)
    if would_be + live.unlisted == 0:
        return []
    base = replace(
        _finding(reference, "unseen"),
        threshold=settings.least_gap,
        reference_rows=rows,
        current_rows=int(live.current.sum()),
    )
    found = _shares(base, would_be, live.unlisted)
    if live.unlisted * rows <= would_be * base.current_rows:
        return [replace(found, effect=0.0)]
    names = ", ".join(live.news[:3])
    return [replace(found, note=f"{live.unlisted:,} rows" + (f", such as {names}" if names else ""))]


def _missing(reference: Reference, before: int, now: int, rows: int, settings: DriftSettings) -> list[Finding]:
    if before + now == 0:
        return []
    base = replace(
        _finding(reference, "missing"), threshold=settings.least_gap, reference_rows=reference.rows, current_rows=rows
    )
    return [replace(_shares(base, before, now), note=f"{before / reference.rows:.1%} before, {now / rows:.1%} now")]


def _shares(base: Finding, a: int, b: int) -> Finding:
    """Return *base* with the test of ``a`` of its reference rows against ``b`` of its current rows."""
    n, m = base.reference_rows, base.current_rows
    exact = smallest_expected(a, n, b, m) < MINIMUM_EXPECTED
    found = fisher_exact(a, n, b, m) if exact else two_proportions(a, n, b, m)
    return replace(
        base,
        test="Fisher exact" if exact else "two proportions",
        statistic=found.statistic,
        p_value=found.p_value,
        effect=abs(b / m - a / n),
        effect_name="difference of shares",
        interval=newcombe_interval(a, n, b, m),
    )


def _judge(findings: list[Finding], settings: DriftSettings) -> tuple[Finding, ...]:
    tested = [finding.p_value for finding in findings if finding.p_value is not None]
    adjusted = iter(benjamini_hochberg(tested).tolist())
    judged = []
    for finding in findings:
        if finding.p_value is None or finding.effect is None:
            judged.append(finding)
            continue
        p = next(adjusted)
        real_and_large = p <= settings.q and finding.effect >= finding.threshold
        judged.append(replace(finding, adjusted_p=p, state="drift" if real_and_large else "ok"))
    return tuple(judged)


def _verdict(findings: tuple[Finding, ...]) -> DriftVerdict:
    if any(finding.is_alarm for finding in findings):
        return "drift"
    return "quiet" if any(finding.state == "ok" for finding in findings) else "not enough data"


def _measures(a: Counts, b: Counts) -> dict[str, float]:
    psi = population_stability_index(a, b)
    return {"PSI": psi.statistic, "PSI p-value": psi.p_value, "Jensen-Shannon distance": jensen_shannon_distance(a, b)}


def _bars(labels: Iterable[str], a: Counts, b: Counts) -> tuple[Bar, ...]:
    shares = zip(labels, (a / a.sum()).tolist(), (b / b.sum()).tolist(), strict=True)
    return tuple(Bar(label=label, reference=before, current=now) for label, before, now in shares)


def _category_bars(live: Categories) -> tuple[Bar, ...]:
    """Return the cells that are largest on either side, and one bar for all the others."""
    n, m = live.reference.sum(), live.current.sum()
    weight = np.maximum(live.reference / n, live.current / m)
    shown = np.sort(np.argsort(-weight, kind="stable")[:COARSE_CELLS])
    a, b = live.reference[shown], live.current[shown]
    labels = [live.labels[cell] for cell in shown]
    if len(live.reference) > len(shown):
        labels, a, b = [*labels, "all others"], np.append(a, n - a.sum()), np.append(b, m - b.sum())
    return _bars(labels, a, b)


def _finding(reference: Reference, aspect: Aspect) -> Finding:
    return Finding(column=reference.name, role="input", aspect=aspect)


def _too_few(reference: Reference, n: int, m: int) -> Finding:
    return replace(_finding(reference, "values"), state="not enough data", reference_rows=n, current_rows=m)
