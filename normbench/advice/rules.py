"""Rules, each with its paper or study. A rule states when it holds, and which norm it is for or against."""

from collections.abc import Callable
from dataclasses import dataclass

from normbench.advice.situation import Situation

SMALL_BATCH = 16


@dataclass(frozen=True)
class Evidence:
    """Evidence of a rule: the statement of a paper (or documentation), or a study that measures it."""

    source: str = ""
    statement: str = ""
    study: str = ""
    """Command that measures it, in place of a source; its statement is looked up."""
    part: str = ""
    """Entry of the study's values; empty takes its first conclusion."""


@dataclass(frozen=True)
class Rule:
    """Rule: where it `holds`, use a norm of `prefer`, in that order, none of `avoid`; those of `exclude` fail."""

    name: str
    condition: str
    holds: Callable[[Situation], bool]
    reason: str
    evidence: tuple[Evidence, ...]
    prefer: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


GN_PAPER, LN_PAPER, BN_PAPER = "arXiv:1803.08494", "arXiv:1607.06450", "arXiv:1502.03167"

# In order of precedence: of two norms without objections, that of the earlier rule is the first choice.
_RULES = (
    Rule(
        "style", "style transfer", lambda s: s.task == "style",
        "The contrast of the single image is to go, and that is what InstanceNorm removes.",
        (Evidence("arXiv:1607.08022", "batch normalization swapped for instance normalization, at training and test "
                  "time, improves stylized images markedly"),),
        prefer=("in",), avoid=("bn", "sync-bn"),
    ),
    Rule(
        "image-to-image", "translation of images into images", lambda s: s.task == "image-to-image",
        "As in style transfer, the contrast of the single image is to go; and such networks are trained with one image "
        "or few a step.",
        (Evidence("arXiv:1703.10593", "CycleGAN's generator uses instance normalization"),
         Evidence("arXiv:1611.07004", "pix2pix takes the statistics of the batch in use, too; with one image a batch, "
                  "which is instance normalization, that is effective for generating images")),
        prefer=("in",), avoid=("bn", "sync-bn"),
    ),
    Rule(
        "online", "online learning", lambda s: s.task == "online",
        "Examples come one by one, so there is no batch to take statistics over, and what comes may drift away from "
        "running ones. InstanceNorm needs several positions or steps of each channel.",
        (Evidence(LN_PAPER, "batch normalization cannot be applied to online learning; layer normalization puts no "
                  "constraint on the size of a batch"),),
        prefer=("ln", "in"), avoid=("bn", "sync-bn"),
    ),
    Rule(
        "fast-sequence", "sequences, and time matters", lambda s: not s.images and "fast" in s.needs,
        "RMSNorm leaves out LayerNorm's mean.",
        (Evidence("arXiv:1910.07467", "comparable to LayerNorm in its models, in 7 to 64 % less running time"),),
        prefer=("rms", "ln"),
    ),
    Rule(
        "sequence", "sequences", lambda s: not s.images,
        "Statistics of one token or one input: no dependence on the batch, nor on the length of its members.",
        (Evidence(LN_PAPER, "statistics from a single training case, the same computation at training and test time; "
                  "suits recurrent networks"),
         Evidence("arXiv:1910.07467", "leaving out the mean (RMSNorm) does comparably to LayerNorm"),
         Evidence("arXiv:2003.07845", "plain batch normalization degrades transformers on language tasks; its batch "
                  "statistics fluctuate throughout training")),
        prefer=("ln", "rms"), avoid=("bn", "sync-bn"),
    ),
    Rule(
        "fold", "the norm must vanish into the convolution", lambda s: "fold" in s.needs,
        "In eval mode BatchNorm is one fixed scale and shift a channel, which the convolution's weights can take in; "
        "the others compute statistics of every input.",
        (Evidence("arXiv:1712.05877", "batch normalization is folded into the convolution's weights for inference"),),
        prefer=("bn", "sync-bn"), avoid=("gn", "ln", "in", "rms"),
    ),
    Rule(
        "agree", "training and use must compute the same", lambda s: "agree" in s.needs and s.images,
        "Running statistics make BatchNorm another function in eval mode than in train mode.",
        (Evidence(LN_PAPER, "layer normalization performs exactly the same computation at training and test time"),
         Evidence(GN_PAPER, "group normalization's computation does not depend on the batch"),
         Evidence(study="mistakes", part="train-mode"), Evidence(study="mistakes", part="state")),
        prefer=("gn", "ln"), avoid=("bn", "sync-bn"),
    ),
    Rule(
        "frozen", f"a network pretrained with BatchNorm, and fewer than {SMALL_BATCH} images a step on a device",
        lambda s: s.images and "pretrained" in s.needs and s.batch_size < SMALL_BATCH,
        "Its weights were learned with BatchNorm's running statistics, and a few images give no better ones: kept as "
        "they are, BatchNorm is one fixed scale and shift a channel.",
        (Evidence(GN_PAPER, "Fast, Faster and Mask R-CNN have batches of 1 or 2 images, with BatchNorm frozen into a "
                  "linear layer; GroupNorm can outperform its BatchNorm counterparts there"),
         Evidence("torchvision documentation of FrozenBatchNorm2d", "statistics and affine parameters are fixed")),
        prefer=("frozen-bn",),
    ),
    Rule(
        "video", "video", lambda s: s.task == "video",
        "A clip has many frames, which leave room for few clips on a device.",
        (Evidence(GN_PAPER, "video is among the tasks that memory keeps to small batches; GroupNorm can outperform its "
                  "BatchNorm counterparts in video classification on Kinetics"),),
        prefer=("gn",),
    ),
    Rule(
        "medical", "medical images", lambda s: s.task == "medical",
        "Volumes and large slices leave room for few of them on a device.",
        (Evidence("arXiv:1810.11654", "the network that won the BraTS challenge of 2018 on brain tumours uses group "
                  "normalization"),
         Evidence("arXiv:1809.03783", "in U-Nets on three sets of medical slices, group normalization with many "
                  "groups, or instance normalization, is more accurate than batch and layer normalization")),
        prefer=("gn", "in"),
    ),
    Rule(
        "segmentation", "segmentation", lambda s: s.task == "segmentation" and s.images,
        "Large images leave room for few of them on a device.",
        (Evidence(GN_PAPER, "GroupNorm can outperform BatchNorm for detection and segmentation on COCO"),),
        prefer=("gn",),
    ),
    Rule(
        "batch-one", "one image a step on a device", lambda s: s.images and s.batch_size == 1,
        "BatchNorm's statistics are then those of the image itself, which its running statistics in eval mode are not.",
        (Evidence(study="mistakes", part="batch-one"),
         Evidence("torch documentation of SyncBatchNorm", "statistics are taken over all processes of a group, so that "
                  "the batch is no longer of one")),
        prefer=("gn",), exclude=("bn",),
    ),
    Rule(
        "small-batch", f"fewer than {SMALL_BATCH} images a step on a device",
        lambda s: s.images and s.batch_size < SMALL_BATCH,
        "BatchNorm's error grows as its batch shrinks; GroupNorm does not look at the batch. Accumulated gradients do "
        "not help: statistics are not accumulated. (16 is a rule of thumb: the loss sets in gradually.)",
        (Evidence(GN_PAPER, "ResNet-50 on ImageNet with 2 images a device: error 34.7 % with BN, 24.1 % with GN; "
                  "BN's error increases rapidly as the batch becomes smaller"),
         Evidence(study="batch-size"), Evidence(study="mistakes", part="accumulation")),
        prefer=("gn",), avoid=("bn",),
    ),
    Rule(
        "generation", "generation of images", lambda s: s.task == "generation" and s.images,
        "A sample should not depend on the others of its batch.",
        (Evidence("arXiv:2006.11239", "the diffusion model's U-Net uses group normalization throughout"),
         Evidence("arXiv:1704.00028", "no batch normalization in a critic with gradient penalty, since the penalty is "
                  "of each input alone; layer normalization in its place")),
        prefer=("gn", "ln"), avoid=("bn", "sync-bn"),
    ),
    Rule(
        "synchronize", f"several devices that have {SMALL_BATCH} images or more a step together",
        lambda s: s.images and s.devices > 1 and s.batch_size * s.devices >= SMALL_BATCH,
        "Taken over all devices, BatchNorm's batch is large enough and does not depend on how it is shared out, at the "
        "price of communication in every layer.",
        (Evidence("torch documentation of SyncBatchNorm", "statistics are taken over all processes of a group"),
         Evidence("arXiv:1711.07240", "batch normalization across devices trained a detector with large batches")),
        prefer=("sync-bn",),
    ),
    Rule(
        "large-batch", f"{SMALL_BATCH} images a step or more on a device",
        lambda s: s.images and s.batch_size >= SMALL_BATCH,
        "With enough images BatchNorm is the one to beat, and GroupNorm comes close.",
        (Evidence(GN_PAPER, "ResNet-50 on ImageNet with 32 images a device: error 23.6 % with BN, 24.1 % with GN"),
         Evidence(study="compare"), Evidence(study="batch-size")),
        prefer=("bn", "gn"),
    ),
    Rule(
        "detection", "detection", lambda s: s.task == "detection" and s.images,
        "Large images leave room for few of them on a device.",
        (Evidence(GN_PAPER, "GroupNorm can outperform BatchNorm for detection and segmentation on COCO"),
         Evidence("arXiv:1711.07240", "a detector trained with large batches by batch normalization across devices")),
        prefer=("gn", "sync-bn"),
    ),
    Rule(
        "pretrained", f"a network pretrained with BatchNorm, and {SMALL_BATCH} images a step or more on a device",
        lambda s: s.images and "pretrained" in s.needs and s.batch_size >= SMALL_BATCH,
        "Its weights were learned with BatchNorm, and the batch is large enough to go on with it.",
        (Evidence(GN_PAPER, "BatchNorm needs a batch that is large enough, such as 32 images a device"),),
        prefer=("bn", "frozen-bn"),
    ),
    Rule(
        "per-device", "several devices", lambda s: s.images and s.devices > 1,
        "Without synchronization BatchNorm's batch is that of one device, however many there are.",
        (Evidence("arXiv:1706.02677", "batch statistics are computed for each worker, over its share of the batch"),),
    ),
    Rule(
        "classifier", "classification, detection or segmentation",
        lambda s: s.images and s.task in ("vision", "detection", "segmentation", "video"),
        "InstanceNorm gives every channel of every image the same mean and variance: how strongly a filter answers "
        "over the image is gone.",
        (Evidence(GN_PAPER, "with usual batches on ImageNet, GroupNorm outperforms LayerNorm and InstanceNorm"),
         Evidence(study="mistakes", part="instance")),
        prefer=("gn", "ln"), avoid=("in",),
    ),
    Rule(
        "streaming", "one input at a time in use", lambda s: s.images and "streaming" in s.needs,
        "No obstacle to any: in eval mode BatchNorm uses running statistics, and one image is like many. In train mode "
        "it would fail.",
        (Evidence(BN_PAPER, "population statistics take the place of the batch's for inference"),
         Evidence(study="mistakes", part="train-mode")),
    ),
    Rule(
        "fast-image", "images, and time matters", lambda s: s.images and "fast" in s.needs,
        "What a norm costs depends on the device and its kernels: measure it on yours.",
        (Evidence(study="cost"),),
    ),
    Rule(
        "export", "the network is to be exported", lambda s: s.images and "export" in s.needs,
        "No obstacle to any registered norm: the export is compared with torch whenever it is written.",
        (Evidence("normbench export", "writes ONNX and prints by how much its logits differ from torch's"),),
    ),
    Rule(
        "some-norm", "always", lambda _: True,
        "A norm permits learning rates and depths that a plain network does not stand.",
        (Evidence(BN_PAPER, "much higher learning rates, and less care about initialization"),
         Evidence(study="depth")),
        avoid=("none",),
    ),
)  # fmt: skip

RULES: dict[str, Rule] = {entry.name: entry for entry in _RULES}
