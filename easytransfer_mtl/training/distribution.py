"""Training on several devices or machines with tf.distribute, under EasyTransfer's names.

Every replica (a GPU, or a worker without GPU) computes an equal share of each batch's rows; gradients are averaged before
clipping, so that the result equals that of one process with the whole batch, up to rounding.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import tensorflow as tf

from easytransfer_mtl.config.train_settings import TrainSettings
from easytransfer_mtl.data.datasets import generated_dataset
from easytransfer_mtl.data.encoded_rows import TEACHER, Batch, EncodedRows
from easytransfer_mtl.data.pipeline import TrainingBatches
from easytransfer_mtl.errors import UserError

MIRRORED = "MirroredStrategy"
MULTI_WORKER = ("MultiWorkerMirroredStrategy", "CollectiveAllReduceStrategy")
"""TensorFlow's current name and EasyTransfer's name."""
BATCH_SIGNATURE = {
    **{name: tf.TensorSpec([None, None], tf.int32) for name in ("input_ids", "input_mask", "segment_ids")},
    "label_ids": tf.TensorSpec([None], tf.int32),
    "task_id": tf.TensorSpec([], tf.int32),
}
"""Signature of one task's batch with one label a row and without a teacher: any number of rows of any length."""
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


@dataclass(frozen=True)
class Distribution:
    """The distribution strategy, and this process's role in it.

    Attributes:
        strategy: None for one process on one device.
        num_replicas: number of shares that a batch is cut into.
        is_chief: whether this process logs, saves and evaluates, which one process of a cluster does.
    """

    strategy: tf.distribute.Strategy | None = None
    num_replicas: int = 1
    is_chief: bool = True

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Returns the context in which the model's variables must be created."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def dataset(self, batches: TrainingBatches, start: int, stop: int) -> tf.data.Dataset:
        """Returns the batches of steps ``start`` to ``stop`` - 1, each cut into the replicas' shares."""
        if not self.strategy:
            return _dataset(batches, start, stop, range(1), 1)

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            local = self.num_replicas // context.num_input_pipelines
            first = context.input_pipeline_id * local
            return _dataset(batches, start, stop, range(first, first + local), self.num_replicas)

        return self.strategy.distribute_datasets_from_function(of_worker)

    def check_same_step(self, step: int) -> None:
        """Raises UserError unless every worker restored the same step."""
        if not self.strategy:
            return

        def steps_of_all() -> tf.Tensor:
            return tf.distribute.get_replica_context().all_gather(tf.constant([step]), axis=0)

        found = self.strategy.run(tf.function(steps_of_all, autograph=False))
        if (self.strategy.experimental_local_results(found)[0].numpy() != step).any():
            raise UserError(
                f"This worker goes on from step {step}, others from another. All workers need the same --model_dir, in a "
                "folder that they share."
            )

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Turns the errors that follow from the loss of another worker into a ``UserError`` with advice.

        Raises:
            UserError: another worker of the cluster no longer responds.
        """
        try:
            yield
        except LOST as error:
            if self.strategy is None:
                raise
            raise UserError(
                f"Another worker was lost: {str(error).splitlines()[0]}\nStart every worker again with the same command; "
                "they go on from the last checkpoint."
            ) from None


def _dataset(batches: TrainingBatches, start: int, stop: int, shares: range, num_shares: int) -> tf.data.Dataset:
    tasks = batches.tasks
    specs = [_of_type(rows, tasks.has_teacher) for rows in tasks.rows]
    if batches.order is None:
        signature = {order.name: BATCH_SIGNATURE | spec for order, spec in zip(tasks.orders, specs, strict=True)}
    else:
        signature = BATCH_SIGNATURE | {key: _any_of([spec[key] for spec in specs]) for key in specs[0]}

    def generate() -> Iterator[Batch | dict[str, Batch]]:
        for batch in batches.steps(start, stop):
            for share in shares:
                yield share_of(batch, share, num_shares)

    return generated_dataset(generate, signature)


def _of_type(rows: EncodedRows, has_teacher: bool) -> dict[str, tf.TensorSpec]:
    """Returns the signature of what has another number of dimensions for other types of tasks."""
    teacher = {TEACHER: tf.TensorSpec([None] * rows.teacher_rank, tf.float32)} if has_teacher else {}
    return {"label_ids": tf.TensorSpec([None] * rows.label_rank, tf.int32), **teacher}


def _any_of(specs: list[tf.TensorSpec]) -> tf.TensorSpec:
    return specs[0] if len(set(specs)) == 1 else tf.TensorSpec(None, specs[0].dtype)


def share_of(batch: Batch | dict[str, Batch], share: int, num_shares: int) -> Batch | dict[str, Batch]:
    """Returns share number ``share`` of ``num_shares`` equal shares of a batch's rows, or of every task's batch."""
    return tf.nest.map_structure(
        lambda value: value if np.ndim(value) == 0 else value.reshape(num_shares, -1, *value.shape[1:])[share], batch
    )


def make_distribution(settings: TrainSettings) -> Distribution:
    """Makes the strategy that the settings name; must be called before TensorFlow computes anything.

    ``MirroredStrategy`` uses the first ``workerGPU`` GPUs of this machine, or, without a GPU, as many virtual CPU devices
    (for tests). ``MultiWorkerMirroredStrategy`` reads the cluster from ``worker_hosts`` and ``task_index``, or from the
    environment variable TF_CONFIG, which Kubernetes operators set.

    Raises:
        UserError: the settings contradict each other.
    """
    if not settings.is_distributed:
        _check_single(settings)
        return Distribution()
    if settings.distribution_strategy == MIRRORED:
        _check_single(settings, several_gpus=True)
        devices = _devices(max(1, settings.workerGPU))
        return Distribution(_mirrored(tuple(devices)), len(devices))
    hosts, index = _cluster(settings)
    _take_gpus(max(1, settings.workerGPU))
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": hosts}), task_type="worker", task_id=index, rpc_layer="grpc"
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    return Distribution(strategy, strategy.num_replicas_in_sync, index == 0)


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    # One for all runs of a process: each new one counts its collective operations from the same number, and TensorFlow
    # takes a second run's for those of the first, whose shapes they contradict.
    return tf.distribute.MirroredStrategy(list(devices))


def _check_single(settings: TrainSettings, several_gpus: bool = False) -> None:
    if settings.workerCount > 1 or settings.task_index > 0 or "," in settings.worker_hosts:
        raise UserError(
            "workerCount, task_index and worker_hosts describe several workers; set "
            f"--distribution_strategy={MULTI_WORKER[0]} too, or leave them at their defaults."
        )
    if settings.workerGPU > 1 and not several_gpus:
        raise UserError(f"workerGPU is {settings.workerGPU}: set --distribution_strategy={MIRRORED} too, or leave it at 1.")


def _devices(count: int) -> list[str]:
    if _take_gpus(count):
        return [f"/GPU:{index}" for index in range(count)]
    virtual = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], virtual)
    return [f"/CPU:{index}" for index in range(count)]


def _take_gpus(count: int) -> bool:
    """Makes only the first ``count`` GPUs visible; returns False if the machine has none."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and len(gpus) < count:
        raise UserError(f"workerGPU is {count}; this machine has {len(gpus)} GPUs.")
    if gpus:
        tf.config.set_visible_devices(gpus[:count], "GPU")
    return bool(gpus)


def _cluster(settings: TrainSettings) -> tuple[list[str], int]:
    """Returns the workers' addresses and this worker's index among them."""
    if "TF_CONFIG" in os.environ and "," not in settings.worker_hosts:
        return _cluster_of(os.environ["TF_CONFIG"])
    hosts = [host.strip() for host in settings.worker_hosts.split(",")]
    if settings.job_name != "worker":
        raise UserError(f"job_name is {settings.job_name!r}; every process of a cluster is a worker here.")
    if len(set(hosts)) < len(hosts) or not all(":" in host for host in hosts):
        raise UserError(f"worker_hosts is {settings.worker_hosts!r}; it must list different host:port, separated by commas.")
    if settings.workerCount not in (1, len(hosts)):
        raise UserError(f"workerCount is {settings.workerCount}, but worker_hosts lists {len(hosts)} workers.")
    if not 0 <= settings.task_index < len(hosts):
        raise UserError(f"task_index is {settings.task_index}; with {len(hosts)} workers it is 0 to {len(hosts) - 1}.")
    return hosts, settings.task_index


def _cluster_of(text: str) -> tuple[list[str], int]:
    """Parses TF_CONFIG; a ``chief`` comes before the workers."""
    try:
        config = json.loads(text)
        chiefs, workers = (list(config["cluster"].get(job, [])) for job in ("chief", "worker"))
        job, index = config["task"]["type"], int(config["task"]["index"])
        return chiefs + workers, {"chief": 0, "worker": len(chiefs)}[job] + index
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"The environment variable TF_CONFIG does not describe a cluster of workers ({type(error).__name__}: {error})."
        ) from None
