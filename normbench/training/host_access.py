"""Host accesses that prevent a capture. They are found without a GPU."""

import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

OWN = tuple(f"{Path(module.__path__[0]).resolve()}{os.sep}" for module in (torch, sys.modules["normbench"]))
"""Folders of code that is not the user's."""
META = torch.device("meta")


class HostTensors(TorchDispatchMode):
    """Notes the line of every kernel that is given a tensor of the host, or makes one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: list[str] = []

    def __torch_dispatch__(self, kernel: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        output = kernel(*arguments, **(keywords or {}))
        leaves = tree_leaves((arguments, keywords, output))
        if any(isinstance(leaf, Tensor) and leaf.device.type == "cpu" for leaf in leaves):
            self.lines.append(_line(traceback.extract_stack()))
        return output


def host_access(network: nn.Module, image_shape: tuple[int, ...]) -> str | None:
    """Find the reason that a training step of a network cannot be captured, with the line to blame; None if it can.

    The step is taken on the meta device, where tensors have a shape and no numbers: whatever looks at a number raises
    there, and a tensor that is made on the host stands out. What Python counts by itself is not seen. The network is
    of no use afterwards.
    """
    watch = HostTensors()
    network = network.to(META).train()
    images = torch.empty((2, *image_shape), device=META)
    try:
        with watch:
            network(images).float().sum().backward()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # of custom code: any kind, and it is told
        line = _line(traceback.extract_tb(error.__traceback__))
        return f"a step cannot be followed without its numbers: {_first_line(error)} ({line})"
    return f"a step uses tensors of the host ({watch.lines[0]})" if watch.lines else None


def _line(frames: Iterable[traceback.FrameSummary]) -> str:
    """The innermost line of a stack that is neither torch's nor normbench's own; `file:number`."""
    frames = list(frames)
    users = [frame for frame in frames if not str(Path(frame.filename).resolve()).startswith(OWN)]
    frame = (users or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
