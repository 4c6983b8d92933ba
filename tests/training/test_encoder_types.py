"""A run of an encoder that is no BERT: train, evaluate, export, predict; and what its type cannot do, before anything."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from steps import step_of

from easytransfer_mtl.commands import evaluate, predict
from easytransfer_mtl.config.predict_settings import EvaluateSettings, PredictSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.kinds import KINDS
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import read_json
from easytransfer_mtl.training.trainer import run_training

CHANGES = {
    "albert": {"embedding_size": 4, "num_hidden_layers": 3, "hidden_dropout_prob": 0.1},
    "electra": {"embedding_size": 4},
    "roformer": {"embedding_size": 8},
    "deberta-v2": {
        "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False, "type_vocab_size": 0,
        "position_buckets": 4, "share_att_key": True, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3,
        "num_hidden_layers": 1,
    },
}  # fmt: skip
PRIVATE = {"sharing": "shared_private"}


@pytest.fixture
def typed_settings(tiny_encoder: Path, tiny_settings: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Builds settings of a run from random weights of a type."""

    def build(model_type: str, **changes: Any) -> Any:
        folder = tmp_path / model_type
        if not folder.exists():
            shutil.copytree(tiny_encoder, folder)
            value = {**read_json(folder / "config.json"), "model_type": model_type, **CHANGES[model_type]}
            (folder / "config.json").write_text(json.dumps(value), encoding="utf-8")
        return tiny_settings(pretrain_model_name_or_path=str(folder), learning_rate=1e-2, **changes)

    return build


@pytest.mark.parametrize("model_type, runs", [("albert", 1), ("electra", 2), ("roformer", 1), ("deberta-v2", 1)])
def test_run_repeats_bit_for_bit_and_its_best_model_stands_alone(
    model_type: str, runs: int, typed_settings: Callable[..., Any], tiny_data: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / str(number) for number in range(runs)]
    models = [run_training(typed_settings(model_type, model_dir=str(folder))).model for folder in folders]
    for variables in zip(*(model.trainable_variables for model in models), strict=True):
        np.testing.assert_array_equal(variables[0], variables[-1], err_msg=variables[0].name)
    assert read_json(folders[0] / "config.json")["model_type"] == model_type

    settings = EvaluateSettings(model_dir=str(folders[0]), predict_input_fp=str(tiny_data / "dev.list_tfrecord"))
    assert evaluate.run(settings) == 0
    best = folders[0] / "best"
    assert read_json(best / "config.json")["architectures"] == [KINDS[model_type].torch_class]
    (tmp_path / "test.csv").write_text("0\t天地人\n1\t日月\n", encoding="utf-8")
    settings = PredictSettings(
        predict_checkpoint_path=str(best),
        predict_input_fp=f"TNEWS={tmp_path / 'test.csv'}",
        predict_output_fp=str(tmp_path / "out"),
    )
    assert predict.run(settings) == 0
    lines = (tmp_path / "out" / "tnews_predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 and all(0 < float(value) < 1 for line in lines[1:] for value in line.split(",")[2:-1])


def test_stopped_run_goes_on_to_the_same_weights(typed_settings: Callable[..., Any], tmp_path: Path) -> None:
    """From its first step, so that nearly all of the run is repeated too."""
    whole = run_training(typed_settings("albert", model_dir=str(tmp_path / "whole"), save_steps=1)).model
    stopped = shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    for path in stopped.glob("model.ckpt-[2-6]*"):
        path.unlink()
    resumed = run_training(typed_settings("albert", model_dir=str(stopped), save_steps=1)).model
    for one, two in zip(whole.trainable_variables, resumed.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.name)


GRAM = {"step_mode": "joint", "loss_weighting": "mgda"}


@pytest.mark.parametrize("model_type, frozen", [("albert", 3), ("electra", 1)])
def test_frozen_layers_stay_and_the_rest_moves(model_type: str, frozen: int, typed_settings: Callable[..., Any]) -> None:
    """In joint steps whose Gram matrix is the pooler's."""
    settings = typed_settings(model_type, num_freezed_layers=frozen, gram_variables="pooler", **GRAM)
    model = run_training(settings).model
    encoder = model.encoder
    assert {id(v) for v in step_of(model).gram_variables} == {id(v) for v in encoder.pooler_variables}
    files = find_encoder(settings.pretrain_model_name_or_path)
    start = load_encoder(files, DropoutClock(settings.seed), random_init=True).encoder.canonical_variables
    stayed = {id(variable) for variable in step_of(model).frozen_variables}
    assert stayed
    for name, variable in encoder.canonical_variables.items():
        stands = np.array_equal(variable, start[name])
        # The softmax takes keys' biases out, so that they may stand without being frozen.
        assert stands == (id(variable) in stayed) or stands and "/key/bias" in name, name


def test_gram_matrix_of_the_last_layer(typed_settings: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="all layers of model_type albert are one; set --gram_variables=pooler"):
        run_training(typed_settings("albert", gram_variables="last_layer", **GRAM))
    model = run_training(typed_settings("electra", gram_variables="last_layer", **GRAM)).model
    assert {id(v) for v in step_of(model).gram_variables} == {id(v) for v in model.encoder.last_layer_variables}


@pytest.mark.parametrize(
    "model_type, changes, message",
    [
        ("albert", {"num_freezed_layers": 1}, "all 3 layers of model_type albert are one"),
        ("albert", {"num_freezed_layers": 4}, "the encoder has 3 layers"),
        ("albert", {"sharing": "soft", "soft_layers": "0-2"}, "the layers 0 to 0, and pooler"),
        ("roformer", {**PRIVATE, "private_part": "encoder", "private_width": 7}, "RoFormer's heads have an even width"),
        ("deberta-v2", {**PRIVATE, "private_layers": 1}, "private_part top works with layers like BERT's only"),
        (
            "deberta-v2",
            {**PRIVATE, "private_part": "adapter", "private_layers": 0},
            "set --private_part=encoder, or another",
        ),
        ("deberta-v2", {"precision": "bfloat16"}, "bfloat16 does not work with model_type deberta-v2"),
        ("deberta-v2", {"predict_precision": "bfloat16"}, "bfloat16 does not work with model_type deberta-v2"),
    ],
)
def test_what_a_type_cannot_do_is_refused_before_anything_is_written(
    model_type: str, changes: dict[str, Any], message: str, typed_settings: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run_training(typed_settings(model_type, **changes))
    assert not (tmp_path / "run").exists()
