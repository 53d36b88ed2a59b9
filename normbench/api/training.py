"""One run, as `normbench train`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normbench import engine, runs
from normbench.api.settings import NetworkLike, NormLike, changed_recipe, machine, network_spec, norm_spec
from normbench.config.recipes import DEFAULT_RECIPE
from normbench.config.validation import check_name
from normbench.engine.callbacks import Callback
from normbench.runs import RunResult


def train(
    norm: NormLike,
    *,
    recipe: str = DEFAULT_RECIPE,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    seed: int | None = None,
    dataset: str | None = None,
    subset: int | None = None,
    network: NetworkLike | None = None,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str | None = None,
    force: bool | None = None,
    callback: Callback | None = None,
) -> RunResult:
    """Train the network with one norm; a finished run is returned, not trained again.

    Args:
        norm: A name as on the command line, or a class or factory at the top level of a file.
        recipe: Name or TOML file of the settings; the arguments below change some of them.
        epochs: 1 to 20.
        batch_size: Images in a step.
        lr: Learning rate.
        weight_decay: Weight decay.
        seed: Seed of initialisation, order and augmentation.
        dataset: `cifar10`, `digits` or `auto`.
        subset: Training images, classes balanced.
        network: A name as on the command line, or a class or function `(norm, classes)` at the top level of a file.
        settings: Any other keys of a recipe, as `{"training.momentum": 0.95}`.
        name: Name of the experiment; the recipe's by default.
        out: Folder of experiments; `runs` by default.
        data_dir: Folder with CIFAR-10.
        device: `auto`, `cuda`, `cuda:1`, `mps` or `cpu`.
        force: Train a run again that is done.
        callback: Callback of the run.

    Raises:
        UsageError: A norm or setting is not valid, or `name` is an experiment of another question.
        DataError: The data set is not available.
        RunFailedError: The run cannot be written.

    Example:
        >>> import normbench
        >>> result = normbench.train("gn", dataset="digits", subset=64, epochs=1, batch_size=16, out=tmp)
        >>> result.status, result.norm, result.epochs
        ('done', 'gn', 1)
    """
    changed = changed_recipe(
        recipe,
        settings,
        seed=seed,
        network__name=network_spec(network),
        data__name=dataset,
        data__subset=subset,
        training__epochs=epochs,
        training__batch_size=batch_size,
        training__lr=lr,
        training__weight_decay=weight_decay,
    )
    spec = norm_spec(norm)
    changed, plan = engine.plan_recipe(
        changed,
        lambda recipe: [recipe.run(spec, recipe.seed)],
        machine(out=out, data_dir=data_dir, device=device, force=force),
        check_name(name if name is not None else Path(recipe).stem, "the experiment"),
        named=name is not None,
    )
    question = runs.Question.of(changed.model_copy(update={"data": plan.configs[0].data}), "compare")
    plan = engine.claim_experiment(plan, question, named=name is not None)
    return engine.run_all(plan, callback or Callback())[0]
