"""Structures around encoders that are no BERT: copies of their layers, small ones of their type, parts between layers."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from steps import step_of
from transformers import AlbertConfig, BertConfig, DebertaV2Config, ElectraConfig, PretrainedConfig, RoFormerConfig

from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.evaluation.export import export_model, load_exported
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.tasks import CONTEST_TASKS

Build, Batch = Callable[..., MultiTaskModel], Callable[..., dict[str, tf.Tensor]]
SIZES = {
    "vocab_size": 25, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16, "initializer_range": 0.4,
}  # fmt: skip
CONFIGS: dict[str, PretrainedConfig] = {
    "bert": BertConfig(**SIZES),
    "albert": AlbertConfig(**SIZES, embedding_size=4, hidden_act="gelu_new"),
    "electra": ElectraConfig(**SIZES, embedding_size=4),
    "roformer": RoFormerConfig(**SIZES, embedding_size=8, rotary_value=True),
    "deberta-v2": DebertaV2Config(
        **{**SIZES, "num_hidden_layers": 1}, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=4,
        share_att_key=True, norm_rel_ebd="layer_norm", conv_kernel_size=3, conv_act="gelu", type_vocab_size=2,
    ),
}  # fmt: skip
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "soft": ("soft", {"soft_weight": 0.5}),
    "top": ("shared_private", {"combine": "gate", "private_layers": 2}),
    "encoder": ("shared_private", {"private_part": "encoder", "private_width": 6, "private_layers": 1}),
    "adapter": ("shared_private", {"private_part": "adapter", "adapter_size": 3}),
}
TOGETHER = [
    *((kind, case) for kind in ("albert", "roformer") for case in CASES), ("electra", "top"), ("electra", "encoder"),
    ("deberta-v2", "soft"), ("deberta-v2", "encoder"),
]  # fmt: skip
EXPORTED = [("albert", "top"), ("roformer", "encoder"), ("electra", "top"), ("deberta-v2", "soft")]


def of_case(build_sharing: Build, kind: str, case: str, **more: Any) -> MultiTaskModel:
    sharing, options = CASES[case]
    return build_sharing(sharing, config=CONFIGS[kind], **{**options, **more})


@pytest.mark.parametrize(("kind", "case"), TOGETHER)
def test_copies_start_as_the_encoder_tasks_move_their_own_and_exports_stand_alone(
    kind: str, case: str, build_sharing: Build, batch_of: Batch, scatter: Callable[..., None],
    size_unbuilt: Callable[..., int], tiny_encoder: Path, tmp_path: Path,
) -> None:  # fmt: skip
    sharing, options = CASES[case]
    size = size_unbuilt(CONFIGS[kind], sharing, **options)
    model = of_case(build_sharing, kind, case)
    if case != "encoder":
        expected = build_sharing("hard", config=CONFIGS[kind]).build_logits(batch_of(0))
        for name, logits in model.build_logits(batch_of(0)).items():
            np.testing.assert_allclose(logits, expected[name], atol=2e-6)
    assert size == sum(int(np.prod(variable.shape)) for variable in model.weights)
    scatter(model)
    assert_tasks_move_their_own(model, batch_of)
    if (kind, case) in EXPORTED:
        run, inputs = RunFolder(tmp_path / "run"), {task.name: TaskInput(16, "none") for task in CONTEST_TASKS}
        vocabulary = find_encoder(str(tiny_encoder)).vocabulary
        run.write_model(model.encoder.config, vocabulary, model.tasks, inputs, "MultiTaskModel", model.architecture)
        loaded, _ = load_exported(str(export_model(model, run, inputs, {})))
        for name, logits in model.build_logits(batch_of(0)).items():
            np.testing.assert_array_equal(loaded.build_logits(batch_of(0))[name], logits)


def assert_tasks_move_their_own(model: MultiTaskModel, batch_of: Batch) -> None:
    shared = {variable.name for variable in model.shared_variables}
    assert (not shared) == (model.architecture.sharing.sharing == "soft")
    for task in range(3):
        pairs = zip(model.trainable_variables, step_of(model).gradients_of(batch_of(task)).gradients, strict=True)
        moved = {variable.name for variable, gradient in pairs if np.any(tf.convert_to_tensor(gradient))}
        own = {variable.name for variable in model.task_variables(task)}
        assert own and moved == shared | own and not own & shared


@pytest.mark.parametrize(
    ("kind", "case"),
    [("bert", "soft"), ("bert", "adapter"), ("albert", "top"), ("deberta-v2", "encoder")],
)
def test_a_graph_computes_what_python_does(
    kind: str, case: str, build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    """Whole encoders, layers beside the shared ones, and parts between them, where the graph learns the task as it runs."""
    model = of_case(build_sharing, kind, case, dropout=True)
    scatter(model)
    gradients_of, batch = step_of(model).gradients_of, batch_of(1)
    plain, traced = gradients_of(batch), tf.function(gradients_of, autograph=False)(batch)
    np.testing.assert_allclose(traced[:3], plain[:3], rtol=1e-5)
    for variable, one, other in zip(model.trainable_variables, traced.gradients, plain.gradients, strict=True):
        one, other = tf.convert_to_tensor(one), tf.convert_to_tensor(other)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5, err_msg=variable.name)


@pytest.mark.parametrize("case", ["soft", "top"])
@pytest.mark.parametrize(("kind", "frozen"), [("roformer", 1), ("albert", 2)])
def test_copies_are_as_deep_as_what_they_copy(kind: str, frozen: int, case: str, build_sharing: Build) -> None:
    model = of_case(build_sharing, kind, case, step={"num_freezed_layers": frozen})
    stays = {variable.name for variable in step_of(model).frozen_variables}
    copies = [variable for task in range(3) for variable in model.sharing.private_variables(task)]
    layers = {variable.name for variable in copies if "layer_._" in variable.name}
    assert stays & layers and (stays >= layers) == (kind == "albert")
    assert not any(variable.name in stays for variable in copies if "embeddings" in variable.name)
    told = {id(variable) for variable, _ in model.sharing.private_depths()}
    others = [variable for variable in copies if id(variable) not in told]
    if case == "top":
        assert all("gate" in variable.name for variable in others)
    else:
        assert {id(variable) for variable in others} == {id(variable) for variable in model.encoder.trainable_variables}
    assert max(depth for _, depth in model.sharing.private_depths()) == 3


def test_soft_ties_alberts_layer_once_and_debertas_positions_with_its_embeddings(
    build_sharing: Build, batch_of: Batch, scatter: Callable[..., None]
) -> None:
    cases = {"albert": ("0=2", "encoder/layer_0/"), "deberta-v2": ("embeddings=2", "embeddings/|encoder/(rel|Layer)")}
    for kind, (parts, pattern) in cases.items():
        model = of_case(build_sharing, kind, "soft", soft_layers=parts, soft_weight=1.0)
        scatter(model)
        one, *others = (model.sharing.encoder_of(task).canonical_variables for task in range(3))
        names = [name for name in one if re.match(pattern, name)]
        expected = sum(((one[name] - other[name]).numpy() ** 2).sum() for other in others for name in names)
        np.testing.assert_allclose(model.sharing.penalty(0), expected, rtol=1e-5)
