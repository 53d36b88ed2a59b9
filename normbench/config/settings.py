"""Settings of a run as frozen models."""

import hashlib
import json
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from normbench.config.norm_names import NormName, canonical_text
from normbench.errors import UsageError, nearest, shortened

MAX_EPOCHS = 20
PARAMETER_BUDGET = 50_000


def _canonical(name: str) -> str:
    """The canonical text of a norm's name; pydantic asks for a ValueError where it has none."""
    try:
        return canonical_text(name)
    except UsageError as error:
        raise ValueError(error.message) from error


# Numbers are numbers: neither `true` nor a text is one. All have two bounds, so that none can ask for gigabytes or run
# without end; those of a study's own settings are with the study.
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Switch = Annotated[bool, Strict()]
Share = Annotated[float, Strict(), Field(gt=0.0, le=1.0)]
Epochs = Annotated[int, Strict(), Field(ge=1, le=MAX_EPOCHS)]
BatchSize = Annotated[int, Strict(), Field(ge=1, le=8192)]
LearningRate = Annotated[float, Strict(), Field(gt=0.0, le=1e30)]
"""Up to what float32 can hold: rates at which everything diverges are for a search to find out."""
Penalty = Annotated[float, Strict(), Field(ge=0.0, le=1e6)]
Groups = Annotated[int, Strict(), Field(ge=1, le=1024)]
Seed = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Seeds = Annotated[int, Strict(), Field(ge=1, le=1000)]
Width = Annotated[int, Strict(), Field(ge=1, le=512)]
NormText = Annotated[str, AfterValidator(_canonical)]
NormNames = Annotated[tuple[NormText, ...], Field(min_length=1, max_length=64)]

DropoutRate = Annotated[float, Strict(), Field(ge=0.0, lt=1.0)]

Activation = Literal["relu", "silu", "gelu", "leaky_relu", "elu", "tanh"]
Init = Literal["torch", "kaiming", "xavier"]
Optimizer = Literal["sgd", "adam", "adamw"]
Precision = Literal["fp32", "tf32", "bf16"]
"""`fp32`: IEEE float32 throughout. `tf32`: convolutions and matrix products round their inputs to TF32, all else is
float32. `bf16`: these two compute in bfloat16 (autocast); norms take and give bfloat16, and compute in float32."""
Schedule = Literal["step", "constant", "cosine", "onecycle", "linear", "plateau", "cyclic"]
LrScaling = Literal["linear", "sqrt", "none"]


@dataclass(frozen=True)
class DataSetInfo:
    """Record of a data set: what is known of it before it is read."""

    title: str
    """Its name in sentences."""
    classes: int


DATA_SETS = {
    "cifar10": DataSetInfo("CIFAR-10", classes=10),
    "digits": DataSetInfo("the embedded digits, not CIFAR-10", classes=10),
}
"""Data sets, each read by the module of its name in `normbench.data`."""
AUTO = "auto"
"""CIFAR-10 where it is available, else the digits."""


def data_set_title(name: str) -> str:
    """The name of a data set in sentences; of an unknown one, as of a run of another version, the name itself."""
    return DATA_SETS[name].title if name in DATA_SETS else name


def _check_data_set(name: str) -> str:
    if name not in {*DATA_SETS, AUTO}:
        raise ValueError(f"unknown data set. {nearest(name, {*DATA_SETS, AUTO})}")
    return name


DataName = Annotated[str, AfterValidator(_check_data_set)]

MOVES_NO_NUMBER = ("max_params", "tuned")
"""Settings of a run that are no part of its fingerprint."""

ADDED_LATER: dict[str, object] = {
    "norm_revision": 1, "training.decay_norms": True, "training.warmup": 0.2, "data.split_seed": 0,
    "training.optimizer": "sgd", "training.patience": 2, "training.cycles": 2, "training.cycle_base": 0.25,
    "network.init_gain": 1.0, "network_source": None, "network.hidden_dropout": [0.2, 0.3],
}  # fmt: skip
"""Settings that came after the first runs, with the value, as JSON has it, that does what was done before.

It is the default, too, since the run folders of then do not have the setting.
"""


class Frozen(BaseModel):
    """Settings that cannot be changed after they are made, and refuse keys they do not know, infinity and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def is_custom_network(name: str) -> bool:
    """Test for the name of a custom network, whose code is imported: `file.py:factory` or `package.module:factory`."""
    return ":" in name


class NetworkConfig(Frozen):
    """Network and its settings; each applies to every norm alike, and none but the name to a custom network."""

    name: str = Field("c10", description="Network: a built-in one (docs/networks.md), as c10, or file.py:factory.")
    """Name of a built-in network, `file.py:factory` or `package.module:factory`."""
    widths: Annotated[tuple[Width, ...], Field(max_length=64)] | None = None
    """Output channels per block, first to last; None takes the network's own."""
    residual: Switch = True
    """Residual adds inside the second and third stage (`c10` only)."""
    dropout: DropoutRate = 0.0
    """After every norm that an activation follows, and in the MLP of a block that begins with its norm."""
    hidden_dropout: tuple[DropoutRate, DropoutRate] = (0.2, 0.3)
    """After the activations of the two hidden layers (`mlp` only)."""
    activation: Activation = "relu"
    block: Literal["plain", "depthwise", "separable"] = "plain"
    """`plain`: one 3x3 convolution; `depthwise`: two 3x3 filters per channel, then 1x1; `separable`: one 3x3 filter per
    channel, a norm, then 1x1, in every block but C1 (`c10` only)."""
    init: Init = "kaiming"
    init_gain: Number = Field(1.0, gt=0.0, le=1000.0)
    """Factor on every initial weight, on top of `init`."""
    multiplier: Whole = Field(2, ge=1, le=16)
    """Factor on every width (`lnet` only)."""

    @model_validator(mode="after")
    def _refuse_settings_of_others(self) -> "NetworkConfig":
        settings = self.model_dump(exclude={"name"}, exclude_defaults=True)
        if settings and is_custom_network(self.name):
            raise ValueError(
                f"{', '.join(settings)} {'does' if len(settings) == 1 else 'do'} not apply to a custom network, "
                f"{shortened(self.name)}: its code decides"
            )
        return self


class DataConfig(Frozen):
    """Data set, the images of it that are trained on, and their augmentation."""

    name: DataName = Field(
        "cifar10",
        description=f"Data set, {', '.join(DATA_SETS)} or auto: the embedded digits where CIFAR-10 is not available.",
    )
    subset: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Number of training images, classes balanced; by default all."
    )
    val_split: Number = Field(
        0.0, ge=0.0, lt=1.0, description="Fraction of the training images held out for validation."
    )
    split_seed: Seed = 0
    """Split into training and test images: 0 as published, else all images redrawn, with as many in either part. A few
    such splits show how far the choice of images moves a result, which no seed of a run does."""
    crop_padding: Whole = Field(4, ge=0, le=16)
    """Black pixels around an image before the random crop; 0 turns cropping off."""
    flip: Switch = True
    """Mirror half of the training images left to right, where the data set allows it."""

    @property
    def classes(self) -> int:
        """Number of classes of the data set; of `auto` that of CIFAR-10, which the digits share."""
        return DATA_SETS["cifar10" if self.name == AUTO else self.name].classes


class TrainingConfig(Frozen):
    """Optimizer, learning-rate schedule and loss."""

    epochs: Epochs = Field(MAX_EPOCHS, description=f"Epochs, 1 to {MAX_EPOCHS}.")
    batch_size: BatchSize = Field(128, description="Images in a step.")
    optimizer: Optimizer = "sgd"
    """`sgd`; `adam` (arXiv:1412.6980) and `adamw` (arXiv:1711.05101) with torch's betas 0.9 and 0.999 and eps 1e-8."""
    lr: LearningRate = Field(0.1, description="Learning rate, the largest of the schedule.")
    """The default is one for SGD: Adam's rates are some hundred times smaller."""
    momentum: Number = Field(0.9, ge=0.0, lt=1.0)
    """Read by `sgd` alone, as is `nesterov`; Adam has its betas instead."""
    nesterov: Switch = True
    weight_decay: Penalty = Field(5e-4, description="Weight decay.")
    """`sgd` and `adam` add it times the parameter to the gradient (L2); `adamw` shrinks the parameter by it times the
    learning rate, past the gradient."""
    l1: Penalty = 0.0
    """Factor on the sum of absolute weights, added to the loss."""
    schedule: Schedule = "step"
    step_size: Whole = Field(6, ge=1, le=1000)
    """Epochs between two steps of StepLR."""
    gamma: Number = Field(0.2, gt=0.0, le=1.0)
    """Factor on the learning rate at each step of StepLR, and at each plateau."""
    patience: Whole = Field(2, ge=0, le=1000)
    """Epochs without a new lowest loss that the schedule `plateau` tolerates before the next one lowers the rate."""
    cycles: Whole = Field(2, ge=1, le=1000)
    """Triangles of the schedule `cyclic` in the whole training, each up from the lowest rate to `lr` and down again."""
    cycle_base: Number = Field(0.25, ge=0.0, lt=1.0)
    """Lowest rate of the schedule `cyclic`, as a fraction of `lr`."""
    warmup: Number = Field(0.2, ge=0.0, lt=1.0)
    """Fraction of the steps in which the schedule `linear` rises, before it falls linearly to zero."""
    label_smoothing: Number = Field(0.0, ge=0.0, lt=1.0)
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="Arithmetic of the convolutions: auto is tf32 on CUDA, fp32 elsewhere. Norms compute in float32.",
    )
    """`fp32`: IEEE float32; `tf32`: TF32 in convolutions and matrix products, on CUDA alone; `bf16`: bfloat16 in
    those, and norms compute in float32; `auto`: `tf32` on CUDA, `fp32` elsewhere. The same for every norm."""
    decay_norms: Switch = True
    """Apply weight decay and L1 also to scale and shift of the norms, and to the biases that stand in for a shift."""


class SweepConfig(Frozen):
    """Batch sizes of the study `batch-size`; every norm is trained at each of them."""

    batch_sizes: tuple[BatchSize, ...] = Field((2, 4, 8, 16, 32, 64, 128, 512), min_length=1, max_length=64)
    """Images in a step."""
    lr_scaling: LrScaling = "linear"
    """Scaling of the learning rate of `training` (at its batch size B) to a batch of b: `linear` times b/B
    (arXiv:1706.02677), `sqrt` times its square root (arXiv:1404.5997), `none` not at all."""


class RunConfig(Frozen):
    """One training of one network with one norm and one seed."""

    norm: NormText
    """A built-in norm, `package.module:factory` or `file.py:factory`, each optionally with arguments and `+ws`."""
    groups: Groups = 4
    """Channel groups of GroupNorm (`gn` only); those that the norm's own arguments state, where they do."""
    seed: Seed = 0
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    norm_source: str | None = None
    """SHA-256 of the code of a custom norm: other code is another run."""
    network_source: str | None = None
    """SHA-256 of the code of a custom network, likewise."""
    read_test: Switch = True
    """Score the test images at the end; a search leaves them unread."""
    norm_revision: Whole = Field(1, ge=1, le=1_000_000)
    """Revision of the built-in norm, from its record: a norm that computes something else makes another run."""
    max_params: Whole = Field(
        PARAMETER_BUDGET, ge=1, le=10_000_000, description="Refuse networks with this many parameters or more."
    )
    deterministic: Switch = False
    tuned: Switch | None = None
    """True if learning rate and weight decay were found by a search for this norm; None where that is not known, as in
    the search itself."""

    @model_validator(mode="before")
    @classmethod
    def _take_groups_of_the_norm(cls, settings: Any) -> Any:
        """Let `groups` be what the norm's name states, so that the recipe's own moves no number and no fingerprint."""
        if not isinstance(settings, dict) or not isinstance(settings.get("norm"), str):
            return settings
        try:
            name = NormName.parse(settings["norm"])
        except UsageError:
            return settings  # the field's own validator names it
        groups = None if name.is_custom else name.arguments.get("groups")
        return settings if groups is None else settings | {"groups": groups}

    @property
    def has_custom_code(self) -> bool:
        """True if the norm or the network is imported rather than part of normbench."""
        return NormName.parse(self.norm).is_custom or is_custom_network(self.network.name)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the settings that can move a number.

        A setting of `ADDED_LATER` is part of it only where it differs from what runs did before it existed.
        """
        science = self.model_dump(mode="json", exclude=set(MOVES_NO_NUMBER))
        for path, before in ADDED_LATER.items():
            *sections, name = path.split(".")
            holder = reduce(getitem, sections, science)
            if holder[name] == before:
                del holder[name]
        return hashlib.sha256(json.dumps(science, sort_keys=True).encode()).hexdigest()
