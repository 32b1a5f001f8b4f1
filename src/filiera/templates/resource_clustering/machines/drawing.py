"""A page that shows clusters of machines."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera import Evaluation, Html
from filiera.core.charts import Line, line_chart, page, table
from filiera.model.plots import silhouette
from machines.use import FEATURES, LATER

HOURS = [f"hour_{number:02}" for number in range(24)]


def drawn(
    rows: pl.DataFrame, members: NDArray[np.int64], found: Evaluation, counts: list[tuple[int, float, float]]
) -> Html:
    """Return a page of *rows*: the mean day of each cluster, its medians and silhouettes, and *counts* of clusters."""
    clusters = rows.with_columns(cluster=pl.Series(members)).partition_by("cluster", as_dict=True)
    groups = [(f"cluster {number}", group) for (number,), group in sorted(clusters.items())]
    days = [Line(name, list(enumerate(group.select(HOURS).mean().row(0)))) for name, group in groups]
    header = ["cluster", "machines", "mean use, %", *FEATURES[1:], "later spread, %"]
    medians = [
        (
            name,
            f"{group.height:,}",
            f"{group.select(HOURS).to_numpy().mean():.1f}",
            *(f"{group[feature].median():.2f}" for feature in FEATURES[1:]),
            f"{group[LATER].median():.1f}",
        )
        for name, group in groups
    ]
    tried = [
        Line("silhouette", [(k, fit) for k, fit, _ in counts]),
        Line("stability", [(k, ari) for k, _, ari in counts]),
    ]
    return page(
        "Groups of machines",
        [
            f"<p>{rows.height:,} machines of a day that the clusters were not made from.</p>",
            "<h2>Mean use over the day, percent</h2>",
            line_chart(days, label="Mean use by cluster", x_label="hour"),
            "<h2>What marks each cluster</h2>",
            "<p>Medians over its machines; the last column was not known when they were grouped.</p>",
            table(header, medians, right=header[1:]),
            "<h2>How well machines fit</h2>",
            "<p>A bar per machine: 1 is in the midst of its cluster, 0 between two, less is nearer to another.</p>",
            f'<div style="max-width: 560px">{silhouette(found).text}</div>',
            "<h2>Why so many</h2>",
            "<p>Silhouette, and how alike the clusters are when the machines are drawn anew (1: the same).</p>",
            line_chart(tried, label="Silhouette and stability by number of clusters", x_label="clusters"),
        ],
    )
