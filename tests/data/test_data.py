"""Data sets: the embedded digits, the splits, and the statistics that images are normalized with."""

import numpy as np
import pytest
import torch

from normbench import data
from normbench.config import DataConfig, MachineConfig
from normbench.config.settings import DATA_SETS, DataSetInfo
from normbench.data import digits as embedded
from normbench.data.splits import balanced_order, channel_statistics
from normbench.errors import DataError, UsageError

CPU = torch.device("cpu")


def load(**settings) -> data.DataSet:
    return data.load(DataConfig(name="digits", **settings), MachineConfig(), CPU)


def rows(split: data.Split) -> set[bytes]:
    return {image.numpy().tobytes() for image in split.images}


def test_the_digits_look_like_cifar10():
    source = embedded.read()
    assert len(source.train) + len(source.test) == 1797
    for split in (source.train, source.test):
        assert split.images.shape == (len(split), 3, 32, 32)
        assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
        assert (int(split.images.min()), int(split.images.max())) == (0, 255)


def test_a_digit_is_the_grey_8x8_image_each_pixel_four_by_four():
    from sklearn.datasets import load_digits

    known = {np.rint(image * 255 / 16).astype(np.uint8).tobytes() for image in load_digits().images}
    for split in (embedded.read().train, embedded.read().test):
        assert all(image[0, ::4, ::4].contiguous().numpy().tobytes() in known for image in split.images)
        assert all(torch.equal(split.images[:, 0], split.images[:, channel]) for channel in (1, 2))
        assert all(torch.equal(split.images[..., ::4], split.images[..., shift::4]) for shift in (1, 2, 3))


def test_no_test_digit_is_trained_on():
    source = embedded.read()
    assert not rows(source.train) & rows(source.test)


def test_every_digit_has_its_share_of_train_and_test():
    source = embedded.read()
    train, test = (torch.bincount(split.labels, minlength=10) for split in (source.train, source.test))
    share = (train + test) * len(source.test) / 1797
    assert ((test - share).abs() < 1).all()


def test_every_stretch_of_the_balanced_order_has_the_classes_in_equal_shares():
    labels = torch.arange(10).repeat_interleave(20)
    order = balanced_order(labels)
    assert order.sort().values.tolist() == list(range(200))
    for end in range(1, 201):
        counts = torch.bincount(labels[order[:end]], minlength=10)
        assert counts.max() - counts.min() <= 1


def test_a_subset_has_its_size_and_balanced_classes():
    counts = torch.bincount(load(subset=105).train.labels, minlength=10)
    assert counts.sum() == 105
    assert counts.max() - counts.min() <= 1


def test_a_smaller_subset_lies_inside_a_larger_one():
    assert torch.equal(load(subset=50).train.images, load(subset=80).train.images[:50])


def test_the_validation_split_is_held_out_of_the_training_images():
    source, split = embedded.read(), load(val_split=0.2)
    assert len(split.validation) == round(0.2 * len(source.train))
    assert len(split.validation) + len(split.train) == len(source.train)
    assert not rows(split.validation) & rows(split.train)
    assert rows(split.validation) | rows(split.train) == rows(source.train)
    assert torch.equal(split.test.images, source.test.images)


def test_without_a_validation_split_everything_is_trained_on():
    split = load()
    assert split.validation is None
    assert len(split.train) == len(embedded.read().train)


def test_a_subset_that_is_too_large_is_refused_with_what_there_is():
    left = len(embedded.read().train)
    with pytest.raises(UsageError, match=f"digits has {left:,} to train on") as error:
        load(subset=left + 1)
    assert f"--subset {left} " in error.value.hint
    assert len(load(subset=left).train) == left


def test_a_subset_that_is_too_large_beside_the_validation_split_says_so():
    left = len(load(val_split=0.5).train)
    with pytest.raises(UsageError, match="held out for validation"):
        load(subset=left + 1, val_split=0.5)


def test_a_validation_split_of_no_image_is_refused():
    with pytest.raises(UsageError, match="is none"):
        load(val_split=1e-5)


def test_channel_statistics_are_those_of_numpy_in_float64():
    images = torch.randint(256, (50, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 1] //= 3
    mean, std = channel_statistics(images)
    pixels = images.numpy().astype(np.float64)
    np.testing.assert_allclose(mean.view(3).numpy(), pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.view(3).numpy(), pixels.std((0, 2, 3)), rtol=1e-6)


def test_images_are_normalized_by_the_images_trained_on_alone():
    split = load(subset=100, val_split=0.5)
    trained = data.normalize(split.train.images, split.mean, split.std)
    torch.testing.assert_close(trained.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(trained.std((0, 2, 3), correction=0), torch.ones(3), rtol=0, atol=1e-4)
    assert split.train.images.dtype == torch.uint8


def as_bytes(split) -> list[bytes]:
    return sorted(
        image.numpy().tobytes() + bytes([int(label)]) for image, label in zip(split.images, split.labels, strict=True)
    )


def test_another_split_seed_deals_all_images_anew_and_keeps_sizes_and_classes():
    published, first, again, second = (load(split_seed=seed) for seed in (0, 1, 1, 2))
    every = sorted(as_bytes(published.train) + as_bytes(published.test))
    for dealt in (first, second):
        assert (len(dealt.train), len(dealt.test)) == (len(published.train), len(published.test))
        assert sorted(as_bytes(dealt.train) + as_bytes(dealt.test)) == every, "no image is lost, none is in both"
        shares = torch.bincount(dealt.test.labels) / len(dealt.test)
        assert float(shares.max() - shares.min()) < 0.02
    assert as_bytes(first.test) == as_bytes(again.test)
    assert as_bytes(first.test) != as_bytes(second.test) != as_bytes(published.test)


def test_a_data_set_of_another_number_of_classes_than_its_record_is_refused(monkeypatch):
    monkeypatch.setitem(DATA_SETS, "digits", DataSetInfo("digits", classes=7))
    with pytest.raises(DataError, match="digits has 10 classes, but its record states 7"):
        load()
