"""Every type of encoder, from every layout that it is published in, gives the outputs of the library that made the file."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from easytransfer_mtl.encoders.canonical_names import canonical_name
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import POOLER, Encoder
from easytransfer_mtl.encoders.kinds import KINDS, check_frozen_layers, check_precision, kind_of
from easytransfer_mtl.encoders.loading import load_config, load_encoder
from easytransfer_mtl.encoders.name_map import canonical_weights
from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import UserError

PYTORCH = Path(__file__).parents[1] / "fixtures" / "pytorch_variants"
FILES = sorted(str(path.relative_to(PYTORCH)) for path in PYTORCH.glob("*/*") if path.suffix in (".safetensors", ".bin"))


def load(folder: Path, **options: Any) -> Encoder:
    return load_encoder(find_encoder(str(folder)), DropoutClock(options.pop("seed", 0)), **options).encoder


def copy(source: Path, target: Path, **changes: Any) -> Path:
    """Copies an encoder's folder, changing its config."""
    shutil.copytree(source, target)
    value = {**json.loads((source / "config.json").read_text(encoding="utf-8")), **changes}
    (target / "config.json").write_text(json.dumps(value), encoding="utf-8")
    return target


@pytest.mark.parametrize("layout", ["h5", "safetensors"])
def test_tensorflow_folder_gives_transformers_outputs(layout: str, saved_type: Any, rows: Any) -> None:
    encoder, expected = load(saved_type.folder / layout), rows.outputs(saved_type.model)
    assert encoder.config.model_type == saved_type.model_type
    sequence, pooled = encoder.encode(*rows)
    np.testing.assert_allclose(sequence, expected.last_hidden_state, atol=1e-5)
    np.testing.assert_allclose(encoder.pooled_output(*rows), pooled, atol=1e-5)
    if kind_of(encoder.config).has_pooler:
        np.testing.assert_allclose(pooled, expected.pooler_output, atol=1e-5)
    else:
        kernel, bias = encoder.pooler_variables
        np.testing.assert_allclose(pooled, np.tanh(sequence[:, 0] @ kernel + bias), atol=1e-5)
    for found, states in zip(encoder.hidden_states(*rows), expected.hidden_states, strict=True):
        np.testing.assert_allclose(found, states, atol=1e-5)


@pytest.mark.parametrize("file", FILES)
def test_pytorch_checkpoint_gives_pytorch_outputs(file: str, tmp_path: Path) -> None:
    variant, weights = file.split("/")
    for name in ("config.json", weights):
        shutil.copyfile(PYTORCH / variant / name, tmp_path / name)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    lacks_pooler = weights.endswith(".bin") and "roberta" in variant  # transformers leaves it out below these heads
    encoder = load(tmp_path, random_pooler=lacks_pooler)
    with np.load(PYTORCH / variant / "expected.npz") as values:
        names = ("input_ids", "attention_mask", "token_type_ids")
        inputs = [values[f"inputs/{name}"].astype(np.int32) for name in names]
        sequence, pooled = encoder.encode(*map(tf.constant, inputs))
        last = max(name for name in values.files if name.startswith("hidden_"))
        # What an encoder makes of padding is nobody's business.
        tokens = inputs[1] == 1
        np.testing.assert_allclose(sequence.numpy()[tokens], values[last][tokens], atol=1e-5)
        if "pooler_output" in values and not lacks_pooler:
            np.testing.assert_allclose(pooled, values["pooler_output"], atol=1e-5)
    assert ("pooler_output" in np.load(PYTORCH / variant / "expected.npz")) == kind_of(encoder.config).has_pooler


def write_tf1(prefix: Path, arrays: dict[str, np.ndarray]) -> None:
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )


def google_albert_name(name: str) -> str:
    """Returns Google's name of an ALBERT weight."""
    layer = "bert/encoder/transformer/group_0/inner_group_0"
    parts = {
        "attention/self": f"{layer}/attention_1/self",
        "attention/output/dense": f"{layer}/attention_1/output/dense",
        "attention/output/LayerNorm": f"{layer}/LayerNorm",
        "intermediate/dense": f"{layer}/ffn_1/intermediate/dense",
        "output/dense": f"{layer}/ffn_1/intermediate/output/dense",
        "output/LayerNorm": f"{layer}/LayerNorm_1",
    }
    if name.startswith("encoder/layer_0/"):
        name = name.removeprefix("encoder/layer_0/")
        return next(f"{new}{name[len(old) :]}" for old, new in parts.items() if name.startswith(f"{old}/"))
    return "bert/" + name.replace("embeddings/projection", "encoder/embedding_hidden_mapping_in")


def google_electra_name(name: str) -> str:
    """Returns Google's name of an ELECTRA weight."""
    return "electra/" + name.replace("embeddings/projection", "embeddings_project")


TF1_NAMES = {"albert": google_albert_name, "electra": google_electra_name, "roformer": lambda name: f"bert/{name}"}
OTHERS = {
    "albert": ["cls/predictions/output_bias", "cls/seq_relationship/output_weights", "global_step"],
    "electra": [
        "discriminator_predictions/dense_1/kernel", "generator/encoder/layer_0/output/dense/kernel", "global_step",
        "generator_predictions/output_bias", "temperature", "electra/embeddings/word_embeddings/adam_m",
    ],
    "roformer": ["cls/predictions/output_bias"],
}  # fmt: skip


def test_tf1_checkpoint_gives_the_same_outputs(saved_type: Any, rows: Any, tmp_path: Path) -> None:
    if saved_type.model_type not in TF1_NAMES:
        pytest.skip("not published in this layout")
    encoder = load(saved_type.folder / "safetensors", gelu="tanh")
    rename = TF1_NAMES[saved_type.model_type]
    arrays = {rename(name): variable.numpy() for name, variable in encoder.canonical_variables.items()}
    if not KINDS[saved_type.model_type].has_pooler:
        arrays = {name: array for name, array in arrays.items() if "pooler" not in name}
    arrays |= {name: np.ones(3, np.float32) for name in OTHERS[saved_type.model_type]}
    write_tf1(tmp_path / "model.ckpt-best", arrays)
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(saved_type.folder / "safetensors" / name, tmp_path / name)
    for found, expected in zip(load(tmp_path, gelu="tanh").encode(*rows), encoder.encode(*rows), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_folder_with_albert_zhs_names_loads(saved_type: Any, rows: Any, tmp_path: Path) -> None:
    if saved_type.model_type != "albert":
        pytest.skip("has no such names")
    encoder = load(saved_type.folder / "safetensors", gelu="tanh")
    arrays = {google_albert_name(name): variable.numpy() for name, variable in encoder.canonical_variables.items()}
    write_tf1(tmp_path / "albert_model.ckpt", arrays)
    value = json.loads((saved_type.folder / "safetensors" / "config.json").read_text(encoding="utf-8"))
    for key in ("model_type", "architectures", "transformers_version"):
        value.pop(key, None)
    (tmp_path / "albert_config_tiny_g.json").write_text(json.dumps(value), encoding="utf-8")
    shutil.copyfile(saved_type.folder / "safetensors" / "vocab.txt", tmp_path / "vocab.txt")
    for place in (tmp_path, tmp_path / "albert_model.ckpt"):
        for found, expected in zip(load(place, gelu="tanh").encode(*rows), encoder.encode(*rows), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_config_without_model_type_is_googles_bert_or_albert(saved_type: Any, tmp_path: Path) -> None:
    if saved_type.model_type not in ("bert", "albert"):
        pytest.skip("names its type")
    value = json.loads((saved_type.folder / "h5" / "config.json").read_text(encoding="utf-8"))
    del value["model_type"]
    (tmp_path / f"{saved_type.model_type}_config.json").write_text(json.dumps(value), encoding="utf-8")
    assert load_config(find_encoder(str(tmp_path))).model_type == saved_type.model_type


def test_googles_activation_of_an_albert_is_not_replaced(saved_type: Any, tmp_path: Path) -> None:
    if saved_type.model_type != "albert":
        pytest.skip("is")
    (tmp_path / "model.ckpt.index").touch()
    for configured, expected in (("relu", "relu"), ("gelu", "gelu_new"), ("gelu_new", "gelu_new")):
        folder = copy(saved_type.folder / "h5", tmp_path / configured, hidden_act=configured)
        (folder / "tf_model.h5").unlink()
        (folder / "model.ckpt.index").touch()
        assert load_config(find_encoder(str(folder))).hidden_act == expected
        assert load_config(find_encoder(str(folder)), "exact").hidden_act == "gelu"


def test_pooler_that_no_published_checkpoint_has_is_drawn(saved_type: Any, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved_type.folder / "safetensors"
    with caplog.at_level(logging.INFO):
        one, same, other = (load(folder, seed=seed) for seed in (1, 1, 2))
    drawn = [record for record in caplog.records if "pooler" in record.getMessage()]
    assert len(drawn) == (0 if KINDS[saved_type.model_type].has_pooler else 3)
    kernels = [encoder.pooler_variables[0].numpy() for encoder in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.array_equal(kernels[0], kernels[2]) == KINDS[saved_type.model_type].has_pooler


def test_missing_and_left_over_weights_are_named(saved_type: Any, tmp_path: Path) -> None:
    folder = copy(saved_type.folder / "safetensors", tmp_path / "broken")
    arrays = load_file(folder / "model.safetensors")
    removed = next(name for name in arrays if "LayerNorm/beta" in name)
    pooler = [name for name in arrays if "pooler" in name]
    arrays = {name: array for name, array in arrays.items() if name not in (removed, *pooler)}
    save_file({**arrays, "adapter/kernel:0": np.ones(1, np.float32)}, folder / "model.safetensors", {"format": "tf"})
    with pytest.raises(UserError) as error:
        load(folder)
    text = str(error.value)
    assert str(canonical_name(removed)) in text and "left over (1): adapter/kernel:0" in text
    assert ("--random_pooler" in text) == bool(pooler) == KINDS[saved_type.model_type].has_pooler
    assert (POOLER[0] in text) == bool(pooler)


def test_every_file_weight_has_one_canonical_name(saved_type: Any) -> None:
    layouts = [canonical_weights(read_weights(saved_type.folder / layout)) for layout in ("h5", "safetensors")]
    assert layouts[0].encoder.keys() == layouts[1].encoder.keys() and layouts[0].left_over == ()
    assert len(layouts[0].encoder) == len(saved_type.model.weights)


def test_depths_and_parts_of_every_variable(saved_type: Any) -> None:
    encoder = load(saved_type.folder / "h5", random_init=True)
    layers = encoder.config.num_hidden_layers
    depths = {name: encoder.depth_of(variable) for name, variable in encoder.canonical_variables.items()}
    assert {id(v) for v in encoder.canonical_variables.values()} == {id(v) for v in encoder.trainable_variables}
    assert depths["embeddings/word_embeddings"] == 0 and depths["pooler/dense/bias"] == layers + 1
    assert encoder.word_embeddings.shape[0] == 25
    assert [tuple(variable.shape) for variable in encoder.pooler_variables] == [(8, 8), (8,)]
    own = {name for name, depth in depths.items() if depth == layers}
    if saved_type.model_type == "albert":
        assert own == {name for name in depths if name.startswith("encoder/layer_0/")}
        assert set(depths.values()) == {0, layers, layers + 1}
    else:
        assert own == {name for name in depths if name.startswith(f"encoder/layer_{layers - 1}/")}
        assert set(depths.values()) == set(range(layers + 2))
    assert {id(v) for v in encoder.last_layer_variables} == {id(encoder.canonical_variables[name]) for name in own}


def test_what_a_type_cannot_do_is_refused(saved_type: Any) -> None:
    config = load_config(find_encoder(str(saved_type.folder / "h5")))
    check_precision(config, "float32")
    if saved_type.model_type.startswith("deberta"):
        with pytest.raises(UserError, match="bfloat16 does not work with model_type deberta"):
            check_precision(config, "bfloat16")
    else:
        check_precision(config, "bfloat16")
    for number in (0, config.num_hidden_layers):
        check_frozen_layers(config, number)
    with pytest.raises(UserError, match=f"the encoder has {config.num_hidden_layers} layers"):
        check_frozen_layers(config, config.num_hidden_layers + 1)
    if saved_type.model_type == "albert":
        with pytest.raises(UserError, match="all . layers of model_type albert are one"):
            check_frozen_layers(config, 1)
    else:
        check_frozen_layers(config, 1)


def test_ernies_task_types_must_be_there_where_the_config_says_so(tmp_path: Path) -> None:
    folder = copy(PYTORCH / "ernie", tmp_path / "ernie")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    arrays = load_file(folder / "model.safetensors")
    types = arrays.pop("embeddings.task_type_embeddings.weight")
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="has no embeddings/task_type_embeddings"):
        load(folder)
    without = load(copy(folder, tmp_path / "without", use_task_id=False))
    folded = load(copy(folder, tmp_path / "bert", model_type="bert"))  # a BERT that went on from ERNIE
    np.testing.assert_array_equal(*(e.canonical_variables["embeddings/token_type_embeddings"] for e in (without, folded)))
    save_file({**arrays, "embeddings.task_type_embeddings.weight": types}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="left over.*task_type_embeddings"):
        load(copy(folder, tmp_path / "unasked", use_task_id=False))
    config = load(folder).config
    assert config.model_type == "bert" and not hasattr(config, "use_task_id")


def test_roformers_positions_must_be_the_sines(tmp_path: Path) -> None:
    folder = copy(PYTORCH / "roformer", tmp_path / "roformer")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    arrays = load_file(folder / "model.safetensors")
    arrays["encoder.embed_positions.weight"] += 0.1
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="embed_positions is not the table of sines"):
        load(folder)
