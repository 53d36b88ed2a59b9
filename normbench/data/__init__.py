"""Image sets as tensors on the device. uint8 images, and augmented batches of them."""

from typing import TYPE_CHECKING

from normbench.data.cifar10 import Status, locate
from normbench.data.download import OnDownload, Progress, check_torchvision, fetch
from normbench.lazy import lazy_names

if TYPE_CHECKING:
    from normbench.data.batches import Batches
    from normbench.data.sources import Choice, load, settle
    from normbench.data.splits import DataSet, Split, channel_statistics, normalize

__all__ = [
    "Batches",
    "Choice",
    "DataSet",
    "OnDownload",
    "Progress",
    "Split",
    "Status",
    "channel_statistics",
    "check_torchvision",
    "fetch",
    "load",
    "locate",
    "normalize",
    "settle",
]

__getattr__ = lazy_names(
    __name__,
    {
        "batches": ("Batches",),
        "sources": ("Choice", "load", "settle"),
        "splits": ("DataSet", "Split", "channel_statistics", "normalize"),
    },
)
