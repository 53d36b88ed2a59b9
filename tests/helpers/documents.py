"""Schemas of the `--json` documents, generated from the models that they are made of.

`Answer.document` of helpers.cli validates whatever a test reads: a document without a schema, with a field that none
names or with a value of another type fails that test.
"""

import dataclasses
from functools import cache
from typing import Any, Literal, get_type_hints

from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, create_model

from normbench.advice.published import Published, PublishedValue
from normbench.analysis import StudyResult
from normbench.analysis.aggregate import Aggregate
from normbench.analysis.example import Example
from normbench.analysis.paired import PairedDifference
from normbench.analysis.sensitivity import Sensitivity
from normbench.analysis.time_to_accuracy import TimeToAccuracy
from normbench.config import RunConfig
from normbench.data import Status
from normbench.engine.installation import Check
from normbench.evaluation import Details
from normbench.model_summary import ModelSummary
from normbench.runs import RunResult
from normbench.runs.pictures import Decision, Skipped
from normbench.studies import STUDIES


class Strict(BaseModel):
    """Model without further fields, which documents have on purpose."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Document(Strict):
    """Fields of every document."""

    schema_version: Literal[1]


def fields_of(
    kind: type, name: str, without: tuple[str, ...] = (), prefix: str = "", **further: Any
) -> type[BaseModel]:
    """Make a model of the fields of a dataclass or model, and of further ones."""
    kinds = get_type_hints(kind, include_extras=True)
    names = kind.model_fields if issubclass(kind, BaseModel) else [field.name for field in dataclasses.fields(kind)]
    fields: dict[str, Any] = {prefix + key: (kinds[key], ...) for key in names if key not in without}
    return create_model(name, __base__=Strict, **fields, **further)


class Error(Strict):
    message: str
    hint: str | None
    exit_code: int


class ErrorDocument(Document):
    error: Error


class Warned(Document):
    warnings: list[str]


class TrainDocument(Warned):
    command: Literal["train"]
    run: RunResult


class Cost(Strict):
    runs: int
    seconds: float | None
    source: str | None
    at_most: bool
    memory_bytes: int
    disk_bytes: int
    free_disk_bytes: int | None


class PlannedRun(Strict):
    folder: str
    state: str
    config: RunConfig


class PlanDocument(Warned):
    dry_run: Literal[True]
    device: str
    side_by_side: int
    estimate: Cost | None
    runs: list[PlannedRun]


class PartDocument(Document):
    command: str
    shard: str
    runs: list[RunResult]


class Settings(Strict):
    lr: float
    weight_decay: float


class AssignmentFields(Strict):
    met: bool
    above: list[str]
    accuracies: dict[str, float | None]
    parameters: int
    epochs: int
    sentence: str


class CompareDocument(Warned):
    command: Literal["compare"]
    rows: list[Aggregate]
    differences: list[PairedDifference]
    time_to_accuracy: list[TimeToAccuracy]
    best: dict[str, Settings]
    sensitivity: list[Sensitivity]
    runs: list[RunResult]
    verdict: str | None
    assignment: AssignmentFields | None
    files: list[str]


Summary = fields_of(ModelSummary, "Summary", over_budget=(int, ...))


class SummaryDocument(Document, Summary):  # type: ignore[valid-type, misc]
    command: Literal["summary"]
    torchinfo: str | None = None


class SummariesDocument(Document):
    command: Literal["summary"]
    networks: list[Summary]  # type: ignore[valid-type]


class Statistic(Strict):
    name: str
    axes: str


class NormFields(Strict):
    name: str
    title: str
    formula: str
    axes: str
    batch_statistics: bool
    train_eval_differ: bool
    when: str
    avoid: str
    mistakes: list[str]
    paper: str
    statistic: str
    statistics: list[Statistic]
    adds_bias: bool
    activates: bool
    torch: list[tuple[str, str]]
    revision: int
    arguments: dict[str, Any]


class NormPageFields(NormFields):
    weight_standardization: bool
    weights: str
    averages: str


class NormsDocument(Document):
    command: Literal["norms"]
    norms: list[NormFields]


MeasuredRow = fields_of(Aggregate, "MeasuredRow")
DocumentedValue = fields_of(
    Published, "DocumentedValue", ("values", "wrong", "verdict"), label=(str, ...), value=(PublishedValue | None, ...)
)


class NormDocument(Document):
    command: Literal["norms"]
    norm: NormPageFields
    measured: list[dict[str, Any]]
    documented: list[DocumentedValue]  # type: ignore[valid-type]


ExampleFields = fields_of(Example, "ExampleFields", input=(Any, ...), eps=(float, ...))


class ExampleDocument(Document):
    command: Literal["norms"]
    example: ExampleFields  # type: ignore[valid-type]


class RecipeFields(Strict):
    name: str
    path: str
    header: str


class RecipesDocument(Document):
    command: Literal["recipes"]
    recipes: list[RecipeFields]


class RecipeDocument(Document, RecipeFields):
    command: Literal["recipes show"]
    settings: dict[str, Any]


class PrintConfigDocument(Document):
    command: Literal["print-config"]
    settings: dict[str, Any]
    toml: str


DataFields = fields_of(Status, "DataFields")


class DataDocument(Document, DataFields):  # type: ignore[valid-type, misc]
    command: Literal["data"]


class EnvironmentDocument(Document):
    command: Literal["env"]
    environment: dict[str, str]
    device: str
    checks: list[Check]
    problem: str | None


class RunFields(Strict):
    name: str
    folder: str
    state: str
    problem: str | None
    archive: str | None
    result: RunResult | None


class ExperimentFields(Strict):
    name: str
    folder: str
    command: str | None
    runs: int
    done: int
    norms: list[str]


class RunsDocument(Document):
    command: Literal["runs"]
    experiments: list[ExperimentFields]
    runs: list[RunFields]


class RunDocument(Document):
    command: Literal["runs show"]
    name: str
    folder: str
    state: str
    problem: str | None
    archive: str | None
    result: dict[str, Any]
    settings: dict[str, Any]
    environment: dict[str, Any]


class Difference(Strict):
    key: str
    values: tuple[Any, Any]


class DiffDocument(Document):
    command: Literal["runs diff"]
    runs: tuple[str, str]
    differences: list[Difference]


class Kept(Strict):
    run: str
    state: str | None = None
    reason: str


class CleanDocument(Document):
    command: Literal["runs clean"]
    removed: bool
    runs: list[str]
    kept: list[Kept]


class ArchiveDocument(Document):
    command: Literal["runs archive"]
    archive: str
    restored: bool
    bytes: int
    runs: list[str]
    changed: list[str]
    removed: list[str]
    kept: list[Kept]


TestDetails = fields_of(Details, "TestDetails", prefix="test_")


class EvaluateDocument(Warned, TestDetails):  # type: ignore[valid-type, misc]
    command: Literal["evaluate"]
    run: str
    recorded_test_accuracy: float | None
    agrees: bool


class PicturesDocument(Document):
    command: Literal["evaluate"]
    run: str
    images: str
    ground: str
    accuracy: float | None
    labelled: int
    decisions: list[Decision]
    skipped: list[Skipped]
    unknown_labels: list[str]


class ReportDocument(Document):
    command: Literal["report"]
    experiment: str
    report: str
    tables: list[str]
    plots: list[str]
    answer: list[str]
    left_out: list[str]


class ExportDocument(Document):
    command: Literal["export"]
    run: str
    file: str
    relative_difference: float


class SituationFields(Strict):
    task: str
    data: str
    batch_size: int
    devices: int
    needs: list[str]


class Quoted(Strict):
    statement: str
    caption: str
    batch_size: int | None
    contradiction: str | None


class QuotedHere(Quoted):
    folder: str


class QuotedPage(Quoted):
    page: str


class Source(Strict):
    source: str
    statement: str


class Study(Strict):
    study: str
    part: str | None
    measured: QuotedHere | None
    documented: QuotedPage | None


class RuleFields(Strict):
    name: str
    condition: str
    reason: str
    prefer: list[str]
    avoid: list[str]
    exclude: list[str]
    evidence: list[Source | Study]


class AdviceDocument(Warned):
    command: Literal["advise"]
    situation: SituationFields
    first: str
    alternative: str | None
    avoid: list[str]
    code: str
    rules: list[RuleFields]


class RulesDocument(Document):
    command: Literal["advise"]
    rules: list[RuleFields]


StudyFields = fields_of(StudyResult, "StudyFields", ("environment",))


class StudyDocument(Document, StudyFields):  # type: ignore[valid-type, misc]
    command: str
    files: list[str]
    documented: bool


FORMS: dict[str, tuple[type[Document], ...]] = {
    "error": (ErrorDocument,),
    "plan": (PlanDocument,),
    "shard": (PartDocument,),
    "train": (TrainDocument,),
    "compare": (CompareDocument,),
    "summary": (SummaryDocument, SummariesDocument),
    "norms": (NormsDocument, NormDocument, ExampleDocument),
    "recipes": (RecipesDocument,),
    "recipes show": (RecipeDocument,),
    "print-config": (PrintConfigDocument,),
    "data": (DataDocument,),
    "env": (EnvironmentDocument,),
    "runs": (RunsDocument,),
    "runs show": (RunDocument,),
    "runs diff": (DiffDocument,),
    "runs clean": (CleanDocument,),
    "runs archive": (ArchiveDocument,),
    "evaluate": (EvaluateDocument, PicturesDocument),
    "report": (ReportDocument,),
    "export": (ExportDocument,),
    "advise": (AdviceDocument, RulesDocument),
    **dict.fromkeys(STUDIES, (StudyDocument,)),
}
"""Forms of the documents, by command; errors, plans and parts of plans are the same for all commands."""


def kind_of(document: dict[str, Any]) -> str:
    """Return the key of a document's forms."""
    if "error" in document:
        return "error"
    if document.get("dry_run"):
        return "plan"
    return "shard" if "shard" in document else str(document.get("command"))


@cache
def validators(kind: str) -> tuple[Draft202012Validator, ...]:
    """Generate the schemas of a kind of document."""
    return tuple(Draft202012Validator(form.model_json_schema(mode="serialization")) for form in FORMS[kind])


def faults(document: dict[str, Any]) -> list[str]:
    """List what keeps a document from being of one of its forms; empty if it is of one."""
    kind = kind_of(document)
    if kind not in FORMS:
        return [f"there is no schema of the document of {kind!r}"]
    found = []
    for validator in validators(kind):
        of_form = [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)]
        if not of_form:
            return []
        found += of_form
    return found
