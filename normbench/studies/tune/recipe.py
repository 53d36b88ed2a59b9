"""The recipe that a search ends with: its own settings, and each norm's best under `[norm.NAME]`."""

from pathlib import Path
from typing import Any

import tomli_w

from normbench import __version__
from normbench.analysis.format import percent
from normbench.config import Recipe
from normbench.config.settings import DATA_SETS
from normbench.files import in_words, replace_text
from normbench.runs import RunResult
from normbench.studies.tune.search import Search
from normbench.studies.tune.space import tuned_name

TUNED = "tuned.toml"


def write_recipe(folder: Path, found: Search, recipe: Recipe) -> Path:
    """Write tuned.toml over that of an earlier search, for `compare --config`.

    Args:
        folder: Of the experiment.
        found: The search.
        recipe: The recipe before a validation split was added for the search.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    path = folder / TUNED
    with in_words(path):
        folder.mkdir(parents=True, exist_ok=True)
    replace_text(path, _header(found) + tomli_w.dumps(tuned_settings(found, recipe)))
    return path


def tuned_settings(found: Search, recipe: Recipe) -> dict[str, Any]:
    """Settings of the recipe that differ from the defaults, with the best of every norm, nested as the TOML."""
    settings = recipe.model_dump(mode="json", exclude={"norm", "norms", "search"}, exclude_defaults=True)
    settings = _without_none(settings) | {"norms": [], "norm": {}}
    for norm, space in found.spaces.items():
        best = found.best(norm)
        if best is None:
            settings["norms"].append(norm)
            continue
        name = tuned_name(norm, best.point, space)
        settings["norms"].append(name)
        shared = {d.name: best.point[d.name] for d in space if not d.is_argument}
        run = best.runs[0]
        settings["norm"][name] = {"lr": run.lr, "weight_decay": run.weight_decay} | shared
    return settings


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that TOML can write: it has no word for none."""
    plain = {key: _without_none(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _header(found: Search) -> str:
    """Comment that says how the settings were found."""
    settings, epochs, run = found.settings, found.recipe.training.epochs, next(iter(found.trials.values()))[0].runs[0]
    counts = sorted({len(own) for own in found.trials.values()})
    spaces = {norm: ", ".join(map(str, space)) for norm, space in found.spaces.items()}
    shared = next(iter(spaces.values())) if len(set(spaces.values())) == 1 else ""
    confirmed = (
        f" The best {settings.confirm} of each: trained on {settings.confirm_seeds} seeds, and chosen by their mean."
        if settings.confirm
        else ""
    )
    lines = [
        f"Found by normbench {__version__} tune: {' or '.join(map(str, counts))} trials per norm, sampler "
        f"{settings.sampler}, seed {found.recipe.seed}.{confirmed}",
        f"Chosen by validation accuracy after {epochs} epoch{'s' * (epochs > 1)} on {_images(run)}; the test images "
        "were not read.",
        *([f"Space of every norm: {shared}."] if shared else [f"Space of {n}: {s}." for n, s in spaces.items()]),
        *_reached(found),
        f"{run.device}, torch {run.torch}.",
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n"


def _images(run: RunResult) -> str:
    return f"{run.train_images:,} training images of {DATA_SETS.get(run.dataset, run.dataset)}"


def _reached(found: Search) -> list[str]:
    """Validation accuracy of the best setting, a line per norm."""
    return [
        f"{norm}: {percent(best.mean)} validation accuracy"
        + (f", mean of seeds {', '.join(str(run.seed) for run in best.runs)}." if best.runs[1:] else ", one seed.")
        if (best := found.best(norm))
        else f"{norm}: no trial was finished; its settings are the recipe's."
        for norm in found.spaces
    ]
