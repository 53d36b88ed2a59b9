"""The study `mistakes`: common mistakes with norms, each with the accuracy that it costs."""

from typing import TYPE_CHECKING

from normbench.errors import INTERRUPTED, NormbenchError
from normbench.studies.mistakes.settings import MistakesSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: MistakesSettings, context: StudyContext) -> "StudyResult":
    """Make the mistakes on every seed of the recipe, on images that are loaded once."""
    from normbench.randomness import deterministic
    from normbench.studies.mistakes import measure
    from normbench.studies.mistakes.catalog import chosen
    from normbench.studies.mistakes.tables import mistakes_result

    mistakes = chosen(settings.only)
    recipe = context.load_recipe(STUDY.recipe)
    data = context.load_data(recipe.data)
    try:
        with deterministic(recipe.deterministic):
            measured = measure.measure_mistakes(recipe, data, mistakes, context.machine, context.note)
    except KeyboardInterrupt as error:
        hint = "Fewer at a time: --only NAME, or --seeds 1."
        raise NormbenchError("interrupted; nothing is kept until every mistake is made", hint, INTERRUPTED) from error
    return mistakes_result(measured)


STUDY = Study(
    name="mistakes",
    question="What do common mistakes with norms cost?",
    help="""Make common mistakes with norms on purpose, each beside the right way, and print what it costs.

Takes a minute or two on the embedded digits (recipe `mistakes`); --dataset cifar10 --subset 2000 takes real images.
A mistake whose cost cannot be told from zero is reported as such.""",
    settings=MistakesSettings,
    run=run,
    recipe="mistakes",
    flags=("seeds", *(flag for flag in RECIPE_FLAGS if flag != "network"), *DATA_FLAGS, *FOLDER_FLAGS, "jobs"),
)
