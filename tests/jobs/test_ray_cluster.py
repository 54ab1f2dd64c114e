"""A whole machine of a Ray cluster is gone."""

import functools
import os

import job_workers
import pytest

from ffn_tf.jobs import run as jobs


@pytest.mark.slow
def test_a_machine_that_is_gone_loses_nothing(tmp_path):
    """Two machines, simulated by Ray: processes of their own for each."""
    ray = pytest.importorskip("ray")
    from ray import cluster_utils

    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0}
    )
    first = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    path = os.path.dirname(job_workers.__file__)
    ray.init(
        address=cluster.address,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    try:
        tasks = [f"slow-{i}" for i in range(12)]
        make = functools.partial(job_workers.Notes, tmp_path)
        options = jobs.Options("ray", workers=2)
        done = []
        for one in jobs.run(make, tasks, options):
            done.append(one.task)
            if len(done) == 4:
                cluster.remove_node(first, allow_graceful=False)
        assert sorted(done) == sorted(tasks)
        # One task was under way there; no other is done again.
        assert len(list(tmp_path.iterdir())) <= len(tasks) + 1
    finally:
        ray.shutdown()
        cluster.shutdown()
