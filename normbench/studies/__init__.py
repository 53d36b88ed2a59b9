"""Studies, one folder of equal files each. Each measures one property of norms."""

from importlib import import_module
from typing import Any

from normbench.studies.study import Flag, Study, StudyContext

FOLDERS = ("depth", "cost", "batch_size", "verify", "mistakes", "tune", "rank", "claims")
"""Folders of the studies, in the order of the commands."""

STUDIES: dict[str, Study[Any]] = {
    study.name: study for study in (import_module(f"{__name__}.{folder}.study").STUDY for folder in FOLDERS)
}
"""Studies by the name of their command."""

__all__ = ["STUDIES", "Flag", "Study", "StudyContext"]
