"""A model and events: scores. It needs the folder of a run and nothing else.

predictor = hepdann.inference.open_predictor("runs/sine-t3-1")
for scores in predictor.stream(blocks_of_events):
scores.mean, scores.spread, scores.domain
"""

from .input_columns import InputColumns
from .mixture import Mixture, corrected
from .model import BASE, PRIOR, Model, prior_corrected
from .passes import Inputs, classify
from .predictor import Predictor, open_predictor
from .steps import Branch, Combination, Part, Scores, Step
from .stored_model import load_model, save_model

__all__ = [
    "BASE",
    "PRIOR",
    "Branch",
    "Combination",
    "InputColumns",
    "Inputs",
    "Mixture",
    "Model",
    "Part",
    "Predictor",
    "Scores",
    "Step",
    "classify",
    "corrected",
    "load_model",
    "open_predictor",
    "prior_corrected",
    "save_model",
]
