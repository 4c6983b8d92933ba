"""Who computes what: shares of a batch, and clusters that are described wrongly."""

import json
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.training.distribution import Distribution, make_distribution, share_of

MULTI = "MultiWorkerMirroredStrategy"


def settings(**changes: Any) -> TrainSettings:
    needed = {"pretrain_model_name_or_path": "e", "train_input_fp": "t", "train_batch_size": 8, "model_dir": "m"}
    return TrainSettings(**needed, **changes)


def test_shares_make_up_the_batch() -> None:
    batch = {"input_ids": np.arange(12).reshape(6, 2), "label_ids": np.arange(6), "task_id": np.array(1)}
    shares = [share_of(batch, index, 3) for index in range(3)]
    for name in ("input_ids", "label_ids"):
        np.testing.assert_array_equal(np.concatenate([share[name] for share in shares]), batch[name])
    assert [share["label_ids"].tolist() for share in shares] == [[0, 1], [2, 3], [4, 5]]
    assert all(share["task_id"] == 1 for share in shares)


def test_without_a_strategy_one_process_computes_everything() -> None:
    assert make_distribution(settings()) == Distribution(None, 1, True)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"workerGPU": 2}, "workerGPU is 2: set --distribution_strategy=MirroredStrategy"),
        ({"workerCount": 2}, "set --distribution_strategy=MultiWorkerMirroredStrategy"),
        ({"task_index": 1}, "describe several workers"),
        ({"worker_hosts": "a:1,b:2"}, "describe several workers"),
        ({"distribution_strategy": MULTI, "worker_hosts": "a:1,a:1"}, "must list different host:port"),
        ({"distribution_strategy": MULTI, "worker_hosts": "a,b:1"}, "must list different host:port"),
        ({"distribution_strategy": MULTI, "worker_hosts": "a:1,b:1", "workerCount": 3}, "workerCount is 3, but"),
        ({"distribution_strategy": MULTI, "worker_hosts": "a:1,b:1", "task_index": 2}, "with 2 workers it is 0 to 1"),
        ({"distribution_strategy": MULTI, "worker_hosts": "a:1,b:1", "job_name": "ps"}, "job_name is 'ps'"),
    ],
)
def test_contradictions_are_told_before_anything_starts(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_distribution(settings(**changes))


@pytest.mark.parametrize("text", ["{", "{}", '{"cluster": [], "task": {}}', json.dumps({"cluster": {"worker": ["a:1"]}})])
def test_a_tf_config_that_describes_no_cluster_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG does not describe a cluster"):
        make_distribution(settings(distribution_strategy=MULTI))
