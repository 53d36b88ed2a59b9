"""Task, batch size and needs of a user."""

from dataclasses import dataclass

from normbench.errors import UsageError, unknown

TASKS = {
    "vision": "classification of images",
    "detection": "detection of objects",
    "segmentation": "segmentation of images",
    "medical": "medical images",
    "video": "video",
    "generation": "generation of images from noise",
    "image-to-image": "translation of images into images, with or without an adversary",
    "style": "style transfer",
    "sequence": "text, audio, time series, transformers",
    "online": "online learning, one example after another",
}
OTHER_TASKS = {
    "classification": "vision", "classify": "vision", "imageclassification": "vision", "image": "vision",
    "images": "vision", "cnn": "vision", "recognition": "vision", "cifar10": "vision", "imagenet": "vision",
    "objectdetection": "detection", "detect": "detection", "yolo": "detection", "rcnn": "detection",
    "semanticsegmentation": "segmentation", "instancesegmentation": "segmentation", "unet": "segmentation",
    "gan": "generation", "gans": "generation", "dcgan": "generation", "stylegan": "generation",
    "diffusion": "generation", "generative": "generation", "vae": "generation", "imagegeneration": "generation",
    "cyclegan": "image-to-image", "pix2pix": "image-to-image", "translation": "image-to-image",
    "imagetranslation": "image-to-image", "imagetoimagetranslation": "image-to-image",
    "superresolution": "image-to-image",
    "styletransfer": "style", "neuralstyletransfer": "style", "stylization": "style",
    "transformer": "sequence", "transformers": "sequence", "text": "sequence", "nlp": "sequence",
    "language": "sequence",
    "llm": "sequence", "audio": "sequence", "speech": "sequence", "timeseries": "sequence", "rnn": "sequence",
    "lstm": "sequence", "sequences": "sequence", "bert": "sequence", "gpt": "sequence",
    "machinetranslation": "sequence",
    "medicalimaging": "medical", "mri": "medical", "ct": "medical", "volumes": "medical", "3d": "medical",
    "videos": "video", "actionrecognition": "video",
    "onlinelearning": "online", "streaming": "online", "reinforcementlearning": "online", "rl": "online",
}  # fmt: skip
"""Other names of the tasks, in small letters and digits alone: a hint for whoever types one."""
SEQUENCE_TASKS = ("sequence", "online")
"""Tasks whose data are sequences by default."""
NEEDS = {
    "fold": "the norm can be folded into the convolution before it",
    "streaming": "inference one input at a time",
    "agree": "the same computation in training and in use",
    "fast": "as little time as possible",
    "export": "the network is exported as ONNX",
    "pretrained": "the network was trained with BatchNorm before",
}
DATA = ("image", "sequence")
MOST_INPUTS = 10**6
"""Largest number of inputs in a step, and of devices."""
CODE = {
    "bn": "nn.BatchNorm2d(channels)",
    "frozen-bn": "torchvision.ops.FrozenBatchNorm2d(channels)",
    "sync-bn": "nn.SyncBatchNorm.convert_sync_batchnorm(network)",
    "gn": "nn.GroupNorm(groups, channels)",
    "in": "nn.InstanceNorm2d(channels, affine=True)",
    "ln": "nn.GroupNorm(1, channels)",
    "rms": "normbench's rms",
    "none": "nn.Identity()",
}
CODE_ON_SEQUENCES = {
    "ln": "nn.LayerNorm(features)",
    "rms": "nn.RMSNorm(features)",
    "bn": "nn.BatchNorm1d(features)",
    "in": "nn.InstanceNorm1d(features, affine=True)",
}
IMAGE_TASKS = ("style", "image-to-image", "medical", "video")


@dataclass(frozen=True)
class Situation:
    """Task of a network, its training, and requirements of its use.

    Raises:
        UsageError: A name is unknown, or a number is out of bounds.
    """

    task: str
    batch_size: int = 32
    """Inputs in a step on one device."""
    devices: int = 1
    data: str = ""
    """`image` or `sequence`; empty takes the default of the task."""
    needs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise unknown("task", self.task, TASKS, OTHER_TASKS)
        for need in sorted(self.needs - NEEDS.keys()):
            raise unknown("need", need, NEEDS)
        for flag, number in (("--batch-size", self.batch_size), ("--devices", self.devices)):
            if not 1 <= number <= MOST_INPUTS:
                raise UsageError(f"{flag} {number}: must be from 1 to {MOST_INPUTS:,}")
        if self.task in IMAGE_TASKS and self.data == "sequence":
            raise UsageError(f"--task {self.task} is about images", "Omit --sequence, or use --task sequence.")
        if not self.data:
            object.__setattr__(self, "data", "sequence" if self.task in SEQUENCE_TASKS else "image")

    @property
    def images(self) -> bool:
        """True for feature maps (N, C, H, W), false for sequences of tokens."""
        return self.data == "image"

    @property
    def description(self) -> str:
        """Description in one sentence."""
        devices = f" on each of {self.devices} devices" if self.devices > 1 else ""
        needs = "".join(f"; {NEEDS[need]}" for need in NEEDS if need in self.needs)
        data = "sequences" if self.data == "sequence" and self.task not in SEQUENCE_TASKS else ""
        return f"{TASKS[self.task]}{' as ' if data else ''}{data}, {self.batch_size} a step{devices}{needs}"


def code(norm: str, situation: Situation) -> str:
    """Return the constructor of a norm in torch."""
    return CODE[norm] if situation.images else CODE_ON_SEQUENCES.get(norm, CODE[norm])
