"""Settings searched on equal budgets, as normbench tune."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from normbench.analysis import StudyResult
from normbench.api.settings import NetworkLike, NormLike, machine, network_spec, norm_spec
from normbench.api.studies import run_study
from normbench.engine.callbacks import Callback
from normbench.report.export import to_latex, to_markdown
from normbench.report.html import to_html


@dataclass(frozen=True)
class TuningResult:
    """Finished search, displayed as a table in a terminal and in a notebook."""

    study: StudyResult
    """Conclusions, tables and charts."""
    recipe: Path
    """Recipe of the best settings, for `compare(recipe=...)`."""

    @property
    def folder(self) -> Path:
        """Folder of the experiment, with the run folders and the report."""
        return self.recipe.parent

    @property
    def best(self) -> dict[str, dict[str, Any]]:
        """Best settings by norm; a norm without a finished trial has none."""
        return {norm: dict(trial["settings"]) for norm, trial in self.study.values["best"].items()}

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary per trial: norm, number, settings and runs, as in `tune --json`."""
        return [{"norm": norm} | trial for norm, trials in self.study.values["trials"].items() for trial in trials]

    def __str__(self) -> str:
        return to_markdown(*self.study.tables)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Render the tables for a notebook."""
        return "".join(to_html(table, f"table-{index}") for index, table in enumerate(self.study.tables))

    def latex(self) -> str:
        """Render the tables for a paper; they need the package booktabs."""
        return to_latex(*self.study.tables)


def tune(
    norms: Sequence[NormLike] = (),
    *,
    trials: int | None = None,
    sampler: Literal["sobol", "tpe", "grid"] | None = None,
    confirm: int | None = None,
    confirm_seeds: int | None = None,
    space: Mapping[str, Any] | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    dataset: str | None = None,
    subset: int | None = None,
    network: NetworkLike | None = None,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str | None = None,
    jobs: int | None = None,
    engine: str | None = None,
    address: str | None = None,
    force: bool | None = None,
    callback: Callback | None = None,
) -> TuningResult:
    """Search the settings of several norms on equal budgets, scored on held-out training images.

    Trials are runs: a search that was stopped goes on, and more `trials` extend it.

    Args:
        norms: Names as on the command line, classes or factories at the top level of a file; the recipe's by default.
        trials: Settings tried per norm; 16 by default.
        sampler: `sobol` by default.
        confirm: Number of best settings per norm that are trained on more seeds; 0 by default.
        confirm_seeds: Seeds of a confirmed setting; 3 by default.
        space: Dimensions of the search as in `[search]` of a recipe, such as `{"lr": {"low": 0.01, "high": 0.3}}`.
        recipe: Name or TOML file of the settings, `quick` by default; the arguments below change some of them.
        epochs: 1 to 20.
        batch_size: Images in a step.
        seed: Seed of the trials and of the sampler.
        dataset: `cifar10`, `digits` or `auto`.
        subset: Training images, classes balanced.
        network: A name as on the command line, or a class or function `(norm, classes)` at the top level of a file.
        settings: Any other keys of a recipe, as `{"training.momentum": 0.95}`.
        name: Name of the experiment; `tune` by default.
        out: Folder of experiments; `runs` by default.
        data_dir: Folder with CIFAR-10.
        device: `auto`, `cuda`, `cuda:1`, `mps` or `cpu`.
        jobs: Runs trained concurrently.
        engine: `local`, or `ray` for a Ray cluster.
        address: The Ray cluster, as `HOST:6379`.
        force: Train runs again that are done.
        callback: Callback of the runs.

    Raises:
        UsageError: A norm, setting or dimension is not valid, or the packages of the extra `tune` are missing.
        DataError: The data set is not available.

    Example:
        >>> import normbench
        >>> found = normbench.tune(["gn"], trials=2, dataset="digits", subset=64, epochs=1, batch_size=16, out=tmp)
        >>> len(found.to_dicts()), sorted(found.best["gn"])
        (2, ['lr', 'weight_decay'])
        >>> found.recipe.name
        'tuned.toml'
    """
    given = {"trials": trials, "sampler": sampler, "confirm": confirm, "confirm_seeds": confirm_seeds}
    study_settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if norms:
        study_settings["norms"] = tuple(norm_spec(norm) for norm in norms)
    fields = {
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "seed": seed,
        "data.name": dataset,
        "data.subset": subset,
        "network.name": network_spec(network),
        "search": space,
    }
    result = run_study(
        "tune",
        study_settings,
        machine(out=out, data_dir=data_dir, device=device, jobs=jobs, engine=engine, address=address, force=force),
        recipe=recipe,
        recipe_settings={key: value for key, value in fields.items() if value is not None} | dict(settings or {}),
        experiment=name,
        callback=callback,
    )
    return TuningResult(result, Path(result.values["recipe"]))
