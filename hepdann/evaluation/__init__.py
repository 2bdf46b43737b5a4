"""Figures of runs and samples, always weighted; what needs arrays alone is in ``hepdann.stats``.

Target labels of pseudo-data and of simulated "data" are read in this package alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import getter

if TYPE_CHECKING:
    from ..stats import accuracy, auc, roc
    from ..stats.importance import Importance, domain_importance, permutation_importance
    from ..store.scores_reader import RunScores, open_scores
    from . import curves as curves
    from .datamc import DataMC, compare_feature, data_mc, outside_bins
    from .diagnosis import Closure, Diagnosis, diagnose
    from .minerva import ENERGY, EventPicture, event_pictures, tensor_pictures
    from .quick_classifier import (
        LabelShift,
        QuickClassifier,
        ScoreEffect,
        label_shift,
        score_effect,
    )
    from .run_columns import RunColumns
    from .summary import summarise
    from .templates import Templates, TemplateSettings, fill_templates
    from .thresholds import (
        EfficiencyProfile,
        PointRow,
        WorkingPoint,
        efficiency_profile,
        flat_thresholds,
        point_rows,
        run_profile,
        run_thresholds,
        run_working_points,
        threshold_at,
        working_points,
    )
    from .truth import (
        PeekObserver,
        Truth,
        TruthFile,
        open_truth,
        oracle_source,
        truth_of,
        write_truth,
    )

__all__ = [
    "ENERGY", "Closure", "DataMC", "Diagnosis", "EfficiencyProfile", "EventPicture", "Importance",
    "LabelShift", "PeekObserver", "PointRow", "QuickClassifier", "RunColumns", "RunScores",
    "ScoreEffect", "TemplateSettings", "Templates", "Truth", "TruthFile", "WorkingPoint",
    "accuracy", "auc", "compare_feature", "data_mc", "diagnose", "domain_importance",
    "efficiency_profile", "event_pictures", "fill_templates", "flat_thresholds", "label_shift",
    "open_scores", "open_truth", "oracle_source", "outside_bins", "permutation_importance",
    "point_rows", "roc", "run_profile", "run_thresholds", "run_working_points", "score_effect",
    "summarise", "tensor_pictures", "threshold_at", "truth_of", "working_points", "write_truth",
]  # fmt: skip

__getattr__ = getter(__name__)
