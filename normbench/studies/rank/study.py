"""The study `rank`: norms ranked over networks and seeds."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED
from normbench.studies.rank.settings import RankSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult
    from normbench.config import Recipe


def run(settings: RankSettings, context: StudyContext) -> "StudyResult":
    """Train every norm in every network, at the recipes' rates or after an equal search, and rank them."""
    from normbench.runs.environment import environment
    from normbench.studies.rank.measure import rank
    from normbench.studies.rank.runs import candidates, check_networks, found_rates, ranked_configs, search_configs
    from normbench.studies.rank.tables import rank_result

    recipe = context.load_recipe(STUDY.recipe, {"norms": settings.norms} if settings.norms else {})
    recipes = {name: _recipe_of(name, recipe, context) for name in check_networks(settings.networks)}
    sizes = settings.batch_sizes or (recipe.training.batch_size,)
    chosen, holes = candidates({name: loaded for name, (_, loaded) in recipes.items()}, sizes, settings.max_params)
    for (task, norm), reason in holes.items():
        context.note(f"not possible: {norm} in {task.network}: {reason}")
    seeds = range(recipe.seed, recipe.seed + recipe.seeds)
    rates = None
    if settings.rates:
        name = context.experiment
        context.experiment = f"{name}-search"
        searched = search_configs(chosen, settings.rates, seeds.stop)
        plan, results = context.train(searched, recipe)
        rates = found_rates(chosen, plan.configs, results)
        context.experiment = name
    plan, results = context.train(ranked_configs(chosen, seeds, rates), recipe)
    ranked = rank(plan.configs, results, holes, settings.blocks, settings.margin / 100)
    names = {name: source for name, (source, _) in recipes.items()}
    return rank_result(ranked, recipe, names, settings.rates, environment(plan.device))


def _recipe_of(network: str, recipe: "Recipe", context: StudyContext) -> tuple[str, "Recipe"]:
    """Name and settings of a network's recipe: the one that was asked for, else that of its name, else the study's.

    Images and epochs are those of the ranking, so that the budget is the same in every network.
    """
    from normbench.config import recipe_names

    if context.recipe is not None or network not in recipe_names():
        return context.recipe or STUDY.recipe or "", recipe.in_network(network)
    budget = {
        "norms": recipe.norms,
        "data": recipe.data.model_dump(),
        "training": {"epochs": recipe.training.epochs},
    }
    return network, context.load_recipe(network, budget).in_network(network)


def _exit_code(result: "StudyResult") -> int:
    return SOME_RUNS_FAILED if any(one["status"] != "done" for one in result.values["runs"]) else 0


STUDY = Study(
    name="rank",
    question="Which norm ranks best over networks and seeds, and which cannot be told apart?",
    help="""Train every norm in every network with several seeds, and compare the average ranks.

Friedman's and Nemenyi's tests say which norms differ (Demšar, JMLR 7 (2006), 1-30), and equivalence tests which are
alike within --margin. A norm that cannot be in a network is named and not trained.

Each network trains by the recipe of its name, where there is one, else by the recipe `rank`; images and epochs are
those of `rank` or of the flags. With --rates every norm is first tried at each of them in every network, on images
held out. Run again, it goes on where it stopped.""",
    settings=RankSettings,
    run=run,
    recipe="rank",
    flags=(
        *(flag for flag in RECIPE_FLAGS if flag not in ("batch_size", "network")), "seeds", *DATA_FLAGS, *FOLDER_FLAGS,
        "force", "jobs", "shard", "no_capture", "track", "dry_run",
    ),
    exit_code=_exit_code,
)  # fmt: skip
