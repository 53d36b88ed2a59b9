"""`normbench cost`: what a norm costs in time and memory."""

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options

REPEATS = 15


@flags(
    "norms", "all", "every", "config", "set", "network", "groups", "batch_size", "repeats", "device", "out", "name",
    *OUTPUT,
)  # fmt: skip
def command(given: Options) -> None:
    """Time every norm at the shapes of the real network: its layers alone, and the training step they are part of.

    Every registered norm takes its turn, or those of --norms; `none` is what the steps are set against. Beside the
    times stand the memory kept for the backward pass, parameters and buffers, and whether train and eval mode differ.
    """
    from normbench.cli.study import conclude
    from normbench.device import resolve_device
    from normbench.norms import NORMS
    from normbench.studies.cost import cost_configs, cost_finding, measure_costs

    repeats = REPEATS if given["repeats"] is None else given["repeats"]
    configs = cost_configs(given.load_recipe(given.overrides()), given.norms() or tuple(NORMS))
    device = resolve_device(given.machine().device)
    costs = measure_costs(configs, device, repeats, given.output().note)
    conclude(given, cost_finding(costs, configs[0], device, repeats))
