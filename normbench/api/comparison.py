"""Several norms on equal terms, as `normbench compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normbench import runs
from normbench.analysis import MARGIN
from normbench.analysis.comparison import Comparison
from normbench.analysis.tables import paper_tables, select_columns
from normbench.analysis.verdict import verdict
from normbench.api.settings import NetworkLike, NormLike, changed_recipe, checked, machine, network_spec, norm_spec
from normbench.config import PARAMETER_BUDGET
from normbench.config.grid import Grid, comparison_configs
from normbench.config.recipes import DEFAULT_RECIPE
from normbench.config.settings import Share
from normbench.config.validation import check_name
from normbench.engine import claim_experiment, plan_recipe, run_all
from normbench.engine.callbacks import Callback
from normbench.report.export import to_latex, to_markdown
from normbench.report.html import to_html
from normbench.report.write import write_report
from normbench.runs import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ComparisonResult:
    """Finished comparison, displayed as a table in a terminal and in a notebook."""

    comparison: Comparison
    folder: Path
    """Folder of the experiment, with the run folders."""
    warnings: tuple[str, ...]
    margin: float
    """Equivalence margin, as a fraction."""

    @property
    def results(self) -> tuple[RunResult, ...]:
        """Results of the runs, norm by norm and seed by seed."""
        return self.comparison.results

    @property
    def verdict(self) -> str:
        """The best norm, and whether that may be luck, in one sentence; empty where no norm can be called best."""
        return verdict(self.comparison)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary per norm, as in `compare --json`; accuracies are fractions."""
        return self.comparison.to_dicts()

    def __str__(self) -> str:
        return to_markdown(*paper_tables(self.comparison))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Render the tables for a notebook."""
        tables = paper_tables(self.comparison)
        return "".join(to_html(table, f"table-{index}") for index, table in enumerate(tables))

    def latex(self, columns: Sequence[str] = ()) -> str:
        """Render the tables for a paper; they need the package booktabs.

        Args:
            columns: Columns of the table of norms in their order, after the name of the norm; all by default.

        Raises:
            UsageError: There is no such column.
        """
        rows, *others = paper_tables(self.comparison)
        chosen = select_columns(rows, columns) if columns else rows
        return to_latex(chosen, *others, label=self.folder.name)

    def plot(self) -> "Figure":
        """Plot test accuracy (in a search: validation accuracy): a point per seed, mean and 95 % interval per norm."""
        from normbench.report.accuracies import accuracies_figure  # noqa: PLC0415  # matplotlib is slow to import
        from normbench.report.figure import drawing  # noqa: PLC0415

        with drawing():
            return accuracies_figure(self.comparison)

    def report(self) -> Path:
        """Write the report as one HTML page into the experiment's folder, and return its path.

        Raises:
            RunFailedError: The folder cannot be written.
        """
        return write_report(self.folder, machine(), margin=self.margin).report


def compare(
    norms: Sequence[NormLike] = (),
    *,
    recipe: str = DEFAULT_RECIPE,
    seeds: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    dataset: str | None = None,
    subset: int | None = None,
    network: NetworkLike | None = None,
    settings: Mapping[str, Any] | None = None,
    control: str | None = None,
    margin: float = MARGIN,
    name: str | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str | None = None,
    jobs: int | None = None,
    engine: str | None = None,
    address: str | None = None,
    force: bool | None = None,
    callback: Callback | None = None,
) -> ComparisonResult:
    """Train several norms on the same network, data, epochs and batches; runs that are done are not trained again.

    Args:
        norms: Names as on the command line, classes or factories at the top level of a file; the recipe's by default.
        recipe: Name or TOML file of the settings; the arguments below change some of them.
        seeds: Number of seeds per norm.
        epochs: 1 to 20.
        batch_size: Images in a step.
        seed: First seed.
        dataset: `cifar10`, `digits` or `auto`.
        subset: Training images, classes balanced.
        network: A name as on the command line, or a class or function `(norm, classes)` at the top level of a file.
        settings: Any other keys of a recipe, as `{"training.momentum": 0.95}`.
        control: Norm that the others are compared with; the first by default.
        margin: Equivalence margin, as a fraction.
        name: Name of the experiment; the recipe's by default.
        out: Folder of experiments; `runs` by default.
        data_dir: Folder with CIFAR-10.
        device: `auto`, `cuda`, `cuda:1`, `mps` or `cpu`.
        jobs: Runs trained concurrently.
        engine: `local`, or `ray` for a Ray cluster.
        address: The Ray cluster, as `HOST:6379`.
        force: Train runs again that are done.
        callback: Callback of the runs.

    Raises:
        UsageError: A norm or setting is not valid, or `name` is an experiment of another question.
        DataError: The data set is not available.

    Example:
        >>> import normbench
        >>> comparison = normbench.compare(["bn", "gn"], dataset="digits", subset=64, epochs=1, batch_size=16, out=tmp)
        >>> [row["norm"] for row in comparison.to_dicts()]
        ['bn', 'gn']
    """
    changed = changed_recipe(
        recipe,
        settings,
        [norm_spec(norm) for norm in norms],
        seeds=seeds,
        seed=seed,
        network__name=network_spec(network),
        data__name=dataset,
        data__subset=subset,
        training__epochs=epochs,
        training__batch_size=batch_size,
    )
    margin = checked(Share, margin, "margin")
    changed, plan = plan_recipe(
        changed,
        lambda recipe: comparison_configs(recipe, Grid(), PARAMETER_BUDGET),
        machine(out=out, data_dir=data_dir, device=device, jobs=jobs, engine=engine, address=address, force=force),
        check_name(name if name is not None else Path(recipe).stem, "the experiment"),
        named=name is not None,
    )
    question = runs.Question.of(changed.model_copy(update={"data": plan.configs[0].data}), "compare")
    plan = claim_experiment(plan, question, named=name is not None)
    results = run_all(plan, callback or Callback())
    comparison = Comparison.of(results, control, margin, searching=False, epochs=changed.training.epochs)
    return ComparisonResult(comparison, plan.folders[0].path.parent, (*plan.warnings, *comparison.warnings), margin)
