"""A training among the tools of scikit-learn: pipelines, searches, cross-validation."""

from .classifier import DANNClassifier

__all__ = ["DANNClassifier"]
