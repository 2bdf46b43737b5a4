"""Draw the figures of docs/aleph-study.md out of one scan, by the public plotting functions.

    python benchmarks/aleph/figures.py study/grid docs/figures
    python benchmarks/aleph/figures.py study/whole docs/figures --stem scan --only against_t

The second line draws that of docs/scan.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hepdann import plotting
from hepdann.evaluation.curves import ScanCurves, gap_to

SHIFT = "sine"
DPI = 62


def against_t(scan: ScanCurves) -> Figure:
    """Accuracy, AUC and consistency against t; below, what is missing to the oracle."""
    figure = Figure(figsize=(23, 7.4))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.12, top=0.97)
    grid = figure.add_gridspec(2, 3, height_ratios=(1.7, 1.0), hspace=0.06, wspace=0.22)
    names = (("target_accuracy", "Target accuracy"), ("target_auc", "Target AUC"))
    for column, (key, label) in enumerate(names):
        found = scan.against_t(SHIFT, key)
        upper = figure.add_subplot(grid[0, column])
        lower = figure.add_subplot(grid[1, column], sharex=upper)
        upper.tick_params(axis="x", which="both", labelbottom=False)
        plotting.sweep(found, label, "t", below=gap_to(found), ax=upper, below_ax=lower)
    right = figure.add_subplot(grid[:, 2])
    plotting.sweep(scan.against_t(SHIFT, "consistency"), "Consistency", "t", ax=right)
    return figure


def against_lambda(scan: ScanCurves) -> Figure:
    """The sweep of λ at t = 3, and the gap that is closed."""
    figure = Figure(figsize=(23, 6.2))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.14, top=0.97, wspace=0.22)
    first, second, third = figure.subplots(1, 3)
    place = (SHIFT, 3.0)
    for ax, key, label in (
        (first, "target_accuracy", "Target accuracy"),
        (second, "target_auc", "Target AUC"),
    ):
        plotting.sweep(
            scan.against_lambda(place, key), label, "lambda", ax=ax, title=f"{SHIFT} t = 3"
        )
    plotting.sweep(
        scan.gap_closed(SHIFT, "accuracy"), "Gap to the oracle closed, accuracy", "t", ax=third,
        level=("oracle", 1.0), title=f"{SHIFT}, ensembles",
    )  # fmt: skip
    return figure


def curves(scan: ScanCurves) -> Figure:
    """Losses at t = 3, ROC curves at t = 3 and 8 with the ratio to source-only."""
    figure = Figure(figsize=(23, 8.0))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.11, top=0.97)
    grid = figure.add_gridspec(2, 3, height_ratios=(2.4, 1.0), hspace=0.06, wspace=0.42)

    def panels(column: int) -> tuple[Axes, Axes]:
        upper = figure.add_subplot(grid[0, column])
        upper.tick_params(axis="x", which="both", labelbottom=False)
        return upper, figure.add_subplot(grid[1, column], sharex=upper)

    upper, lower = panels(0)
    plotting.loss(scan.losses((SHIFT, 3.0)), ax=upper, domain_ax=lower, title=f"{SHIFT} t = 3")
    for column, t in ((1, 3.0), (2, 8.0)):
        upper, lower = panels(column)
        plotting.roc(
            scan.rocs((SHIFT, t)), ax=upper, ratio_ax=lower, signal=scan.classes[1],
            background=scan.classes[0], title=f"{SHIFT} t = {t:g}",
        )  # fmt: skip
    return figure


FIGURES = {"against_t": against_t, "lambda": against_lambda, "curves": curves}


def main() -> None:
    """Parse and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--stem", default="aleph", help="begins the names of the files")
    parser.add_argument("--only", choices=list(FIGURES), help="one of them")
    given = parser.parse_args()
    found = ScanCurves.open(given.scan)
    with plotting.style("ROOT"):
        for name in [given.only] if given.only else FIGURES:
            FIGURES[name](found).savefig(given.output / f"{given.stem}_{name}.png", dpi=DPI)


if __name__ == "__main__":
    main()
