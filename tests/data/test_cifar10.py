"""CIFAR-10 as published, and nothing opened that is not."""

import pickle
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from normbench import data
from normbench.config import DataConfig, MachineConfig
from normbench.data import cifar10
from normbench.errors import DataError


class Trap:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def source(cifar10_dir):
    return cifar10.read(MachineConfig(data_dir=cifar10_dir))


def test_the_md5_table_is_torchvisions():
    assert dict(CIFAR10.train_list) == cifar10.TRAIN_MD5
    assert dict(CIFAR10.test_list) == cifar10.TEST_MD5
    assert CIFAR10.base_folder == cifar10.FOLDER


@pytest.mark.cifar10
def test_there_are_50000_training_and_10000_test_images_with_equal_classes(source):
    for split, each in ((source.train, 5000), (source.test, 1000)):
        assert split.images.shape == (10 * each, 3, 32, 32)
        assert split.images.dtype == torch.uint8
        assert torch.bincount(split.labels).tolist() == [each] * 10


@pytest.mark.cifar10
@pytest.mark.parametrize("train", [True, False])
def test_images_labels_and_class_names_are_those_of_torchvision(source, cifar10_dir, train):
    published = CIFAR10(str(cifar10_dir), train=train)
    split = source.train if train else source.test
    assert list(source.classes) == published.classes
    assert split.labels.tolist() == published.targets
    for row in range(0, len(split), 997):
        assert np.array_equal(split.images[row].permute(1, 2, 0).numpy(), published.data[row])


@pytest.mark.cifar10
def test_a_validation_split_leaves_45000_images_of_equal_classes(cifar10_dir):
    machine = MachineConfig(data_dir=cifar10_dir)
    loaded = data.load(DataConfig(val_split=0.1), machine, torch.device("cpu"))
    assert torch.bincount(loaded.train.labels).tolist() == [4500] * 10
    assert torch.bincount(loaded.validation.labels).tolist() == [500] * 10
    assert len(loaded.test) == 10_000


@pytest.fixture
def copy(cifar10_dir, tmp_path) -> Path:
    """The real files, linked, in a folder where one can be put in another's place."""
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    for name in cifar10.MD5:
        (folder / name).symlink_to(cifar10_dir / cifar10.FOLDER / name)
    return folder


@pytest.mark.cifar10
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_a_file_that_is_cut_short_is_refused_with_its_name_and_md5(copy, name):
    content = (copy / name).read_bytes()[:-1]
    (copy / name).unlink()
    (copy / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} is damaged: its MD5 is {md5(content).hexdigest()}"):
        cifar10.read(MachineConfig(data_dir=copy.parent))
    states = data.locate(MachineConfig(data_dir=copy.parent)).files
    assert [file for file, state in states.items() if state != "ok"] == [name]


@pytest.mark.cifar10
def test_a_file_that_is_missing_is_named(copy):
    (copy / "data_batch_5").unlink()
    with pytest.raises(DataError, match="data_batch_5 is missing"):
        cifar10.read(MachineConfig(data_dir=copy.parent))


@pytest.mark.cifar10
def test_one_harmful_file_among_the_real_ones_is_not_opened(copy, tmp_path):
    (copy / "test_batch").unlink()
    (copy / "test_batch").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(DataError, match="test_batch is damaged"):
        cifar10.read(MachineConfig(data_dir=copy.parent))
    assert not (tmp_path / "sprung").exists()


def test_harmful_files_are_not_opened(tmp_path):
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    harmful = pickle.dumps(Trap(tmp_path / "sprung"))
    for name in cifar10.MD5:
        (folder / name).write_bytes(harmful)
    with pytest.raises(DataError, match=f"data_batch_1 is damaged.*{md5(harmful).hexdigest()}.*not opened"):
        cifar10.read(MachineConfig(data_dir=tmp_path))
    assert not data.locate(MachineConfig(data_dir=tmp_path)).complete
    assert not (tmp_path / "sprung").exists()
    pickle.loads(harmful)  # the trap is a real one
    assert (tmp_path / "sprung").exists()


def test_a_folder_without_cifar10_is_named_with_the_ways_out(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)) as error:
        data.load(DataConfig(), MachineConfig(data_dir=tmp_path), torch.device("cpu"))
    for way in ("normbench data --fetch", "--data-dir", "NORMBENCH_MIRROR", "--config digits"):
        assert way in error.value.hint


@pytest.mark.cifar10
def test_the_batch_folder_itself_may_be_given(cifar10_dir):
    assert data.locate(MachineConfig(data_dir=cifar10_dir / cifar10.FOLDER)).complete
