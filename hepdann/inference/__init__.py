"""A model and events: scores."""

from __future__ import annotations

from .prediction import PredictedFile, Prediction, predict

__all__ = ["PredictedFile", "Prediction", "predict"]
