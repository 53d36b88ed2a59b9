"""The study `cost`: time and memory of norms."""

from typing import TYPE_CHECKING

from normbench.studies.cost.settings import CostSettings
from normbench.studies.study import FOLDER_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: CostSettings, context: StudyContext) -> "StudyResult":
    """Time the norms at the shapes of the recipe's network."""
    from normbench.device import resolve_device
    from normbench.norms import NORMS
    from normbench.studies.cost.measure import cost_configs, measure_costs
    from normbench.studies.cost.tables import cost_result

    configs = cost_configs(context.load_recipe(STUDY.recipe), settings.norms or tuple(NORMS))
    device = resolve_device(context.machine.device)
    costs = measure_costs(configs, device, settings.repeats, context.note)
    return cost_result(costs, configs[0], device, settings.repeats)


STUDY = Study(
    name="cost",
    question="What does a norm cost in time and memory?",
    help="""Time every norm at the shapes of the real network: its layers alone, and the training step around them.

Every registered norm takes its turn, or those of --norms; `none` is what the steps are compared with. Beside the times
stand the memory kept for the backward pass, parameters and buffers, and whether train and eval mode differ.""",
    settings=CostSettings,
    run=run,
    flags=("config", "set", "network", "groups", "batch_size", *FOLDER_FLAGS),
)
