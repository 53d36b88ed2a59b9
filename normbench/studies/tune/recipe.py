"""Recipe of the best settings: the recipe of the search, with the best setting of each norm under `[norm.NAME]`."""

from pathlib import Path
from typing import Any

import tomli_w

from normbench import __version__
from normbench.analysis.format import percent
from normbench.config import Recipe
from normbench.config.settings import data_set_title
from normbench.files import in_words, replace_text
from normbench.studies.tune.search import Search
from normbench.studies.tune.space import tuned_name

TUNED = "tuned.toml"


def write_recipe(folder: Path, search: Search, recipe: Recipe) -> Path:
    """Write tuned.toml over that of an earlier search, for `compare --config`.

    Args:
        folder: Folder of the experiment.
        search: Search with its trials.
        recipe: Recipe before a validation split was added for the search.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    path = folder / TUNED
    with in_words(path):
        folder.mkdir(parents=True, exist_ok=True)
    replace_text(path, _header(search) + tomli_w.dumps(tuned_settings(search, recipe)))
    return path


def tuned_settings(search: Search, recipe: Recipe) -> dict[str, Any]:
    """Collect the settings of the recipe that differ from the defaults, and the best of every norm, nested."""
    settings = recipe.model_dump(mode="json", exclude={"norm", "norms", "search", "fallback"}, exclude_defaults=True)
    settings = _without_none(settings) | {"norms": [], "norm": {}}
    for norm, space in search.spaces.items():
        best = search.best(norm)
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
    """Leave out None, which TOML cannot express."""
    plain = {key: _without_none(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _header(search: Search) -> str:
    """Write the comment on the search behind the settings."""
    settings, epochs, run = (
        search.settings,
        search.recipe.training.epochs,
        next(iter(search.trials.values()))[0].runs[0],
    )
    counts = sorted({len(trials) for trials in search.trials.values()})
    spaces = {norm: ", ".join(map(str, space)) for norm, space in search.spaces.items()}
    shared = next(iter(spaces.values())) if len(set(spaces.values())) == 1 else ""
    confirmed = (
        f" The best {settings.confirm} of each: trained on {settings.confirm_seeds} seeds, and chosen by their mean."
        if settings.confirm
        else ""
    )
    lines = [
        f"Found by normbench {__version__} tune: {' or '.join(map(str, counts))} trials per norm, sampler "
        f"{settings.sampler}, seed {search.recipe.seed}.{confirmed}",
        f"Chosen by validation accuracy after {epochs} epoch{'s' * (epochs > 1)} on {run.train_images:,} training "
        f"images of {data_set_title(run.dataset)}; the test images were not read.",
        *([f"Space of every norm: {shared}."] if shared else [f"Space of {n}: {s}." for n, s in spaces.items()]),
        *_reached(search),
        f"{run.device}, torch {run.torch}.",
    ]
    return "".join(f"# {line}\n" for line in lines) + "\n"


def _reached(search: Search) -> list[str]:
    """Describe the validation accuracy of the best setting, one line per norm."""
    return [
        f"{norm}: {percent(best.mean)} validation accuracy"
        + (f", mean of seeds {', '.join(str(run.seed) for run in best.runs)}." if best.runs[1:] else ", one seed.")
        if (best := search.best(norm))
        else f"{norm}: no trial was finished; its settings are the recipe's."
        for norm in search.spaces
    ]
