"""Batches: the same images, cropped and mirrored as image by image, in an order that only seed and epoch decide."""

import dataclasses

import pytest
import torch
import torchvision.transforms.functional as by_image
from helpers.small import train_epoch
from torch import Tensor

from normbench import randomness
from normbench.config import DataConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import Batches, DataSet
from normbench.errors import UsageError
from normbench.networks import build
from normbench.norms import Norm
from normbench.training import Training

SIZE = 16


@pytest.fixture
def photos(digits: DataSet) -> DataSet:
    """The digits, as if a mirrored one kept its class."""
    return dataclasses.replace(digits, flips=True)


def pixels(data: DataSet, normalized: Tensor) -> Tensor:
    """Undo the normalization: the uint8 images a batch was made from."""
    return (normalized * data.std + data.mean).round().to(torch.uint8)


def epoch(data: DataSet, number: int = 1, seed: int = 0, **settings) -> tuple[Tensor, Tensor]:
    """All images, as uint8, and labels of one epoch."""
    images, labels = zip(*Batches(data, DataConfig(**settings), seed, SIZE).epoch(number), strict=True)
    return pixels(data, torch.cat(images)), torch.cat(labels)


def one_by_one(data: DataSet, number: int, seed: int, padding: int) -> tuple[Tensor, Tensor]:
    """The same epoch by torchvision, an image at a time, from the same draws."""
    order = torch.randperm(len(data.train), generator=randomness.generator(seed, "order", number))
    chance = randomness.generator(seed, "augment", number)
    corners = torch.randint(2 * padding + 1, (len(order), 2), generator=chance).tolist()
    mirrored = (torch.rand(len(order), generator=chance) < 0.5).tolist()
    images = []
    for index, (top, left), mirror in zip(order.tolist(), corners, mirrored, strict=True):
        image = by_image.crop(by_image.pad(data.train.images[index], [padding], fill=0), top, left, 32, 32)
        images.append(by_image.hflip(image) if mirror else image)
    return torch.stack(images), data.train.labels[order]


@pytest.mark.parametrize("padding", [0, 2, 4])
def test_crops_and_flips_are_those_of_torchvision_image_by_image(photos, padding):
    images, labels = epoch(photos, number=3, seed=5, crop_padding=padding)
    expected_images, expected_labels = one_by_one(photos, number=3, seed=5, padding=padding)
    assert torch.equal(images, expected_images)
    assert torch.equal(labels, expected_labels)


def test_without_augmentation_an_epoch_is_every_image_once(digits):
    images, _ = epoch(digits, crop_padding=0)
    seen = sorted(image.numpy().tobytes() for image in images)
    assert seen == sorted(image.numpy().tobytes() for image in digits.train.images)


def test_batches_are_float32_and_normalized(digits):
    images, labels = next(Batches(digits, DataConfig(crop_padding=0), 0, 96).epoch(1))
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)


@pytest.mark.parametrize("other", [{"seed": 1}, {"number": 2}])
def test_another_seed_or_epoch_is_another_order_and_other_crops(digits, other):
    (images, labels), (other_images, other_labels) = epoch(digits), epoch(digits, **other)
    assert not torch.equal(labels, other_labels)
    images, other_images = images[labels.argsort()], other_images[other_labels.argsort()]
    assert not torch.equal(images, other_images)


def test_an_epoch_depends_neither_on_earlier_epochs_nor_on_the_global_random_state(photos):
    batches = Batches(photos, DataConfig(), 0, SIZE)
    list(batches.epoch(1))
    torch.manual_seed(1234)
    late = torch.cat([images for images, _ in batches.epoch(2)])
    torch.manual_seed(5678)
    assert torch.equal(pixels(photos, late), epoch(photos, number=2)[0])


@pytest.mark.parametrize("norm", ["gn", "ln-chw", "none"])
def test_runs_of_one_seed_see_the_same_batches_whatever_their_norm(photos, norm):
    def seen(name: str) -> Tensor:
        settings = NetworkConfig(widths=(4, 4, 4, 4, 4, 4, 4, 4, 4, 4), dropout=0.5)
        config = RunConfig(norm=name, network=settings, training=TrainingConfig(batch_size=SIZE, lr=1e-3), seed=2)
        network, images = build(settings, Norm.parse(name), seed=2), []
        network.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0].clone()))
        training = Training(config, network, photos)
        train_epoch(training, 1)
        return torch.cat(images)

    assert torch.equal(seen(norm), seen("bn"))


def test_digits_are_never_mirrored(digits):
    assert torch.equal(epoch(digits, flip=True)[0], epoch(digits, flip=False)[0])


def test_flip_can_be_turned_off(photos, digits):
    assert torch.equal(epoch(photos, flip=False)[0], epoch(digits)[0])
    assert not torch.equal(epoch(photos, flip=True)[0], epoch(digits)[0])


def test_the_last_incomplete_batch_is_left_out(digits):
    batches = Batches(digits, DataConfig(), 0, 36)
    assert len(batches) == 2  # 96 images
    assert [len(labels) for _, labels in batches.epoch(1)] == [36, 36]


def test_a_batch_larger_than_the_data_is_refused_with_what_fits(digits):
    with pytest.raises(UsageError, match="96 training images do not fill one batch of 97") as error:
        Batches(digits, DataConfig(), 0, 97)
    assert "--batch-size 96" in error.value.hint


def test_named_streams_of_one_seed_differ_from_each_other():
    draws = {
        torch.rand(3, generator=randomness.generator(0, stream, epoch)).numpy().tobytes()
        for stream in ("init", "order", "augment", "dropout", "subset")
        for epoch in (0, 1, 2)
    }
    assert len(draws) == 15
