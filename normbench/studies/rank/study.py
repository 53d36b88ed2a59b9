"""Study `rank`: norms over networks and seeds."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED
from normbench.studies.rank.settings import RankSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: RankSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.rank.measure import measure
    from normbench.studies.rank.tables import study_result

    return study_result(measure(settings, context))


def exit_code(result: "StudyResult") -> int:
    """Return that of a comparison with failed runs if a run diverged or failed."""
    return SOME_RUNS_FAILED if any(run["status"] != "done" for run in result.values["runs"]) else 0


STUDY = Study(
    name="rank",
    question="Which norm ranks best over networks and seeds, and which cannot be told apart?",
    help="""Rank norms over several networks and seeds.

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
        "force", "jobs", "engine", "address", "shard", "no_capture", "track", "dry_run",
    ),
    exit_code=exit_code,
)  # fmt: skip
