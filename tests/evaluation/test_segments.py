"""Purity, efficiency and residual of segments, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann.evaluation.minerva import plane_residual, residual_profile, segment_profile


def test_purity_looks_along_what_is_given_and_efficiency_along_what_is_true():
    """Three classes and a column of "none": 4 of 6 events of class 0 are found, one is lost."""
    given = np.array([0, 0, 0, 0, 1, 3, 1, 1, 0, 2])
    label = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    score = np.eye(4)[given]
    efficiency = segment_profile(score, label, None, what="efficiency")
    purity = segment_profile(score, label, None, what="purity")
    assert efficiency.value == pytest.approx([4 / 6, 2 / 3, 1])
    assert purity.value == pytest.approx([4 / 5, 2 / 3, 1])
    assert purity.edges.tolist() == [-0.5, 0.5, 1.5, 2.5]
    assert efficiency.error[0] > 0


def test_a_vertex_within_its_segment_is_off_by_no_plane():
    planes = np.array([1, 8, 9, 30, 50, 60])
    assert plane_residual([0, 0, 1, 6, 10, 10], planes).tolist() == [0, 0, 0, 0, 0, 0]
    assert plane_residual([1, 2, 0, 9, 9], [8, 9, 9, 43, 60]).tolist() == [1, 1, -1, 6, -11]
    shares = residual_profile([0, 0, 1, -20], None, most=2)
    assert shares.value.tolist() == [0.25, 0, 0.5, 0.25, 0]
