"""Draw the README's figure out of one finished run, each panel by the public plotting functions.

python benchmarks/studies/readme_figure.py runs/sine-t3-1 docs/figures/overview.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from hepdann import plotting
from hepdann.evaluation import open_scores
from hepdann.evaluation.curves import run_roc
from hepdann.plotting.quantities import Quantities


def main(run: Path, output: Path) -> None:
    """Scores of source-only and of the DANN on MC and target, and every method's ROC."""
    quantities, scores = Quantities.open(run), open_scores(run)
    with plotting.style("ROOT"):
        figure = Figure(figsize=(21, 6.4))
        left, middle, right = figure.subplots(1, 3)
        for ax, method in ((left, "source-only"), (middle, "dann")):
            numbers = quantities.score(method, 1, by="class", scale=True)
            plotting.scores(
                numbers, "Signal score", data_name=quantities.target_name, title=method, ax=ax
            )
        curves = {m: run_roc(scores, "target", m) for m in scores.methods}
        plotting.roc(
            {m: curve for m, curve in curves.items() if curve is not None},
            title=f"{quantities.target_name}",
            ax=right,
        )
        figure.subplots_adjust(left=0.05, right=0.985, bottom=0.13, top=0.97, wspace=0.2)
        figure.savefig(output, dpi=70)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
