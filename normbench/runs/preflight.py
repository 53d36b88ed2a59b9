"""What is wrong with a run before it starts: said at once, not after the data is loaded."""

from normbench.config import RunConfig
from normbench.errors import UsageError
from normbench.norms import Norm

SMALL_BATCH = 8


def check(config: RunConfig) -> list[str]:
    """Look a run over; returns warnings, in words.

    Raises:
        UsageError: The norm is unknown, or batch statistics are asked of batches of one image.
    """
    norm = Norm.parse(config.norm, config.groups)
    batch = config.training.batch_size
    if not norm.info.batch_statistics or batch >= SMALL_BATCH:
        return []
    if batch == 1:
        raise UsageError(
            f"{norm.name} takes its statistics over the batch, and a batch of 1 image has none to speak of",
            "Use --batch-size 8 or more, or a norm without batch statistics: --norm gn",
        )
    return [
        f"{norm.name} with batches of {batch} images: its statistics are noisy, and evaluation with running "
        "statistics suffers; --norm gn does not depend on the batch"
    ]
