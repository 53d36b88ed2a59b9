"""The checklists of docs/ADDING.md, followed in a copy of the project: one thing of each kind is added and run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SMALL = ("--dataset", "digits", "--subset", "128", "--epochs", "1", "--batch-size", "32")

MODULE = '''

class MeanDeviationNorm(nn.Module):
    """Divide by the mean absolute deviation of each image: (x - mean) / (mean |x - mean| + eps) * gamma_c + beta_c."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        centred = x - x.mean((1, 2, 3), keepdim=True)
        deviation = centred.abs().mean((1, 2, 3), keepdim=True)
        return centred / (deviation + self.eps) * self.weight + self.bias
'''
BUILDER = """def _mean_deviation_norm(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from normbench.norms.layers import MeanDeviationNorm

    return MeanDeviationNorm(channels, eps)


"""
RECORD = """    NormInfo(
        "mad", "Mean deviation normalization", "(x - mean_CHW) / (mean_CHW |x - mean| + eps) * gamma_c + beta_c",
        Axes(channels="all", positions=True), batch_statistics=False, train_eval_differ=False,
        when="Values with outliers.", avoid="Where a variance is expected.", mistakes=("None known.",),
        paper="-", build=_mean_deviation_norm, statistic="mean and mean absolute deviation",
    ),
"""
NETWORK = '''"""Network of two blocks."""

from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks.blocks import Block, conv3x3
from normbench.norms import Norm

TINY_WIDTHS = (8, 16)


class Tiny(nn.Module):
    """Two 3x3 blocks, the mean over positions and a classifier: (N, 3, 32, 32) -> (N, classes)."""

    def __init__(self, norm: Norm, config: NetworkConfig, classes: int) -> None:
        super().__init__()
        first, second = config.widths or TINY_WIDTHS
        self.block1 = Block(conv3x3(3, first, norm), first, norm, config)
        self.pool = nn.MaxPool2d(4)
        self.block2 = Block(conv3x3(first, second, norm), second, norm, config)
        self.head = nn.Linear(second, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of images (N, 3, 32, 32)."""
        x = self.block2(self.pool(self.block1(x)))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits
'''
DATA_SET = '''"""Tiles of two photographs that come with scikit-learn: a temple and a flower."""

import numpy as np
import torch

from normbench.data.splits import Source, Split

CLASSES = ("china", "flower")


def read() -> Source:
    """Cut both photographs into tiles of 32x32 pixels; every fifth tile is for the test."""
    from sklearn.datasets import load_sample_image

    tiles = []
    for name in CLASSES:
        photograph = load_sample_image(f"{name}.jpg")[:416, :640]
        tiles.append(photograph.reshape(13, 32, 20, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32))
    images = torch.from_numpy(np.concatenate(tiles))
    labels = torch.arange(len(CLASSES)).repeat_interleave(len(tiles[0]))
    test = torch.arange(len(images)) % 5 == 0
    return Source("tiles", CLASSES, Split(images[~test], labels[~test]), Split(images[test], labels[test]), flips=True)
'''
STUDY = {
    "__init__": '"""Size of a norm."""\n',
    "settings": '''"""Settings of `size`."""

from normbench.config.settings import Frozen, NormNames


class SizeSettings(Frozen):
    """Norms to count; None takes bn and none."""

    norms: NormNames | None = None
''',
    "measure": '''"""Learned numbers of norms per channel."""

from dataclasses import dataclass

from normbench.norms import Norm
from normbench.studies.size.settings import SizeSettings
from normbench.studies.study import StudyContext

CHANNELS = 8


@dataclass(frozen=True)
class Measurement:
    """Learned numbers per channel, by norm."""

    sizes: dict[str, float]


def measure(settings: SizeSettings, context: StudyContext) -> Measurement:
    """Count the learned numbers per channel of each norm."""
    layers = {name: Norm.parse(name).make(CHANNELS) for name in settings.norms or ("bn", "none")}
    return Measurement({name: sum(p.numel() for p in layer.parameters()) / CHANNELS for name, layer in layers.items()})
''',
    "sentences": '''"""Conclusions and caption of `size`, computed from its figures."""

from normbench.studies.size.measure import CHANNELS, Measurement


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """Name the largest norm."""
    largest = max(measurement.sizes, key=lambda name: measurement.sizes[name])
    return (f"{largest} learns most: {measurement.sizes[largest]:g} numbers per channel.",)


def caption(measurement: Measurement) -> str:
    """State the channels of the layers."""
    return f"Layers of {CHANNELS} channels."
''',
    "tables": '''"""Result of `size`: a table."""

from normbench.analysis import StudyResult, Table
from normbench.studies.size.measure import Measurement
from normbench.studies.size.sentences import caption, conclusions
from normbench.studies.size.study import STUDY


def study_result(measurement: Measurement) -> StudyResult:
    """Lay the counts out as a table with a row per norm."""
    rows = tuple((name, f"{size:g}") for name, size in measurement.sizes.items())
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=(Table(title="Learned numbers", columns=("norm", "per channel"), rows=rows),),
        charts=(),
        values=measurement.sizes,
    )
''',
    "study": '''"""The study `size`: learned numbers of norms."""

from typing import TYPE_CHECKING

from normbench.studies.size.settings import SizeSettings
from normbench.studies.study import FOLDER_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: SizeSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.size.measure import measure
    from normbench.studies.size.tables import study_result

    return study_result(measure(settings, context))


STUDY = Study(
    name="size",
    question="What does a norm learn per channel?",
    help="Count the learned numbers of each norm.",
    settings=SizeSettings,
    run=run,
    flags=FOLDER_FLAGS,
)
''',
}


class Copy:
    """Copy of the project, to which things are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("normbench", "configs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def insert(self, file: str, before: str, text: str) -> None:
        """Insert text before the only place in a file that a pattern fits."""
        path = self.folder / "normbench" / file
        content = path.read_text()
        (match,) = re.finditer(before, content, re.MULTILINE)
        path.write_text(content[: match.start()] + text + content[match.start() :])

    def append(self, file: str, text: str) -> None:
        path = self.folder / "normbench" / file
        path.write_text(path.read_text() + text)

    def create(self, file: str, text: str) -> None:
        path = self.folder / "normbench" / file
        path.parent.mkdir(exist_ok=True)
        assert not path.exists()
        path.write_text(text)

    def run(self, *arguments: object) -> dict[str, Any]:
        """Run a command of the copy; returns its JSON document."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NORMBENCH_")}
        environment |= {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "normbench", *map(str, arguments), "--json"]
        ended = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        document: dict[str, Any] = json.loads(ended.stdout)
        return document


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy with one thing of each kind, added in the places that the checklists name."""
    copy = Copy(tmp_path_factory.mktemp("project"))
    # A norm: two places.
    copy.append("norms/layers.py", MODULE)
    copy.insert("norms/registry.py", r"^def _identity\(", BUILDER)
    copy.insert("norms/registry.py", r"^\)  # fmt: skip\n\nNORMS", RECORD)
    # A network: a file and a line.
    copy.create("networks/tiny.py", NETWORK)
    copy.insert("networks/build.py", r"^    \"c10\": ", '    "tiny": (Tiny, TINY_WIDTHS),\n')
    copy.insert(
        "networks/build.py", r"^from normbench.norms ", "from normbench.networks.tiny import TINY_WIDTHS, Tiny\n"
    )
    # A data set: a file and a line.
    copy.create("data/tiles.py", DATA_SET)
    line = '    "tiles": DataSetInfo("tiles of two photographs", classes=2),\n'
    copy.insert("config/settings.py", r"^    \"digits\": ", line)
    # A schedule: two places.
    copy.insert("config/settings.py", r"(?<=^Schedule = Literal\[)", '"exponential", ')
    copy.insert("training/optimizer.py", r"^        \"constant\": ", EXPONENTIAL)
    # A study: a folder and a line.
    for name, text in STUDY.items():
        copy.create(f"studies/size/{name}.py", text)
    copy.insert("studies/__init__.py", r"(?<=^FOLDERS = \()", '"size", ')
    return copy


IMPORT = "from normbench.networks.tiny import TINY_WIDTHS, Tiny\n"
EXPONENTIAL = '        "exponential": lambda: torch.optim.lr_scheduler.ExponentialLR(optimizer, config.gamma),\n'


def test_the_headings_state_how_many_places_there_are():
    text = (ROOT / "docs" / "ADDING.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == [
        "A norm (two places)",
        "A network (one file and one line)",
        "A data set (one file and one line)",
        "A schedule (two places)",
        "A study (one folder and one line)",
    ]


def test_the_files_that_the_checklists_name_exist():
    text = (ROOT / "docs" / "ADDING.md").read_text(encoding="utf-8")
    named = {path for path in re.findall(r"`((?:normbench|tests|docs)/[^`]+)`", text) if "NAME" not in path}
    assert len(named) > 5
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_norm_trains_and_is_listed(copy):
    run = copy.run("train", "--norm", "mad(eps=0.001)", *SMALL)["run"]
    assert (run["status"], run["norm"]) == ("done", "mad(eps=0.001)")
    assert "mad" in [norm["name"] for norm in copy.run("norms")["norms"]]


def test_the_network_trains(copy):
    run = copy.run("train", "--norm", "gn", "--network", "tiny", *SMALL)["run"]
    assert (run["status"], run["network"]) == ("done", "tiny")
    assert run["parameters"] == 3 * 8 * 9 + 2 * 8 + 8 * 16 * 9 + 2 * 16 + 16 * 10 + 10


def test_the_data_set_is_trained_on(copy):
    run = copy.run("train", "--norm", "gn", *SMALL, "--dataset", "tiles")["run"]
    assert (run["status"], run["dataset"], run["test_images"]) == ("done", "tiles", 104)
    confusion = json.loads((copy.folder / run["folder"] / "confusion.json").read_text())
    assert confusion["classes"] == ["china", "flower"]


def test_the_schedule_sets_the_learning_rate(copy):
    settings = ("--set", "training.schedule=exponential", "--set", "training.gamma=0.5", "--lr", "0.08")
    run = copy.run("train", "--norm", "gn", *SMALL, "--epochs", "3", *settings)["run"]
    rows = [json.loads(line) for line in (copy.folder / run["folder"] / "metrics.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in rows] == [0.08, 0.04, 0.02]


def test_the_study_is_a_command_with_a_result_in_its_folder(copy):
    document = copy.run("size", "--norms", "bn,none")
    assert document["values"] == {"bn": 2.0, "none": 0.0}
    assert (copy.folder / "runs" / "size" / "report.html").exists()
