"""The same tasks give the same whoever works; nobody's death loses one."""

import functools
import importlib.util
import os
import signal
import subprocess
import sys
import time

import job_workers
import pytest

from ffn_tf.jobs import processes
from ffn_tf.jobs import run as jobs
from ffn_tf.jobs.tasks import Done

HAS_RAY = importlib.util.find_spec("ray") is not None
EXECUTORS = [
    "inline",
    "processes",
    pytest.param(
        "ray", marks=pytest.mark.skipif(not HAS_RAY, reason="without ray")
    ),
]


@pytest.fixture(scope="module")
def ray():
    """One cluster on this machine for all tests: it takes seconds to start."""
    ray = pytest.importorskip("ray")
    path = os.pathsep.join(
        [os.path.dirname(job_workers.__file__), *_pythonpath()]
    )
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    yield ray
    ray.shutdown()


def _pythonpath():
    return [p for p in os.environ.get("PYTHONPATH", "").split(":") if p]


@pytest.fixture
def run(tmp_path, request, monkeypatch):
    """Runs tasks with an executor: their results, by task."""
    path = os.pathsep.join(
        [os.path.dirname(job_workers.__file__), *_pythonpath()]
    )
    monkeypatch.setenv("PYTHONPATH", path)

    def run(executor, tasks, **changes):
        if executor == "ray":
            request.getfixturevalue("ray")
        several = {} if executor == "inline" else {"workers": 2}
        group = changes.pop("group", 1)
        options = jobs.Options(executor, **(several | changes))
        make = functools.partial(job_workers.Notes, tmp_path)
        done = jobs.run(make, tasks, options, group)
        return {one.task: one.result for one in done}

    return run


@pytest.mark.skipif(not HAS_RAY, reason="without ray")
def test_a_cluster_that_does_not_answer():
    options = jobs.Options("ray", ray_address="127.0.0.1:1")
    with pytest.raises(ConnectionError, match=r"0\.1:1: no Ray cluster"):
        list(jobs.run(print, [1, 2], options))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_tasks_are_done_once(run, tmp_path, executor):
    tasks = [f"task{'x' * i}" for i in range(7)]
    assert run(executor, tasks) == {task: len(task) for task in tasks}
    assert len(list(tmp_path.iterdir())) == 7


@pytest.mark.skipif(not HAS_RAY, reason="without ray")
def test_a_cluster_without_room(run):
    with pytest.raises(ValueError, match="2 CPUs and 0 GPUs in all"):
        run("ray", ["a", "b"], workers=0, cpus_per_worker=64.0)


@pytest.mark.parametrize("executor", EXECUTORS[:2])
def test_what_the_system_refuses_is_tried_again(run, tmp_path, executor):
    done = run(executor, ["refuse-1", "other", "refuse-2"])
    assert done.keys() == {"refuse-1", "other", "refuse-2"}
    assert len(job_workers.attempts(tmp_path, "refuse-2")) == 3


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_fails_is_told_and_the_rest_is_done(run, tmp_path, executor):
    with pytest.raises(jobs.TasksFailed) as caught:
        run(executor, ["wrong", "other", "refuse-9", "another"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 of 4 could not be done:"
    assert "  wrong: wrong is wrong" in lines
    assert any(line.startswith("  refuse-9: [Errno 13]") for line in lines)
    assert len(job_workers.attempts(tmp_path, "wrong")) == 1
    assert len(job_workers.attempts(tmp_path, "refuse-9")) == 3
    assert job_workers.attempts(tmp_path, "another")


@pytest.mark.parametrize("executor", EXECUTORS[1:])
def test_a_task_survives_its_worker(run, tmp_path, executor):
    tasks = ["kill-1", "kill-2", *"abcdef"]
    assert run(executor, tasks).keys() == {*tasks}
    for task in "abcdef":
        assert len(job_workers.attempts(tmp_path, task)) == 1
    assert len(job_workers.attempts(tmp_path, "kill-2")) == 3


def test_a_worker_that_is_asked_to_end_is_replaced(run, tmp_path):
    assert run("processes", ["term-2", *"abc"]).keys() == {"term-2", *"abc"}
    assert len(job_workers.attempts(tmp_path, "term-2")) == 3


def test_a_worker_that_dies_while_it_waits_is_replaced(tmp_path, monkeypatch):
    folder = os.path.dirname(job_workers.__file__)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *_pythonpath()]))
    make = functools.partial(job_workers.Notes, tmp_path)
    with processes.Processes(make, 1, 1) as executor:
        assert [one.task for one in executor.outcomes(["a"])] == ["a"]
        pid = int(job_workers.attempts(tmp_path, "a")[0].split()[1])
        os.kill(pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{pid}"):  # Until somebody has noticed.
            time.sleep(0.05)
        assert list(executor.outcomes(["b"])) == [Done("b", 1)]


def test_a_worker_at_work_ends_with_its_parent(tmp_path, monkeypatch):
    """It saves what it can; then nobody is left to give it a task."""
    folder = os.path.dirname(job_workers.__file__)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *_pythonpath()]))
    program = (
        "import functools, sys, job_workers\n"
        "from ffn_tf.jobs import processes\n"
        "if __name__ == '__main__':\n"
        "    make = functools.partial(job_workers.Notes, sys.argv[1])\n"
        "    with processes.Processes(make, 1, 1) as executor:\n"
        "        list(executor.outcomes(['endless']))\n"
    )
    (tmp_path / "program.py").write_text(program)
    notes = tmp_path / "notes"
    notes.mkdir()
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py", notes]
    ) as parent:
        while not (found := job_workers.attempts(notes, "endless")):
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
    worker = found[0].split()[1]
    while job_workers.runs(worker):
        time.sleep(0.05)
    assert (notes / "endless.saved").exists()


def test_a_worker_that_has_hardly_begun_is_stopped(tmp_path, monkeypatch):
    """Before it has said its number; its task would take a minute."""
    folder = os.path.dirname(job_workers.__file__)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, *_pythonpath()]))
    make = functools.partial(job_workers.Notes, tmp_path)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        with processes.Processes(make, 1, 1) as executor:
            executor._workers[0].submit(["endless"])
            raise KeyboardInterrupt
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("executor", EXECUTORS[1:2])
def test_a_task_that_kills_is_given_up(run, executor):
    with pytest.raises(jobs.TasksFailed, match=r"kill-9: .*died"):
        run(executor, ["kill-9", *"abc"])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_defect_is_not_a_failed_task(run, executor):
    with pytest.raises(ZeroDivisionError):
        run(executor, ["a", "defect"])


@pytest.mark.parametrize("executor", EXECUTORS[:2])
def test_when_nothing_works_it_stops(run, tmp_path, executor):
    tasks = [f"wrong-{i}" for i in range(30)]
    with pytest.raises(jobs.TasksFailed, match=r"5 of 30 .*gave up"):
        run(executor, tasks)
    assert len(list(tmp_path.iterdir())) < 10


@pytest.mark.parametrize("executor", EXECUTORS[:2])
def test_when_the_system_refuses_everything_it_stops(run, tmp_path, executor):
    """A disk that is full, when some are done already."""
    tasks = ["good", *(f"refuse-9{i}" for i in range(30))]
    with pytest.raises(jobs.TasksFailed, match=r"5 of 31 .*gave up"):
        run(executor, tasks)
    assert len(list(tmp_path.iterdir())) < 12


def test_the_error_of_a_single_task_is_its_own(run):
    with pytest.raises(PermissionError, match="refuse-9"):
        run("inline", ["refuse-9"])


def test_groups_stay_together(run, tmp_path):
    run("processes", ["a", "b", "c", "d", "e"], group=2)
    pids = [job_workers.attempts(tmp_path, t)[0].split()[1] for t in "abcde"]
    assert pids[0] == pids[1]
    assert pids[2] == pids[3]


def test_each_process_has_its_share_of_the_cores(run, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    run("processes", [f"t{i}" for i in range(20)])
    notes = [path.read_text().split(maxsplit=2) for path in tmp_path.iterdir()]
    cores = {index: where for index, _, where in notes}
    assert len(set(cores.values())) == len(cores)


def test_each_process_has_a_gpu_before_it_imports_anything(run, monkeypatch):
    monkeypatch.setattr(processes, "num_gpus", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with processes.Processes(job_workers.devices, 2, 1) as executor:
        found = {one.result for one in executor.outcomes(["a", "b"])}
    assert found == {"0", "1"}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    with processes.Processes(job_workers.devices, 1, 1) as executor:
        assert [one.result for one in executor.outcomes(["a"])] == ["5"]


def test_shards_share_the_tasks():
    tasks = list(range(10))
    shares = [jobs.Options(shard=f"{i}/3").share(tasks) for i in range(3)]
    assert sorted(shares[0] + shares[1] + shares[2]) == tasks
    assert max(map(len, shares)) == 4
    assert jobs.INLINE.share(tasks) == tasks


@pytest.mark.parametrize("shard", ["3/3", "1", "-1/3", "1/0", "a/b"])
def test_a_shard_that_is_none(shard):
    with pytest.raises(ValueError, match="--shard: expected i/n"):
        jobs.Options(shard=shard)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 2}, "--executor=processes has several"),
        ({"workers": -1}, "--workers: expected 0 or more"),
        ({"ray_address": "auto"}, "--ray_address needs --executor=ray"),
    ],
)
def test_options_that_do_not_go_together(changes, message):
    with pytest.raises(ValueError, match=message):
        jobs.Options(**changes)
