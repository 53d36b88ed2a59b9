"""Calibration: against a sum by hand, and of a network that is sure and right."""

import numpy as np
import pytest
import torch

from normbench.evaluation.calibration import CALIBRATION_BINS, calibration_error, details


def by_hand(confidence, right):
    error = 0.0
    for lower in range(CALIBRATION_BINS):
        inside = [i for i, c in enumerate(confidence) if lower < c * CALIBRATION_BINS <= lower + 1]
        if inside:
            gap = np.mean([right[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            error += abs(gap) * len(inside) / len(confidence)
    return error


def test_the_calibration_error_is_the_weighted_gap_of_every_bin():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.1, 1.0, 500)
    right = random.uniform(size=500) < confidence**2
    assert calibration_error(confidence, right) == pytest.approx(by_hand(confidence, right))
    assert calibration_error(confidence, right) > 0.05


def test_a_calibrated_network_has_next_to_no_error():
    random = np.random.default_rng(1)
    confidence = random.uniform(0.1, 1.0, 200_000)
    assert calibration_error(confidence, random.uniform(size=200_000) < confidence) < 0.01


def test_sure_and_right_is_perfect_and_sure_and_wrong_is_the_worst():
    scores = 1000 * torch.eye(3)
    assert details(scores, torch.arange(3), ("a", "b", "c")).calibration_error == 0
    wrong = details(scores, torch.tensor([1, 2, 0]), ("a", "b", "c"))
    assert (wrong.calibration_error, wrong.accuracy) == (1, 0)
    assert wrong.confusion == ((0, 0, 1), (1, 0, 0), (0, 1, 0))
