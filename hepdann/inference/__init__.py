"""A model and events: scores. It needs the folder of a run and nothing else.

    predictor = hepdann.inference.open_predictor("runs/sine-t3-1")
    scores = predictor.scores(predictor.inputs(dataframe))
    scores.mean, scores.spread, scores.domain

``hepdann.predict`` reads files, and writes what the model says of them.
"""

from .model import NO_FOLD, InputColumns, Model, object_scores, prior_corrected
from .prediction import PredictedFile, Prediction, predict
from .predictor import Predictor, known_events, load_model, open_predictor, save_model
from .steps import (
    Combination,
    FoldMean,
    Inputs,
    MethodMean,
    NetworkSteps,
    Part,
    Scores,
    Step,
    corrected,
)

__all__ = [
    "NO_FOLD", "Combination", "FoldMean", "InputColumns", "Inputs", "MethodMean", "Model",
    "NetworkSteps", "Part", "PredictedFile", "Prediction", "Predictor", "Scores", "Step",
    "corrected", "known_events", "load_model", "object_scores", "open_predictor", "predict",
    "prior_corrected", "save_model",
]  # fmt: skip
