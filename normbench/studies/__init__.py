"""Studies: each measures one property of norms, in one folder of the same files."""

from typing import Any

from normbench.studies.batch_size.study import STUDY as BATCH_SIZE
from normbench.studies.cost.study import STUDY as COST
from normbench.studies.depth.study import STUDY as DEPTH
from normbench.studies.mistakes.study import STUDY as MISTAKES
from normbench.studies.rank.study import STUDY as RANK
from normbench.studies.study import Flag, Study, StudyContext
from normbench.studies.tune.study import STUDY as TUNE
from normbench.studies.verify.study import STUDY as VERIFY

STUDIES: dict[str, Study[Any]] = {
    study.name: study for study in (DEPTH, COST, BATCH_SIZE, VERIFY, MISTAKES, TUNE, RANK)
}
"""Studies by the name of their command."""

__all__ = ["STUDIES", "Flag", "Study", "StudyContext"]
