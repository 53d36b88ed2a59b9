"""Requests for a cluster that cannot be had are answered in one line with a hint, and without a cluster."""

import socket
import sys
from collections import deque

import pytest
from helpers.cli import TINY, normbench
from helpers.small import run_config

from normbench import engine
from normbench.config import MachineConfig
from normbench.engine import Callback
from normbench.errors import RunFailedError, UsageError
from normbench.runs import RunFolder


def refused(*arguments: object, **variables: str) -> dict[str, object]:
    answer = normbench("compare", "--norms", "bn", *TINY, "--json", *arguments, **variables)
    assert answer.code == 2
    error = answer.document["error"]
    assert "\n" not in error["message"]
    return dict(error)


def test_an_address_needs_the_engine(tmp_path):
    assert "--engine ray" in str(refused("--out", tmp_path, "--address", "127.0.0.1:6379")["hint"])


@pytest.mark.parametrize(("arguments", "variables"), [(("--engine", "slurm"), {}), ((), {"NORMBENCH_ENGINE": "slurm"})])
def test_engines_are_a_choice(arguments, variables, tmp_path):
    error = refused("--out", tmp_path, *arguments, **variables)
    assert "'local' or 'ray'" in str(error["message"])


def test_the_environment_chooses_the_engine_and_a_flag_overrules_it(monkeypatch):
    assert MachineConfig().engine == "local"
    monkeypatch.setenv("NORMBENCH_ENGINE", "ray")
    assert MachineConfig.resolve({}).engine == "ray"
    assert MachineConfig.resolve({"engine": "local"}).engine == "local"


def test_ray_that_is_not_installed_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "normbench.engine.cluster", raising=False)
    monkeypatch.delattr(engine, "cluster", raising=False)
    error = refused("--out", tmp_path, "--engine", "ray")
    assert "Ray" in str(error["message"])
    assert "normbench[ray]" in str(error["hint"])


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nowhere.invalid:6379", "head", "ray://127.0.0.1:1", "::1"])
def test_an_address_where_nothing_answers_is_named(address, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    address = address.format(port=unused_port())
    error = refused("--out", tmp_path, "--engine", "ray", "--address", address)
    assert address in str(error["message"])
    assert error["hint"]


def test_the_devices_of_a_node_are_not_chosen_here(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    assert "--device" in str(refused("--out", tmp_path, "--engine", "ray", "--device", "cuda:1")["message"])


def test_a_node_without_the_package_is_named(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    from normbench.engine import cluster

    local = cluster.local_versions()
    monkeypatch.setitem(sys.modules, "normbench", None)
    with pytest.raises(UsageError, match=r"normbench is not installed on the node 10\.0\.0\.7"):
        cluster.compare("10.0.0.7", cluster._probe()(), local)


def test_a_node_with_another_state_of_the_code_is_named():
    pytest.importorskip("ray", reason="Ray is not installed")
    from normbench.engine import cluster

    local = cluster.local_versions()
    with pytest.raises(UsageError, match="another state of normbench"):
        cluster.compare("10.0.0.7", {**local, cluster.CODE: "0"}, local)
    cluster.compare("10.0.0.7", local, local)


def test_a_run_that_ends_its_workers_fails_alone_and_the_others_go_on(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    from normbench.engine.ray_engine import MOST_LOSSES, _Driver, _Task

    driver = object.__new__(_Driver)
    driver.queue, driver.locks, driver.epochs, driver.callback = deque(), {}, {}, Callback()
    folders = [RunFolder(tmp_path, "some", run_config(seed=seed)) for seed in range(5)]
    deadly = folders[3]
    driver.queue.append(_Task(folders))
    done, failed, lost = [], {}, 0
    while driver.queue:
        task = driver.queue.popleft()
        task.left = set(task.folders)
        if deadly in task.left:
            lost += 1
            failed |= dict(driver._lost(task, "its process died"))
        else:
            done += task.folders
    assert sorted(folder.config.seed for folder in done) == [0, 1, 2, 4]
    assert list(failed) == [deadly]
    assert isinstance(failed[deadly], RunFailedError)
    assert f"lost {lost} times in epoch 1: its process died" in str(failed[deadly])
    assert MOST_LOSSES <= lost <= MOST_LOSSES + 2


def test_an_epoch_that_was_not_reached_before_makes_up_for_a_lost_worker(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    from normbench.engine.ray_engine import _Driver, _Task

    driver = object.__new__(_Driver)
    driver.queue, driver.locks, driver.epochs, driver.callback = deque(), {}, {}, Callback()
    driver.queue.append(_Task([RunFolder(tmp_path, "some", run_config())]))
    for _ in range(10):
        task = driver.queue.popleft()
        task.left, task.advanced = set(task.folders), True
        assert list(driver._lost(task, "its node died")) == []
