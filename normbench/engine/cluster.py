"""Connection to a Ray cluster. Its nodes are checked, since runs must not depend on where they train."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from normbench.config import MachineConfig
from normbench.errors import RunFailedError, UsageError, in_one_line, shortened

PATIENCE = 5.0
"""Seconds for an address to answer."""
CHECK_PATIENCE = 120.0
"""Seconds for the nodes to say what is installed on them; the first one may have to start a process for it."""
DEVICES = ("auto", "cuda", "cpu")
"""Devices of a cluster, which itself chooses among those of a node."""
INSTALL = "Install the same normbench, torch and Python on every node: pip install 'normbench[ray]'"
NODE_HINT = (
    "Run the command on a node of the cluster, with the address of its head: --address HOST:6379. "
    "`ray start --address HOST:6379` makes this machine a node."
)

Resources = Mapping[str, float]


def device(machine: MachineConfig) -> torch.device:
    """Connect to the cluster of the machine settings, and return the kind of device that its runs train on.

    Raises:
        UsageError: The device is none of a cluster, or the cluster has none of its kind.
        RunFailedError: As of `connect`.
    """
    if machine.device not in DEVICES:
        raise UsageError(
            f"--device {machine.device} with --engine ray: the cluster chooses among the devices of its nodes",
            "Use --device auto, cuda or cpu.",
        )
    connect(machine.address)
    gpus = sum(resources.get("GPU", 0.0) for resources in nodes())
    if machine.device == "cuda" and not gpus:
        raise UsageError("device cuda is not available: the cluster has no GPU", "Use --device auto or cpu.")
    return torch.device("cuda" if machine.device != "cpu" and gpus else "cpu")


def connect(address: str | None) -> None:
    """Connect this process to a cluster, once, and check the nodes that were not checked yet.

    Args:
        address: HOST:PORT of the head; None takes Ray's own: `RAY_ADDRESS`, the cluster of this machine, or a new one.

    Raises:
        UsageError: Nothing answers at the address, or another normbench, torch or Python is installed on a node.
        RunFailedError: Ray itself fails.
    """
    if not ray.is_initialized():
        _start(address)
    elif address not in {None, "auto", "local", ray.get_runtime_context().gcs_address}:
        raise UsageError(
            f"this process is connected to another cluster, {ray.get_runtime_context().gcs_address}",
            "Leave the address out, or call ray.shutdown() first.",
        )
    _check_nodes()


def nodes() -> list[Resources]:
    """Resources of every node that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _start(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that starts here sends nothing to anybody
    wanted = address or os.environ.get("RAY_ADDRESS") or None
    if wanted is not None and wanted not in {"auto", "local"}:
        _check_answer(wanted)
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    with _own_signals(), _in_words(wanted):
        _silence()
        if wanted is not None and wanted != "local":
            ray.init(address=wanted, **quiet)  # type: ignore[arg-type]
            return
        if wanted is None:
            try:
                ray.init(address="auto", **quiet)  # type: ignore[arg-type]
            except ConnectionError:  # none runs on this machine
                pass
            else:
                return
        ray.init(address="local", include_dashboard=False, **quiet)  # type: ignore[arg-type]


def _check_answer(address: str) -> None:
    """Refuse an address where nothing answers, at once: Ray itself tries for minutes.

    Raises:
        UsageError: It has another form, or nothing answers there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address or int(port) > 65535:
        raise UsageError(
            f"--address {shortened(address)}: not of the form HOST:PORT",
            "Give the address of the head, as `ray start --head` prints it: HOST:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"no Ray cluster answers at {shortened(address)}: {reason}",
            "Start one with `ray start --head`, or leave --address out for a cluster on this machine.",
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of Ctrl-C and SIGTERM, which Ray replaces by its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextmanager
def _in_words(address: str | None) -> Iterator[None]:
    """Turn a failure to connect into words."""
    at = f" at {shortened(address)}" if address else ""
    try:
        yield
    except RuntimeError as error:
        if "ersion mismatch" in str(error):
            raise UsageError(f"the Ray cluster{at} is another one: {' '.join(str(error).split())}", INSTALL) from error
        raise RunFailedError(f"cannot connect to the Ray cluster{at}: {in_one_line(error)}", NODE_HINT) from error
    except (ray.exceptions.RayError, OSError, ValueError, TimeoutError) as error:
        raise RunFailedError(f"cannot connect to the Ray cluster{at}: {in_one_line(error)}", NODE_HINT) from error


def _silence() -> None:
    """Keep Ray's messages on workers and nodes off stdout, which carries the result of a command."""
    module = sys.modules.get("ray._private.worker")
    if hasattr(module, "print_to_stdstream"):
        module.print_to_stdstream = lambda *_arguments, **_more: None  # type: ignore[union-attr]


_CHECKED: set[str] = set()
"""Nodes, by their identity, on which the same versions are installed."""


def _check_nodes() -> None:
    """Compare what is installed on every node with this process.

    Raises:
        UsageError: A node differs, or lacks the package.
        RunFailedError: A node does not answer.
    """
    new = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    new = {identity: address for identity, address in new.items() if identity not in _CHECKED}
    if not new:
        return
    probe = ray.remote(_probe())
    answers = {
        identity: probe.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(identity, soft=False)
        ).remote()
        for identity in new
    }
    for identity, answer in answers.items():
        try:
            versions = ray.get(answer, timeout=CHECK_PATIENCE)
        except ray.exceptions.RayError as error:
            raise RunFailedError(
                f"the node {new[identity]} of the cluster does not answer: {in_one_line(error)}",
                "See `ray status` on its head.",
            ) from error
        compare(new[identity], versions, local_versions())
        _CHECKED.add(identity)


def compare(node: str, versions: Mapping[str, str | None], local: Mapping[str, str | None]) -> None:
    """Check the versions of a node against those of this process.

    Raises:
        UsageError: They differ; names the first that does.
    """
    for name, here in local.items():
        there = versions.get(name)
        if there == here:
            continue
        if there is None:
            raise UsageError(f"{name} is not installed on the node {node} of the cluster", INSTALL)
        if name == CODE:
            raise UsageError(
                f"the node {node} of the cluster runs another state of normbench {local['normbench']}", INSTALL
            )
        raise UsageError(f"the node {node} of the cluster runs {name} {there}, and this process {name} {here}", INSTALL)


CODE = "the code of normbench"


@cache
def local_versions() -> dict[str, str | None]:
    """Versions in this process that all nodes must share."""
    return _probe()()


def _probe() -> Callable[[], dict[str, str | None]]:
    """Make the function that reads the versions of a process.

    It travels as code, since it must run where normbench is missing; so it refers to nothing of this module.
    """

    def versions() -> dict[str, Any]:
        import hashlib  # noqa: PLC0415
        import importlib.metadata  # noqa: PLC0415
        import platform  # noqa: PLC0415
        from pathlib import Path  # noqa: PLC0415

        found: dict[str, Any] = {"Python": platform.python_version()}
        try:
            import normbench  # noqa: PLC0415
        except Exception:  # noqa: BLE001  # whatever is in its place
            found |= {"normbench": None}
        else:
            folder = Path(normbench.__file__ or "").parent
            digest = hashlib.sha256()
            for path in sorted(folder.rglob("*.py")):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
            found |= {"normbench": getattr(normbench, "__version__", "unknown")}
            found |= {"the code of normbench": digest.hexdigest()}
        try:
            found["torch"] = importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            found["torch"] = None
        return found

    return versions
