"""A stand-in of CUDA graphs on the CPU, with their rules: same kernels, same memory, numbers of Python frozen.

A capture leaves everything as it was. A replay runs the recorded kernels on the recorded tensors and does nothing else:
what the step would have done in Python, or with tensors made elsewhere since, does not happen.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Recording(TorchDispatchMode):
    """Takes down every kernel of a step, forward, backward and update, and what it wrote over."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[tuple[Any, tuple, dict, Any]] = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(self, kernel, types, arguments=(), keywords=None):
        keywords = keywords or {}
        for tensor in written(kernel, arguments, keywords):
            place = tensor.untyped_storage().data_ptr()
            if place not in self.made and id(tensor) not in self.before:
                self.before[id(tensor)] = tensor, tensor.clone()
        output = kernel(*arguments, **keywords)
        inputs = {leaf.untyped_storage().data_ptr() for leaf in tensors((arguments, keywords))}
        self.made |= {leaf.untyped_storage().data_ptr() for leaf in tensors(output)} - inputs
        self.kernels.append((kernel, arguments, keywords, output))
        return output

    def undo(self) -> None:
        """Give the memory from before the step what it held: a capture computes nothing."""
        for tensor, content in self.before.values():
            tensor.detach().copy_(content)

    def replay(self) -> None:
        """Run every kernel again, into the same memory."""
        with torch.no_grad():
            for kernel, arguments, keywords, output in self.kernels:
                for old, new in zip(tensors(output), tensors(kernel(*arguments, **keywords)), strict=True):
                    if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                        old.copy_(new)


class RecordedGraphs:
    """`Graphs` on the CPU; counts what it was asked for."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed = 0

    def concurrently(self, works: Sequence[Callable[[], None]]) -> None:
        """In reverse: streams have no order that a step may rely on."""
        for work in reversed(works):
            work()

    def watch(self, step: Callable[[], None]) -> str | None:
        """Take the step: a CPU never waits for itself."""
        step()
        return None

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record the step."""
        self.captured += 1
        recording = Recording()
        with recording:
            step()
        recording.undo()

        def replay() -> None:
            self.replayed += 1
            recording.replay()

        return replay


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def written(kernel: Any, arguments: tuple, keywords: dict) -> list[Tensor]:
    """The arguments that a kernel writes to, by its own declaration; that of BatchNorm keeps its statistics quiet."""
    inputs = tensors(arguments[3:5]) if "batch_norm" in kernel._schema.name else []
    for place, declared in enumerate(kernel._schema.arguments):
        if declared.alias_info is not None and declared.alias_info.is_write:
            inputs += tensors(arguments[place] if place < len(arguments) else keywords.get(declared.name))
    return inputs
