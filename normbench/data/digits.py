"""Embedded digits in the shape of CIFAR-10. Real images of scikit-learn that need no download."""

import numpy as np
import torch
from torch import Tensor

from normbench.data.splits import Source, Split

CLASSES = tuple(str(digit) for digit in range(10))
TEST_IMAGES = 360
"""Test images of 1,797, drawn once, stratified by class."""


def read() -> Source:
    """Read train and test split of the 8x8 digits, each pixel enlarged to 4x4, grey in three channels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=TEST_IMAGES, stratify=labels, random_state=0)
    train_images, test_images, train_labels, test_labels = parts
    train = Split(_enlarged(train_images), _labels(train_labels))
    test = Split(_enlarged(test_images), _labels(test_labels))
    return Source("digits", CLASSES, train, test, flips=False)


def _enlarged(pixels: np.ndarray) -> Tensor:
    """Convert (N, 64) grey values from 0 to 16 to images (N, 3, 32, 32) uint8."""
    grey = np.rint(pixels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    return torch.from_numpy(np.kron(grey, np.ones((1, 3, 4, 4), np.uint8)))


def _labels(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))
