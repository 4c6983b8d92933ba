"""What holds for every structure: who moves what, graphs as without, stopping and going on, export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from steps import step_of

from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.export import export_model, load_exported
from easytransfer_mtl.models.encoded import LAYERS, POOLED, SEQUENCE
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import own_variables
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.runs.optimizers import make_optimizer
from easytransfer_mtl.tasks import CONTEST_TASKS

Build = Callable[..., MultiTaskModel]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hard": ("hard", {}),
    "soft": ("soft", {"soft_weight": 0.5}),
    "top": ("shared_private", {"adversarial_weight": 0.3, "orthogonality_weight": 0.2}),
    "top gate": ("shared_private", {"combine": "gate", "private_layers": 2}),
    "encoder": ("shared_private", {"private_part": "encoder", "private_width": 6, "private_layers": 1}),
    "encoder gate": (
        "shared_private",
        {"private_part": "encoder", "private_width": 6, "private_layers": 1, "combine": "gate"},
    ),
    "adapter": ("shared_private", {"private_part": "adapter", "adapter_size": 3}),
    "adapter of one layer": ("shared_private", {"private_part": "adapter", "adapter_size": 3, "private_layers": 1}),
    "memory": ("memory", {"memory_slots": 5}),
    "mmoe": ("mmoe", {"expert_size": 6}),
    "ple": ("ple", {"expert_size": 6, "ple_levels": 3}),
}


def of_case(build_sharing: Build, case: str, **more: Any) -> MultiTaskModel:
    sharing, options = CASES[case]
    return build_sharing(sharing, **{**options, **more})


@pytest.fixture(scope="module")
def scattered(build_sharing: Build, scatter: Callable[..., None]) -> Callable[[str], MultiTaskModel]:
    """Returns a case's model with values far from its start, made once for all tests that only read it."""
    models: dict[str, MultiTaskModel] = {}

    def of(case: str) -> MultiTaskModel:
        if case not in models:
            models[case] = of_case(build_sharing, case)
            scatter(models[case])
        return models[case]

    return of


def moved_by(model: MultiTaskModel, batch: dict[str, tf.Tensor]) -> set[str]:
    pairs = zip(model.trainable_variables, step_of(model).gradients_of(batch).gradients, strict=True)
    return {variable.name for variable, gradient in pairs if np.any(tf.convert_to_tensor(gradient))}


@pytest.mark.parametrize("case", CASES)
def test_a_task_moves_what_is_shared_and_its_own_and_nothing_else(
    case: str, scattered: Callable[[str], MultiTaskModel], batch_of: Callable[..., Any]
) -> None:
    model = scattered(case)
    shared = {variable.name for variable in model.shared_variables}
    assert (not shared) == (case == "soft")
    for task in range(3):
        own = {variable.name for variable in model.task_variables(task)}
        assert moved_by(model, batch_of(task)) == shared | own
        assert len(own) == len(model.task_variables(task)) and not own & shared
    names = [variable.name for variable in model.trainable_variables]
    assert len(set(names)) == len(names) and len(own_variables(model)) >= len(names) - len(model.encoder.trainable_variables)


@pytest.mark.parametrize(
    ("case", "options", "feature"),
    [
        *((case, {}, "mean") for case in CASES),
        *((case, {"soft_weight": 0.0}, feature) for case in ("soft",) for feature in ("mean", "layer1.mean")),
        ("soft", {"soft_layers": "1"}, "layer1.mean"), ("adapter", {}, "layer1.mean"),
        ("adapter of one layer", {}, "layer1.mean"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tasks", [["TNEWS"], ["TNEWS", "OCEMOTION", "OCNLI"]], ids=["one", "all"])
def test_what_is_not_read_is_not_trained(
    case: str, options: dict[str, Any], feature: str, tasks: list[str], build_sharing: Build, batch_of: Callable[..., Any],
    scatter: Callable[..., None],
) -> None:  # fmt: skip
    model = of_case(build_sharing, case, features=dict.fromkeys(tasks, feature), **options)
    scatter(model)
    trained = {variable.name for variable in model.trainable_variables}
    assert set.union(*(moved_by(model, batch_of(task)) for task in range(3))) == trained
    if len(tasks) == 3 and (case != "soft" or options):
        assert not any("pooler" in name for name in trained)


@pytest.mark.parametrize("case", CASES)
def test_size_is_known_before_the_model_is_built(
    case: str, build_sharing: Build, scattered: Callable[[str], MultiTaskModel], size_unbuilt: Callable[..., int]
) -> None:
    sharing, options = CASES[case]
    size = size_unbuilt(scattered(case).encoder.config, sharing, **options)
    assert size == sum(int(np.prod(variable.shape)) for variable in of_case(build_sharing, case).weights)


@pytest.mark.parametrize("case", CASES)
def test_stop_and_go_on_equals_never_having_stopped(
    case: str, build_sharing: Build, batch_of: Callable[..., Any], tmp_path: Path
) -> None:
    def made() -> MultiTaskModel:
        step = {"idle_heads": "skip"}
        return of_case(build_sharing, case, dropout=True, step=step, optimizer=make_optimizer("adagrad", 0.01, 0.0))

    joint = {task.name: batch_of(index) for index, task in enumerate(CONTEST_TASKS)}
    whole, resumed = made(), made()
    whole.train_step(batch_of(0))
    path = tf.train.Checkpoint(model=whole).write(str(tmp_path / "stopped"))
    tf.train.Checkpoint(model=resumed).read(path).assert_existing_objects_matched()
    for model in (whole, resumed):
        model.train_step(joint)
        before = [variable.numpy() for task in (0, 2) for variable in model.task_variables(task)]
        told = model.train_step(batch_of(1, 1))
        after = [variable.numpy() for task in (0, 2) for variable in model.task_variables(task)]
        np.testing.assert_equal(after, before)  # skip leaves idle tasks' variables, whatever they are
    assert ("penalty" in told) == model.sharing.has_penalty and np.isfinite(told["losses"]).all()
    for one, other in zip(
        (*resumed.trainable_variables, *resumed.optimizer.variables),
        (*whole.trainable_variables, *whole.optimizer.variables),
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("case", CASES)
def test_an_exported_model_predicts_bit_for_bit(
    case: str, scattered: Callable[[str], MultiTaskModel], batch_of: Callable[..., Any], tiny_encoder: Path, tmp_path: Path
) -> None:
    model = scattered(case)
    run, inputs = RunFolder(tmp_path / "run"), {task.name: TaskInput(16, "none") for task in CONTEST_TASKS}
    vocabulary = find_encoder(str(tiny_encoder)).vocabulary
    run.write_model(model.encoder.config, vocabulary, model.tasks, inputs, "MultiTaskModel", model.architecture)
    loaded, _ = load_exported(str(export_model(model, run, inputs, {})))
    assert loaded.architecture == model.architecture
    for name, logits in model.build_logits(batch_of(0)).items():
        np.testing.assert_array_equal(loaded.build_logits(batch_of(0))[name], logits)
    different = [tf.reduce_max(tf.abs(value)) for value in model.build_logits(batch_of(0)).values()]
    assert min(different) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_padding_has_no_part_and_bfloat16_is_near(
    case: str, scattered: Callable[[str], MultiTaskModel], batch_of: Callable[..., Any]
) -> None:
    model, batch = scattered(case), batch_of(0)
    mask = tf.pad(batch["input_mask"], [[0, 0], [0, 3]])
    junk = {name: tf.pad(batch[name], [[0, 0], [0, 3]]) * mask + (1 - mask) for name in ("input_ids", "segment_ids")}

    def outputs(of: dict[str, tf.Tensor], task: int) -> list[tf.Tensor]:
        every = ({POOLED}, {POOLED, SEQUENCE}, {SEQUENCE})
        encoded = [model.sharing.encode(of, task, frozenset(reads), training=True) for reads in every]
        states = encoded[1].sequence * tf.cast(of["input_mask"], tf.float32)[..., tf.newaxis]
        return [encoded[0].pooled, tf.reduce_sum(states, axis=1), *(each.penalty for each in encoded)]

    for task in range(3):
        expected = outputs(batch, task)
        for one, other in zip(outputs({**batch, **junk, "input_mask": mask}, task), expected):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        with model.encoder.computing_in("bfloat16"):
            halves = outputs(batch, task)
        assert np.any(halves[0] != expected[0])
        for half, other in zip(halves, expected):
            assert np.abs(half - other).max() <= 0.1 * np.abs(other).max()


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_is_delivered_or_refused(
    case: str, scattered: Callable[[str], MultiTaskModel], batch_of: Callable[..., Any]
) -> None:
    model = scattered(case)
    sharing, width = model.sharing, model.sharing.width
    pooled = sharing.encode(batch_of(0), 1, frozenset({POOLED}), training=False)
    both = sharing.encode(batch_of(0), 1, frozenset({POOLED, SEQUENCE}), training=False)
    np.testing.assert_allclose(pooled.pooled, both.pooled, atol=2e-6)
    assert pooled.pooled.shape == (4, width) and both.sequence.shape == (4, 6, width)
    assert sharing.encode(batch_of(0), 1, frozenset({SEQUENCE}), training=True).sequence.shape == (4, 6, width)
    reads = frozenset({POOLED, SEQUENCE, LAYERS})
    if LAYERS in sharing.delivers:
        encoded = sharing.encode(batch_of(0), 1, reads, training=False)
        assert [layer.shape for layer in encoded.layers] == [(4, 6, width)] * 3
        np.testing.assert_allclose(encoded.layers[-1], both.sequence, atol=2e-6)
    else:
        with pytest.raises(UserError, match="does not deliver layers, only pooled, sequence"):
            sharing.encode(batch_of(0), 1, reads, training=False)


@pytest.mark.parametrize(
    "sharing, options, copies",
    [("soft", {}, 2 * 16), ("shared_private", {"private_layers": 2}, 3 * 16), ("shared_private", {"private_layers": 1}, 0)],
)
def test_freezing_counts_the_same_depth_in_private_copies(
    build_sharing: Callable[..., MultiTaskModel], sharing: str, options: dict[str, int], copies: int
) -> None:
    model = build_sharing(sharing, step={"num_freezed_layers": 1}, **options)
    frozen = step_of(model).frozen_variables
    assert len(frozen) == 16 + copies and all("layer_._0/" in variable.name for variable in frozen)
    tops = [depth for _, depth in model.sharing.private_depths()]
    assert max(tops) == model.encoder.config.num_hidden_layers + 1
