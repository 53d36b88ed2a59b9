"""Trial of custom code before training. Copies of the network are trained for a few steps, saved, loaded and compared.

A run is saved as its state dict. Whatever else a module remembers is lost when the run is resumed, evaluated or
exported, and the numbers are then others without a word. Built-in norms and networks are tested for this once and for
all.
"""

import io
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from normbench import randomness
from normbench.config import RunConfig
from normbench.config.norm_names import NormName
from normbench.config.settings import is_custom_network
from normbench.custom_code import uncovered_files
from normbench.data import DataSet, Split, channel_statistics
from normbench.errors import NormbenchError, UsageError, in_one_line
from normbench.networks import IMAGE_SHAPE, build_for, custom_network, neglected_norm
from normbench.norms import Norm
from normbench.runs import model_bytes
from normbench.training import RunGroup, Training

LARGEST_BATCH = 16
STEPS = 2
"""Training steps of an epoch of the trial, which has two epochs."""
RATE = 0.01
"""The highest learning rate of the trial: it compares numbers, which must not overflow."""
ROUNDING = 1e-5
"""Largest difference of equal networks, as a share of the largest value."""
SAVED = "A run is saved as its state dict: keep what must survive in parameters, or in buffers with persistent=True."


@dataclass(frozen=True)
class Trial:
    """Outcome for a norm in a network that may be trained."""

    warnings: tuple[str, ...] = ()
    captures: bool = True
    """True if a replayed step equals an eager one; False where Python state or generators are in it."""


def try_out(config: RunConfig) -> Trial:
    """Train copies of a network with custom code for a few steps on noise, on the CPU, and compare them.

    One that fails while it is trained fails in its run, which tells of it and does not stop other runs.

    Raises:
        UsageError: The network cannot be saved, its copies share what they train, or one that was saved and loaded
            gives other outputs than the one it was saved from.
    """
    with randomness.restored():
        return _Trial(config).run()


class _Trial:
    """Networks of one norm and seed, and their outputs."""

    def __init__(self, config: RunConfig) -> None:
        batch = min(config.training.batch_size, LARGEST_BATCH)
        changes = {
            "batch_size": batch,
            "lr": min(config.training.lr, RATE),
            "epochs": max(2, config.training.epochs),
            "precision": "fp32",
        }
        self.config = config.model_copy(update={"training": config.training.model_copy(update=changes)})
        self.norm = Norm.parse(config.norm, config.groups)
        self.network = custom_network(config.network.name) if is_custom_network(config.network.name) else None
        norm, network = f"norm '{config.norm}'", f"network '{config.network.name}'"
        self.subject = norm if self.network is None else f"{network} with {norm}" if self.norm.is_custom else network
        """Custom code that is tried out, as errors and warnings name it."""
        generator = randomness.generator(config.seed, "augment")
        images = torch.randint(256, (STEPS * batch, *IMAGE_SHAPE), generator=generator, dtype=torch.uint8)
        classes = config.data.classes
        split = Split(images, torch.arange(len(images)) % classes)
        mean, std = channel_statistics(images)
        self.data = DataSet("noise", tuple(map(str, range(classes))), split, None, split, mean, std, flips=False)

    def run(self) -> Trial:
        try:
            return self._examine()
        except NormbenchError:
            raise
        except (Exception, SystemExit):  # noqa: BLE001  # told in the row of its run
            return Trial(captures=False)

    def _examine(self) -> Trial:
        untouched, first = self._start(), self._start()
        initial = untouched.network.state_dict()
        before = {name: value.clone() for name, value in initial.items() if isinstance(value, Tensor)}
        kept = _beside_the_state(first.network)
        alone = self._outputs(self._start())
        repeatable = _alike(alone, self._outputs(self._start()))
        self._epoch(first, 1)
        state, weights = self._through_a_file(first), self._weights(first)
        outputs = self._outputs(first)
        self._refuse_shared(before, untouched)
        if repeatable and not _alike(alone, self._outputs(self._start())):
            raise UsageError(
                f"{self.subject} shares state between networks: training one changes the outputs of another",
                "Keep it in parameters or buffers of each module: no variable of the file, no cached module.",
            )
        moved = sorted({name for name, value in _beside_the_state(first.network).items() if kept.get(name) != value})
        repeated = self._start()
        self._epoch(repeated, 1)
        random = not _alike(outputs, self._outputs(repeated))
        if not random:
            self._compare(first, outputs, state, weights, moved)
        return Trial(
            tuple(self._warnings(random, moved, first)), captures=not (random or moved or self._draws(repeated))
        )

    def _start(self) -> Training:
        network = build_for(self.config, len(self.data.classes), self.norm, self.network)
        return Training(self.config, network, self.data)

    @staticmethod
    def _epoch(training: Training, epoch: int) -> None:
        RunGroup([training]).epoch(epoch)

    def _through_a_file(self, training: Training) -> dict[str, Any]:
        file = io.BytesIO()
        try:
            torch.save(training.state(), file)
            file.seek(0)
            state: dict[str, Any] = torch.load(file, weights_only=True)
        except (Exception, SystemExit) as error:
            raise self._unsaved(error) from error
        return state

    def _weights(self, training: Training) -> dict[str, Tensor]:
        try:
            return load_safetensors(model_bytes(training.network))
        except (Exception, SystemExit) as error:
            raise self._unsaved(error) from error

    def _unsaved(self, error: BaseException) -> UsageError:
        reason = " ".join(str(error).split())
        return UsageError(f"{self.subject} cannot be saved: {type(error).__name__}: {reason}", SAVED)

    def _outputs(self, training: Training) -> Tensor:
        """Logits in eval mode, with the generators seeded."""
        training.network.eval()
        randomness.seed_global(self.config.seed, "dropout", host=True)
        with torch.no_grad():
            images = self.data.test.images.float().sub(self.data.mean).div(self.data.std)
            logits: Tensor = training.network(images.contiguous(memory_format=torch.channels_last))
        return logits

    def _refuse_shared(self, before: dict[str, Tensor], untouched: Training) -> None:
        after = untouched.network.state_dict()
        if changed := [name for name, value in before.items() if not _alike(value, after[name])]:
            raise UsageError(
                f"{self.subject} shares tensors between networks: training one changes {changed[0]} of another",
                "The factory must return a new module each time: no cached module, no parameter made once for all.",
            )

    def _compare(
        self, first: Training, outputs: Tensor, state: dict[str, Any], weights: dict[str, Tensor], moved: list[str]
    ) -> None:
        loaded, resumed = self._start(), self._start()
        try:
            loaded.network.load_state_dict(weights)
            resumed.load_state(state)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{self.subject} cannot be loaded: {in_one_line(error)}", SAVED) from error
        because = f"; what it keeps elsewhere: {', '.join(moved)}" if moved else ""
        if not _alike(outputs, self._outputs(loaded)):
            raise UsageError(
                f"{self.subject} gives other outputs once it is saved and loaded{because}: evaluate, export and a "
                "resumed run would be of another network",
                SAVED,
            )
        self._epoch(first, 2)
        self._epoch(resumed, 2)
        one, other = first.network.state_dict(), resumed.network.state_dict()
        if not all(_alike(value, other[name]) for name, value in one.items() if isinstance(value, Tensor)):
            raise UsageError(
                f"{self.subject} trains otherwise once it is saved and loaded{because}: a resumed run would "
                "end with other numbers",
                SAVED,
            )

    def _warnings(self, random: bool, moved: list[str], training: Training) -> list[str]:
        warnings = []
        if random:
            warnings.append(
                f"{self.subject} gives other outputs with the same seed: it draws from a generator that no seed of "
                "normbench reaches, so its runs cannot be repeated or resumed to the bit"
            )
        elif not _alike(self._answer(training, 1), self._answer(training, 2)):
            warnings.append(f"{self.subject} draws random numbers in eval mode: its accuracy varies from time to time")
        if moved and not random:
            warnings.append(
                f"{self.subject} keeps {', '.join(moved)} outside its state dict: a resumed run starts them anew"
            )
        if files := self._uncovered_files():
            warnings.append(
                f"{self.subject} imports {', '.join(files)} in a way that its code does not tell: a change there "
                "does not make another run"
            )
        if self.network:
            sentences = neglected_norm(training.network, self.norm)
            warnings += [f"network '{self.network.name}': {sentence}" for sentence in sentences]
        return warnings

    def _uncovered_files(self) -> tuple[str, ...]:
        of_norm = uncovered_files(NormName.parse(self.config.norm).base, "norm") if self.norm.is_custom else ()
        of_network = uncovered_files(self.network.name, "network") if self.network else ()
        return tuple(dict.fromkeys(of_norm + of_network))

    def _answer(self, training: Training, seed: int) -> Tensor:
        training.network.eval()
        randomness.seed_global(seed, "dropout", host=True)
        with torch.no_grad():
            logits: Tensor = training.network(self.data.test.images[:2].float())
        return logits

    @staticmethod
    def _draws(training: Training) -> bool:
        """Test for a step that draws from Python's or NumPy's generator, which a captured step would do only once."""
        training.batches.start(2)
        training.begin(2)
        before = randomness.host_state()
        training.step(*training.batches.next())
        return randomness.host_state() != before


def _beside_the_state(network: nn.Module) -> dict[str, object]:
    """By name, what modules keep that their state dict does not hold: plain values, and tensors by their content."""
    saved = {id(value) for value in (*network.parameters(), *network.buffers())}
    saved -= {id(value) for module in network.modules() for name, value in _unsaved_buffers(module)}
    attributes: dict[str, object] = {}
    for module in network.modules():
        for name, value in (*vars(module).items(), *_unsaved_buffers(module)):
            key = f"{type(module).__name__}.{name}"
            if isinstance(value, Tensor) and id(value) not in saved:
                attributes[key] = (attributes.get(key), value.detach().cpu().double().numpy().tobytes())
            elif isinstance(value, PLAIN) and name not in OF_TORCH:
                attributes[key] = (attributes.get(key), repr(value))
    return attributes


def _unsaved_buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    names = module._non_persistent_buffers_set  # torch has no other way to ask
    return [(name, value) for name, value in module._buffers.items() if name in names and value is not None]


PLAIN = (bool, int, float, str, tuple, list, dict, set)
OF_TORCH = frozenset(vars(nn.Module()))
"""Attributes that every module has."""


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if one.is_complex() and other.is_complex():
        one, other = torch.view_as_real(one.resolve_conj()), torch.view_as_real(other.resolve_conj())
    a, b = one.double().nan_to_num(), other.double().nan_to_num()
    scale = max(float(a.abs().max()), 1e-30) if a.numel() else 1.0
    return bool(((a - b).abs() <= ROUNDING * scale).all()) and torch.equal(one.isnan(), other.isnan())
