"""`normbench runs archive`: one file in place of the run folders, read by every command, trusted by none."""

import contextlib
import json
import os
import shutil
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.cli import Answer, compare, normbench, refused, run_folders

import normbench as nb
from normbench import locking
from normbench.cli import completion
from normbench.errors import RUN_FAILED, USAGE
from normbench.runs import list_runs
from normbench.runs.archive import ARCHIVE, HEADER, Archive, archive_of
from normbench.runs.archiving import ARCHIVE_HOLDER, ARCHIVE_LOCK

CUSTOM = """
from torch import nn


class Scale(nn.GroupNorm):
    def __init__(self, channels):
        super().__init__(2, channels)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment of two built-in norms and a custom one, whose file is gone."""
    out = tmp_path_factory.mktemp("trained")
    file = out.parent / f"{out.name}.py"
    file.write_text(CUSTOM)
    assert compare(out / "runs", "--norms", f"bn,gn,{file}:Scale", "--val-split", 0.1).code == 0
    file.unlink()
    return out / "runs"


@pytest.fixture(scope="module")
def archived(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same experiment without folders."""
    out = Path(shutil.copytree(trained, tmp_path_factory.mktemp("archived") / "runs"))
    assert archive(out, "--remove").code == 0
    return out


@pytest.fixture
def packed(archived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archived, tmp_path / "runs"))


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def archive(out: Path, *arguments: object) -> Answer:
    return normbench("runs", "archive", "baseline", "--out", out, *arguments)


def folders(out: Path) -> list[Path]:
    """Run folders, those with a result or anything else in them."""
    return [path for path in run_folders(out) if path.name != "plots"]


def content(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def shown(out: Path) -> dict[str, object]:
    """Output of the reading commands; paths are the same with folders and without."""
    runs = normbench("runs", "--out", out, "--json").document["runs"]
    names = [run["name"] for run in runs]
    for run in runs:
        run.pop("archive")
    show = [normbench("runs", "show", name, "--out", out, "--json").document for name in names]
    for document in show:
        document.pop("archive")
    report = normbench("report", "baseline", "--out", out, "--json", NORMBENCH_DATA_DIR="").document
    page = Path(report["report"]).read_text()
    rows = compare(out, "--norms", "bn,gn", "--val-split", 0.1, "--json").document
    completed = (
        completion.runs(SimpleNamespace(params={"out": out})),
        completion.experiments(SimpleNamespace(params={"out": out})),
    )
    differences = normbench("runs", "diff", names[0], names[1], "--out", out, "--json").document
    evaluated = normbench("evaluate", "gn-s0", "--out", out, "--json").document
    return {"runs": runs, "show": show, "report": report, "page": page, "rows": rows, "diff": differences,
            "evaluate": evaluated, "completed": completed}  # fmt: skip


def test_every_command_reads_an_archive_as_it_reads_the_folders(out: Path) -> None:
    before, weights = shown(out), [nb.load(path, trust=True) for path in folders(out)]
    document = archive(out, "--remove", "--json").document
    assert (len(document["runs"]), len(document["removed"]), document["kept"]) == (3, 3, [])
    assert folders(out) == []
    assert shown(out) == before
    assert folders(out) == [], "nothing is trained again"
    for path, run in zip(sorted(document["runs"]), weights, strict=True):
        loaded = nb.load(out / "baseline" / path, trust=True)
        pairs = zip(loaded.network.state_dict().values(), run.network.state_dict().values(), strict=True)
        assert all(bool((a == b).all()) for a, b in pairs)
        assert loaded.result == run.result
    custom = next(name for name in document["runs"] if "Scale" in name)
    refused(normbench("evaluate", custom, "--out", out), USAGE, "custom norm", "--trust")


def test_restored_folders_are_what_they_were(out: Path) -> None:
    before = {path.name: content(path) for path in folders(out)}
    archive(out, "--remove")
    document = archive(out, "--restore", "--json").document
    assert sorted(document["changed"]) == sorted(before)
    assert {path.name: content(path) for path in folders(out)} == before
    assert archive(out, "--restore", "--json").document["changed"] == []
    assert archive(out, "--restore", "--remove", "--json").document["bytes"] == 0
    assert not (out / "baseline" / ARCHIVE).exists()
    assert {path.name: content(path) for path in folders(out)} == before


def test_a_restored_archive_stays_while_a_folder_differs_from_it(out: Path) -> None:
    archive(out)
    victim = folders(out)[0]
    (victim / "metrics.jsonl").write_text("edited")
    answer = archive(out, "--restore", "--remove", "--json")
    assert (answer.code, [kept["run"] for kept in answer.document["kept"]]) == (RUN_FAILED, [victim.name])
    assert (out / "baseline" / ARCHIVE).is_file()


def test_what_is_unfinished_or_of_others_stays(out: Path) -> None:
    bn, gn, scale = folders(out)
    (bn / "result.json").unlink()
    (gn / "notes.txt").write_text("of the user")
    (scale / "config.json").write_text("damaged")
    document = archive(out, "--remove", "--json").document
    assert document["runs"] == [gn.name]
    assert sorted(kept["run"] for kept in document["kept"]) == sorted(path.name for path in (bn, gn, scale))
    assert [sorted(content(path)) for path in (gn,)] == [["notes.txt"]]
    assert (bn / "config.json").is_file()
    assert (scale / "config.json").read_text() == "damaged"


def test_more_runs_are_added_and_a_run_trained_again_replaces_the_archived_one(out: Path) -> None:
    archive(out, "--remove")
    assert compare(out, "--norms", "ln,gn", "--val-split", 0.1, "--force").code == 0
    names = {path.name[:2] for path in folders(out)}
    assert names == {"gn", "ln"}
    forced = next(path for path in folders(out) if path.name.startswith("gn"))
    result = (forced / "result.json").read_bytes()
    document = archive(out, "--remove", "--json").document
    assert (len(document["runs"]), len(document["changed"])) == (4, 2)
    opened = archive_of(out / "baseline")
    assert opened is not None
    assert opened.read(forced.name, "result.json") == result
    assert folders(out) == []
    assert archive(out, "--json").document["changed"] == []


def test_without_weights_a_run_has_its_numbers_and_is_not_evaluated(out: Path) -> None:
    before = [(entry.name, entry.result) for entry in list_runs(out)]
    small = archive(out, "--no-weights", "--json").document["bytes"]
    assert archive(out, "--json").document["bytes"] > 2 * small, "later with them"
    (out / "baseline" / ARCHIVE).unlink()
    archive(out, "--no-weights", "--remove")
    assert [(entry.name, entry.result) for entry in list_runs(out)] == before
    refused(normbench("evaluate", "gn-s0", "--out", out), RUN_FAILED, "has no weights")


class Killed(BaseException):
    """Stands for SIGKILL."""


@contextlib.contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the file system change so many times, and no more."""
    steps: list[str] = []
    with monkeypatch.context() as patch:
        for name in ("unlink", "rmdir", "rename", "replace", "mkdir", "open"):
            original = getattr(os, name)

            def counted(*args: object, name=name, original=original, **more: object) -> object:
                if name != "open" or args[1] & (os.O_WRONLY | os.O_RDWR):
                    steps.append(name)
                    if len(steps) > step:
                        raise Killed
                return original(*args, **more)

            patch.setattr(os, name, counted)
        with contextlib.suppress(Killed):
            yield steps


@pytest.mark.parametrize("flag", ["--remove", "--restore"])
def test_a_process_killed_at_any_moment_loses_no_run(
    flag: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flag == "--restore":
        archive(out, "--remove")
    before = [(entry.name, entry.state, entry.result, entry.config) for entry in list_runs(out)]
    step, done = 1, False
    while not done:
        again = Path(shutil.copytree(out, tmp_path / f"killed-{step}" / "runs"))
        with killed_at(step, monkeypatch) as steps:
            archive(again, flag)
        done = len(steps) <= step
        entries = list_runs(again)
        # The folder of a result is that of its place, and only the copies' parents differ.
        results = [(e.name, e.state, e.result and e.result.model_copy(update={"folder": None})) for e in entries]
        expected = [(n, s, r and r.model_copy(update={"folder": None})) for n, s, r, _ in before]
        assert results == expected, f"after {steps}"
        assert archive(again, flag, "--json").document["kept"] == []
        assert len(folders(again)) == (3 if flag == "--restore" else 0)
        shutil.rmtree(again.parent)
        step += 1 + step // 3
    assert step > 40


def test_one_process_at_a_time_archives(out: Path) -> None:
    folder = out / "baseline"
    lock = locking.acquire(folder / ARCHIVE_LOCK)
    with locking.named(folder, ARCHIVE_HOLDER):
        refused(archive(out), USAGE, "being archived by", f"process {os.getpid()}")
    lock.release()
    assert archive(out).code == 0


def test_a_run_that_is_being_written_keeps_its_folder(out: Path) -> None:
    victim = folders(out)[0]
    lock = locking.acquire(victim / ".lock")
    document = archive(out, "--remove", "--json").document
    lock.release()
    assert [kept["run"] for kept in document["kept"]] == [victim.name]
    assert victim.name not in document["runs"]
    assert folders(out) == [victim]


def test_what_is_no_archive_is_not_written_over(out: Path) -> None:
    path = out / "baseline" / ARCHIVE
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("thesis.tex", "of the user")
    content = path.read_bytes()
    refused(archive(out, "--remove"), USAGE, str(path), HEADER)
    assert path.read_bytes() == content
    assert len(folders(out)) == 3


Entries = list[tuple[zipfile.ZipInfo, bytes]]


def entry(name: str, mode: int = stat.S_IFREG | 0o644, pack: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, pack
    return info


def rewrite(path: Path, change: Callable[[Entries], None]) -> None:
    """Write an archive anew with changed entries; its header counts them."""
    with zipfile.ZipFile(path) as file:
        entries = [(info, file.read(info)) for info in file.infolist()]
    change(entries)
    if entries[0][0].filename == HEADER and b'"schema_version": 1' in entries[0][1]:
        header = json.loads(entries[0][1]) | {"files": len(entries) - 1}
        entries[0] = entries[0][0], json.dumps(header).encode()
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as file:
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there already
        for info, content in entries:
            file.writestr(info, content)


def adding(name: str, content: bytes = b"{}", **how: int) -> Callable[[Path], None]:
    return lambda path: rewrite(path, lambda entries: entries.append((entry(name, **how), content)))


def patched(offset: Callable[[bytes], int], replacement: bytes) -> Callable[[Path], None]:
    def patch(path: Path) -> None:
        content = bytearray(path.read_bytes())
        start = offset(bytes(content))
        content[start : start + len(replacement)] = replacement
        path.write_bytes(content)

    return patch


def newer(path: Path) -> None:
    def change(entries: Entries) -> None:
        entries[0] = entries[0][0], json.dumps(json.loads(entries[0][1]) | {"schema_version": 99}).encode()

    rewrite(path, change)


RUN = "gn-s7-00000000"
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "parent folder": (adding("../outside.json"), "no file of a run"),
    "parent folder in a run": (adding(f"{RUN}/../../outside.json"), "no file of a run"),
    "parent folder in code": (adding(f"{RUN}/code/../../../outside.py"), "no file of a run"),
    "absolute": (adding("/tmp/outside.json"), "no file of a run"),
    "backslashes": (adding("..\\outside.json"), "no file of a run"),
    "drive": (adding("C:/config.json"), "no file of a run"),
    "other file": (adding(f"{RUN}/state.pt"), "no file of a run"),
    "folder": (adding(f"{RUN}/"), "no file of a run"),
    "link": (adding(f"{RUN}/config.json", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), "link"),
    "pipe": (adding(f"{RUN}/config.json", mode=stat.S_IFIFO | 0o644), "link, folder or device"),
    "twice": (lambda path: rewrite(path, lambda entries: entries.append(entries[1])), "two files of the name"),
    "half a run": (adding(f"{RUN}/config.json"), "lacks result.json"),
    "large": (adding(f"{RUN}/config.json", bytes(17 * 2**20)), "too large"),
    "packed weights": (adding(f"{RUN}/model.safetensors", bytes(100)), "too large"),
    "bomb": (
        lambda path: rewrite(
            path,
            lambda entries: entries.extend((entry(f"gn-s{i}-0/{n}.json"), bytes(2**22)) for i in range(9)
                                           for n in ("config", "result")),
        ),
        "times its size",
    ),
    "other packing": (adding(f"{RUN}/config.json", pack=zipfile.ZIP_LZMA), "packed in another way"),
    "no header": (lambda path: rewrite(path, lambda entries: entries.pop(0)), HEADER),
    "newer": (newer, "newer normbench"),
    "not of this format": (patched(lambda _: 0, b"not a zip file at all"), "archive"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "without its last file": (
        lambda path: shutil.move(_without_last(path), path),
        "files of",
    ),
}  # fmt: skip


def _without_last(path: Path) -> Path:
    other = path.with_suffix(".other")
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(other, "w") as copy:
        for info in file.infolist()[:-1]:
            copy.writestr(info, file.read(info))
    return other


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_words(name: str, packed: Path) -> None:
    (make, words), out = HOSTILE[name], packed
    path = out / "baseline" / ARCHIVE
    make(path)
    before = sorted(out.parent.rglob("*"))
    answers = [
        archive(out),
        archive(out, "--restore"),
        compare(out, "--norms", "bn,gn", "--val-split", 0.1),
    ]
    for answer in answers:
        refused(answer, USAGE, str(path), *([words] if name != "not of this format" else []))
    (listed,) = normbench("runs", "--out", out, "--json").document["runs"]
    assert (listed["state"], listed["folder"]) == ("newer" if name == "newer" else "damaged", str(path))
    assert normbench("report", "baseline", "--out", out).code == USAGE
    made = set(out.parent.rglob("*")) - set(before)
    assert {path.name for path in made} <= {ARCHIVE_LOCK, "experiment.json"}


def test_a_flipped_bit_in_a_run_is_said_where_it_is_read(packed: Path) -> None:
    path = (out := packed) / "baseline" / ARCHIVE
    opened = Archive.open(path)
    run = next(iter(opened.runs))
    weights = opened.runs[run]["model.safetensors"]
    patched(lambda _: weights.header_offset + 1000, b"\x00\xff\x00\xff")(path)
    refused(normbench("evaluate", run, "--out", out), USAGE, str(path), "damaged")
    assert normbench("runs", "show", run, "--out", out).code == 0, "the others are whole"
    restored = archive(out, "--restore", "--json")
    assert (restored.code, len(restored.document["changed"])) == (RUN_FAILED, 2)
    assert [kept["run"] for kept in restored.document["kept"]] == [run]
    assert not (out / "baseline" / run / "config.json").exists()


def test_a_lie_about_a_size_is_found(packed: Path) -> None:
    path = (out := packed) / "baseline" / ARCHIVE
    opened = Archive.open(path)
    run = next(iter(opened.runs))
    size = opened.runs[run]["result.json"].file_size
    name = f"{run}/result.json".encode()
    # In the table of contents the size stands 22 bytes before the name.
    patched(lambda content: content.rindex(name) - 22, (size - 10).to_bytes(4, "little"))(path)
    refused(normbench("evaluate", run, "--out", out), RUN_FAILED, "runs.zip is damaged")


def test_a_folder_on_disk_comes_before_the_archive_while_it_is_trained_again(out: Path) -> None:
    archive(out, "--remove")
    victim = next(run for run in json.loads(archive(out, "--json").stdout)["runs"] if run.startswith("gn"))
    folder = out / "baseline" / victim
    archive(out, "--restore")
    for path in folder.iterdir():
        if path.name not in ("config.json", "env.json"):
            path.unlink() if path.is_file() else shutil.rmtree(path)
    states = {entry.path.name: entry.state for entry in list_runs(out)}
    assert states.pop(victim) == "new"
    assert set(states.values()) == {"done"}
    (kept,) = archive(out, "--remove", "--json").document["kept"][:1]
    assert kept["run"] == victim
    assert (folder / "config.json").is_file()
