"""Command lines that nobody would type, over every command and flag; all that they name lies in one folder.

The generator is seeded: a number gives the same command line in every run. Every path among the values is inside the
folder, or can be none at all, so that no product of a command ends up elsewhere; `Watch` proves it.
"""

import contextlib
import json
import os
import random
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.cli import SMALL, Answer, command_parameters, normbench
from normbench.cli.flags import Argument

CONTROL = "\x1b[31mred\x07"
TEXTS = (
    "", " ", ",", "-", "--", "-1", "0", "1", "nan", "inf", "1e308", "9" * 30, "１.5", "true", "None", "[bold]", "[/x]",
    "{}", "%s", "a=b", "$(id)", "..", "a b", "ü±", "\u202eabc", CONTROL, "two\nlines", "x" * 5000, "\udcff", "'",
)  # fmt: skip
NORMS = ("bn", "gn", "ln", "in", "rms", "ln-c", "ln-chw", "lrn", "none", "bn+ws", "gn+ws")
NAMES = {
    "norm": (*NORMS, "BN", "batchnorm", "bnn", "norms/good.py:Good", "norms/bad.py:Bad", "norms/good.py:Nope", ":"),
    "norms": ("bn,gn", "bn,gn,ln", "all", "bn,,gn", "gn,bnn", "norms/good.py:Good,bn", "norms/none.py:x"),
    "control": ("bn", "gn", "zz"),
    "reference": ("norms/good.py:reference", "norms/good.py:Nope", "norms/none.py:x"),
    "task": ("vision", "segmentation", "sequence", "visoin"),
    "needs": ("fold", "fold,fast", "folding"),
    "only": ("state", "stat"),
    "network": ("c10", "dwnet", "lnet", "c11"),
    "config": ("quick", "baseline", "compare", "recipes/good.toml", "recipes/broken.toml", "recipes/deep.toml", "nope"),
    "activation": ("relu", "tanh", "rleu"),
    "init": ("torch", "kaiming", "x"),
    "scaling": ("linear", "sqrt", "log"),
    "dataset": ("digits", "cifar10", "auto", "mnist"),
    "device": ("cpu", "auto", "cuda", "tpu"),
    "format": ("onnx", "pdf"),
    "track": ("tensorboard", "wandb", "trackio", "x"),
    "lr": ("0.1", "0.1,0.2", "0", "-1", "1e31", "a"),
    "weight_decay": ("0", "0,1e-4", "-1", "1e9"),
    "sizes": ("2,4", "0", "8,8", "a"), "batch_sizes": ("64", "0", "8,8", "a"), "rates": ("0.1,0.2", "0.1", "0,1", "a"),
    "networks": ("c10", "c10,lnet", "c11"), "blocks": ("runs", "networks", "x"),
    "trials": ("2", "1", "a"), "sampler": ("sobol", "tpe", "x"), "confirm": ("1", "-1"), "confirm_seeds": ("2", "1"),
    "set": ("training.lr=0.2", "training.lrr=1", "norm.bn.lr=true", "network.widths=[1]", "a.b.c=1", "=", "x", SMALL),
    "epochs": ("1", "2", "21"), "batch_size": ("2", "64", "100000"), "seeds": ("1", "2", "0", "5000"),
    "seed": ("0", "7", "-3"), "groups": ("1", "4", "3", "0"), "subset": ("256", "0", "10000000"),
    "val_split": ("0.1", "1", "-0.1", "0.00001"), "max_params": ("100000", "10", "0"), "cases": ("1", "0"),
    "repeats": ("1", "0"), "width": ("4", "1", "100000"), "depth": ("2", "0", "10000"), "devices": ("1", "8", "0"),
    "shard": ("1/2", "2/2", "3/2", "a"), "engine": ("local", "slurm"), "address": ("127.0.0.1:1", "a"),
    "jobs": ("1", "2", "0", "100000"), "margin": ("0.5", "-1", "200"), "name": ("mine", "a/b", "..", "."),
    "run": ("bn-s0", "gn", "s0", "nope", "out/mine/bn-s0", "damaged"), "other": ("gn-s0", "bn-s0"),
    "norm_name": (*NORMS, "bnn", "norms/good.py:Good", "norms/bad.py:Bad"),
    "experiment": ("baseline", "damaged", "out/baseline", "nope", "broken"),
}  # fmt: skip
PATHS = {
    "out": ("out", "out", "out", "new", "file", "file/below"),
    "data_dir": ("data", "nowhere", "file"),
    "images": ("pictures", "nowhere", "file", "empty"),
    "file": ("model.onnx", "nowhere/model.onnx", "folder", "file"),
    "picture": ("picture.svg", "nowhere/x.svg", "folder", "file"),
    "gallery": ("gallery.png", "nowhere/x.pdf", "folder", "file.gif"),
}
NO_PATHS = ("", "~nouser/x", "x" * 5000, "y" * 300)
CHEAP = {
    "cost": ("--norms", "bn", "--repeats", "1", "--batch-size", "2", "--set", SMALL, "--device", "cpu"),
    "depth": ("--no-train", "--depth", "2", "--width", "4", "--seeds", "1", "--norms", "none", "--device", "cpu"),
    "mistakes": ("--only", "no-such-mistake"),
    "verify": ("--cases", "1", "--norm", "none"),
}
"""Last flags of a command line, which win, of commands without --dry-run: nothing trains for long."""
CODES = {0, 1, 2, 3, 4}
DAMAGE = ("", "{", "[]", "null", '{"norm": 1}', "\x00\x01", '{"schema_version": 99}', "[" * 3000, '{"a": NaN}')


COMMANDS = command_parameters()


def command_line(number: int, world: Path) -> list[str]:
    """The command line of a number."""
    rng = random.Random(number)
    path = rng.choice(sorted(COMMANDS))
    parameters = COMMANDS[path]
    arguments = [name for name, parameter in parameters.items() if isinstance(parameter.presentation, Argument)]
    flags = [name for name in parameters if name not in arguments]
    words = [*path]
    for name in arguments:
        if parameters[name].required or rng.random() < 0.8:
            words.append(_text(name, rng) or "x")
    for name in rng.sample(flags, min(len(flags), rng.choice((0, 1, 1, 2, 2, 3, 5)))):
        flag = f"--{name.replace('_', '-')}"
        if parameters[name].kind is bool:
            words.append(flag)
        elif name in PATHS:
            words.append(f"{flag}={_path(name, rng, world)}")
        else:
            words.append(f"{flag}={_text(name, rng)}")
    words += CHEAP.get(path[0], ("--dry-run",) if "dry_run" in parameters else ())
    if "out" in flags and not any(word.startswith("--out") for word in words) and path != ("norms",):
        words.append(f"--out={world / 'out'}")
    if "json" in flags and rng.random() < 0.5:
        words.append("--json")
    return words


def _text(name: str, rng: random.Random) -> str:
    return rng.choice(NAMES[name] if name in NAMES and rng.random() < 0.7 else TEXTS)


def _path(name: str, rng: random.Random, world: Path) -> str:
    """A path inside the world, or what can be none."""
    if rng.random() < 0.15:
        return rng.choice(NO_PATHS)
    return str(world / rng.choice(PATHS[name]))


@dataclass
class Watch:
    """An audit hook that notes every file that is written outside of a folder; it cannot be removed, but be asleep."""

    inside: Path | None = None
    outside: list[str] = None  # type: ignore[assignment]

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.inside is None:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            )
            self._check(event, path if writes else None)
        elif event in ("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "shutil.rmtree"):
            self._check(event, arguments[0])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._check(event, arguments[1])

    def _check(self, event: str, path: Any) -> None:
        if path is None or isinstance(path, int) or self.inside is None:
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # Path.resolve would follow links, and open folders
        if not name.startswith((str(self.inside), "/dev/null", "/dev/shm", "/proc/self")):
            self.outside.append(f"{event} {name}")


WATCH = Watch()
sys.addaudithook(WATCH)


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Collect what is written outside of a folder."""
    WATCH.inside, WATCH.outside = folder, []
    try:
        yield WATCH.outside
    finally:
        WATCH.inside = None


def run(words: list[str], world: Path) -> tuple[Answer, list[str]]:
    """Run a command line in the world's inmost folder; the answer, and what was written outside of the world."""
    surroundings = {
        "HOME": str(world / "home"),
        "XDG_CACHE_HOME": str(world / "home/cache"),
        "TMPDIR": str(world / "home"),
        "TORCHINDUCTOR_CACHE_DIR": str(world / "home/cache"),
        "NORMBENCH_OFFLINE": "1",
        "NORMBENCH_MIRROR": "http://127.0.0.1:9/none.tar.gz",
        "COLUMNS": "80",
    }
    before = Path.cwd()
    os.chdir(world / "a/b/c")
    try:
        with watched(world) as outside:
            return normbench(*words, **surroundings), outside
    finally:
        os.chdir(before)


def faults(words: list[str], answer: Answer, outside: list[str]) -> list[str]:
    """List the faults of an answer, a sentence each; none if it is made of words, codes and documents."""
    output = answer.stdout + answer.stderr
    sentences = [f"wrote outside: {name}" for name in outside]
    sentences += [f"says {word!r}" for word in ("Traceback", "This was not expected") if word in output]
    if answer.code not in CODES:
        sentences.append(f"exit code {answer.code}")
    if answer.code in (2, 3) and "error:" not in answer.stderr and words[0] != "data":  # whose result it is
        sentences.append("no error in words")
    sentences += [f"prints {mark!r}" for mark in ("\x1b", "\x07", "\x00", "\u202e", "\x7f") if mark in output]
    if "--json" in words:
        with contextlib.suppress(ValueError):
            document = json.loads(answer.stdout)
            if document.get("schema_version") == 1 and ("error" in document or answer.code in (0, 1, 3, 4)):
                return sentences
        sentences.append(f"is no document: {answer.stdout[:200]!r}")
    return sentences


def told(words: list[str], answer: Answer, faults: list[str]) -> str:
    """A failure for people: the command line to type, what is wrong, and what it said."""
    line = shlex.join(word if len(word) < 200 else f"{word[:40]}... ({len(word)})" for word in words)
    return f"{line!a}: {'; '.join(faults)}: {answer.stderr[-600:]!a}"


def make_world(root: Path) -> Path:
    """Everything that command lines name: finished and damaged runs, recipes, norms, pictures."""
    world = root / "world"
    for folder in ("a/b/c", "home/cache", "pictures", "folder", "empty", "data", "norms"):
        (world / folder).mkdir(parents=True)
    inmost = world / "a/b/c"
    (world / "file").write_text("a file\n")
    for name in ("norms", "recipes"):
        (inmost / name).mkdir()
    (inmost / "norms/good.py").write_text(
        "from torch import nn\n\nGood = nn.BatchNorm2d\n\n\ndef reference(x):\n    return x\n"
    )
    (inmost / "norms/bad.py").write_text("def Bad(channels):\n    raise ValueError('\\x1b[31m[bold]no')\n")
    (inmost / "recipes/good.toml").write_text("[training]\nlr = 0.05\n")
    (inmost / "recipes/broken.toml").write_text("[training\nlr = true\n")
    (inmost / "recipes/deep.toml").write_text("x = " + "[" * 2000)
    (world / "pictures/broken.png").write_bytes(b"\x89PNG no picture")
    (world / f"pictures/{CONTROL}.png").write_bytes(b"GIF89a")
    tiny = ("--dataset", "digits", "--subset", 256, "--epochs", 1, "--batch-size", 64, "--set", SMALL)
    made = normbench("compare", "--norms", "bn,gn", *tiny, "--out", world / "out", "--device", "cpu")
    assert made.code == 0
    (inmost / "out").symlink_to(world / "out")
    _damage(world / "out")
    return world


def _damage(out: Path) -> None:
    """Copies of a finished run, each with one file broken, gone, or another kind of thing."""
    source = next(path for path in (out / "baseline").iterdir() if (path / "result.json").exists())
    rng = random.Random(0)
    for number, name in enumerate(sorted(path.name for path in source.iterdir() if path.is_file())):
        for place, kind in enumerate(("text", "text", "folder", "gone", "cut")):
            copy = out / "damaged" / f"bn-s{number}-{place}{number:07x}"
            shutil.copytree(source, copy)
            target = copy / name
            content = target.read_bytes()
            target.unlink()
            if kind == "text":
                target.write_text(rng.choice(DAMAGE))
            elif kind == "folder":
                target.mkdir()
            elif kind == "cut":
                target.write_bytes(content[: len(content) // 2])
    evil = out / "damaged" / "evil-s0-00000000"
    shutil.copytree(source, evil)
    config = json.loads((evil / "config.json").read_text())
    (evil / "config.json").write_text(json.dumps(config | {"norm": f"norms/{CONTROL}[bold].py:<script>"}))
    broken = out / "broken"
    broken.mkdir()
    (broken / "finding.json").write_text("{")
