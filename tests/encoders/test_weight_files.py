"""Weights from every layout: exact values, the choice in a folder, and errors that name the file."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from easytransfer_mtl.encoders.weight_files import find_weights, read_weights
from easytransfer_mtl.encoders.weight_files.h5_file import read_h5
from easytransfer_mtl.encoders.weight_files.safetensors_file import read_safetensors
from easytransfer_mtl.encoders.weight_files.sharded import read_sharded
from easytransfer_mtl.encoders.weight_files.tf1_checkpoint import is_optimizer_state, read_tf1_checkpoint
from easytransfer_mtl.errors import UserError

PYTORCH = Path(__file__).parents[1] / "fixtures" / "pytorch_bert"
TF1 = Path(__file__).parents[1] / "golden" / "checkpoint" / "pai-bert-tiny-zh" / "model.ckpt"


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(PYTORCH / "expected.npz") as values:
        return {name.removeprefix("weights/"): values[name] for name in values.files if name.startswith("weights/")}


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, np.ndarray]]]:
    """Tiny TensorFlow models saved by transformers in all its ways, and their arrays by Keras name."""
    from transformers import BertConfig, TFBertForPreTraining, TFBertModel

    folder = tmp_path_factory.mktemp("hugging_face")
    config = BertConfig(
        vocab_size=24, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    arrays = {}
    for name, model_class in (("base", TFBertModel), ("pretraining", TFBertForPreTraining)):
        model = model_class(config)
        model(model.dummy_inputs)
        model.save_pretrained(folder / f"{name}_h5")
        model.save_pretrained(folder / f"{name}_safetensors", safe_serialization=True)
        model.save_pretrained(folder / f"{name}_sharded_h5", max_shard_size="3KB")
        model.save_pretrained(folder / f"{name}_sharded_safetensors", max_shard_size="3KB", safe_serialization=True)
        arrays[name] = {weight.name: weight.numpy() for weight in model.weights}
    return folder, arrays


@pytest.mark.parametrize(
    "folder, file, file_format",
    [
        ("safetensors", "model.safetensors", "safetensors"),
        ("sharded_safetensors", "model.safetensors.index.json", "safetensors"),
        ("zip", "pytorch_model.bin", "torch"),
        ("legacy", "pytorch_model.bin", "torch"),
        ("sharded_bin", "pytorch_model.bin.index.json", "torch"),
    ],
)
def test_pytorch_layouts(folder: str, file: str, file_format: str, expected: dict[str, np.ndarray]) -> None:
    for location in (PYTORCH / folder, PYTORCH / folder / file, str(PYTORCH / folder)):
        weights = read_weights(location)
        assert (weights.path, weights.format) == (PYTORCH / folder / file, file_format)
        assert_same(weights.arrays, expected)


def test_safetensors_half_precision(expected: dict[str, np.ndarray]) -> None:
    import ml_dtypes

    for name, dtype in (("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)):
        halves = {key: array.astype(dtype).astype(np.float32) for key, array in expected.items()}
        assert_same(read_safetensors(PYTORCH / "half" / f"{name}.safetensors"), halves)


def test_safetensors_number_formats(tmp_path: Path) -> None:
    arrays = {str(np.dtype(code)): np.array([[0, 1]], code) for code in ("f8", "f4", "i8", "i4", "i2", "i1", "u1", "?")}
    arrays["scalar"] = np.array(3, np.float32)
    arrays["empty"] = np.zeros((0, 3), np.float32)
    save_file(arrays, tmp_path / "model.safetensors")
    assert_same(read_safetensors(tmp_path / "model.safetensors"), arrays)
    save_file({"w": np.zeros(2, np.uint64)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="'w' has the number format U64"):
        read_safetensors(tmp_path / "model.safetensors")


@pytest.mark.parametrize("model", ["base", "pretraining"])
@pytest.mark.parametrize("layout", ["h5", "safetensors", "sharded_h5", "sharded_safetensors"])
def test_hugging_face_tensorflow_layouts(model: str, layout: str, hugging_face: tuple) -> None:
    folder, arrays = hugging_face
    found = read_weights(folder / f"{model}_{layout}")
    assert found.format == layout.removeprefix("sharded_")
    # All but the single HDF5 file leave out the outermost scope.
    expected = arrays[model] if layout == "h5" else {name.partition("/")[2]: array for name, array in arrays[model].items()}
    assert_same(found.arrays, expected)


def test_h5_of_older_transformers_and_split_name_lists(tmp_path: Path) -> None:
    names = [f"tf_bert_model/bert/part_{i}/kernel:0" for i in range(5)]
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file.attrs["layer_names"] = [b"bert", b"dropout"]
        group = file.create_group("bert")
        group.attrs["weight_names0"] = [name.encode() for name in names[:3]]
        group.attrs["weight_names1"] = [name.encode() for name in names[3:]]
        for i, name in enumerate(names):
            group.create_dataset(name, data=np.full((2, 2), i, np.float16), compression="gzip")
        file.create_group("dropout").attrs["weight_names"] = []
    assert_same(read_h5(tmp_path / "tf_model.h5"), {name: np.full((2, 2), i, np.float32) for i, name in enumerate(names)})


def write_h5(path: Path, add_weight: Callable[[h5py.Group], object]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["bert"]
        group = file.create_group("bert")
        group.attrs["weight_names"] = ["w:0"]
        add_weight(group)
    return path


def test_h5_that_unpacks_to_much_more_than_its_size_is_refused(tmp_path: Path) -> None:
    def zeros(group: h5py.Group) -> None:
        group.create_dataset("w:0", data=np.zeros(17 << 20, np.float32), compression="gzip")

    path = write_h5(tmp_path / "w.h5", zeros)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="unpacks to too many times its size"):
        read_h5(path)


def test_h5_must_hold_its_own_data(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.zeros(3, np.float32)
    (tmp_path / "raw").write_bytes(bytes(12))
    layout = h5py.VirtualLayout((3,), np.float32)
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3,))

    def link(group: h5py.Group) -> None:
        group["w:0"] = h5py.ExternalLink("other.h5", "secret")

    def raw(group: h5py.Group) -> None:
        group.create_dataset("w:0", (3,), np.float32, external=[(str(tmp_path / "raw"), 0, 12)])

    def virtual(group: h5py.Group) -> None:
        group.create_virtual_dataset("w:0", layout)

    for add_weight in (link, raw, virtual):
        with pytest.raises(UserError, match="'w:0': its data is in another file"):
            read_h5(write_h5(tmp_path / "tf_model.h5", add_weight))


def test_h5_refuses_what_is_not_weights(tmp_path: Path) -> None:
    path = tmp_path / "tf_model.h5"
    with pytest.raises(UserError, match=r"needs 4000000000000 bytes, the file holds 0"):
        read_h5(write_h5(path, lambda group: group.create_dataset("w:0", (10**12,), np.float32)))
    with pytest.raises(UserError, match="number format object is not supported"):
        read_h5(write_h5(path, lambda group: group.create_dataset("w:0", data="text" * 100)))
    with pytest.raises(UserError, match="tf_model.h5 cannot be read"):
        read_h5(write_h5(path, lambda group: None))
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(UserError, match=r"not a Keras weights file.*\['images'\]"):
        read_h5(path)


def test_tf1_checkpoint_is_read_exactly() -> None:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(TF1))
    found = read_weights(TF1)
    assert (found.path, found.format) == (TF1, "tf1")
    assert_same(found.arrays, {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})
    assert len(found.arrays) == 46
    for end in ("index", "data-00000-of-00001"):
        assert find_weights(f"{TF1}.{end}") == (TF1, "tf1")


def write_tf1(prefix: Path, arrays: dict[str, np.ndarray]) -> Path:
    import tensorflow as tf

    names = list(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names),
        tensors=[tf.constant(array) for array in arrays.values()],
    )  # fmt: skip
    return prefix


OPTIMIZER_STATE = [
    "global_step",
    "beta1_power",
    "beta2_power_1",
    "bert_pre_trained_model/bert/pooler/dense/kernel/Adam",
    "bert_pre_trained_model/bert/pooler/dense/kernel/Adam_1",
    "tnews_dense/bias/AdamWeightDecayOptimizer",
    "bert/pooler/dense/kernel/adam_m",
    "bert/pooler/dense/kernel/adam_v",
    "bert/pooler/dense/bias/Adagrad",
    "bert/pooler/dense/bias/Adadelta_1",
    "bert/pooler/dense/bias/Momentum",
]


def test_optimizer_state_is_not_loaded(tmp_path: Path) -> None:
    kept = {
        "bert_pre_trained_model/bert/pooler/dense/bias": np.ones(3, np.float32),
        "adam_dense/bias": np.ones(2, np.float32),
    }
    half = {"half": np.ones(2, np.float16)}
    slots = {name: np.zeros(1, np.float32) for name in OPTIMIZER_STATE}
    prefix = write_tf1(tmp_path / "model.ckpt-5", kept | half | slots)
    assert_same(read_tf1_checkpoint(prefix), kept | {"half": np.ones(2, np.float32)})
    assert all(is_optimizer_state(name) for name in OPTIMIZER_STATE)


def test_tf2_object_checkpoint_is_refused(tmp_path: Path) -> None:
    prefix = write_tf1(tmp_path / "ckpt-1", {"model/w/.ATTRIBUTES/VARIABLE_VALUE": np.zeros(1, np.float32)})
    with pytest.raises(UserError, match="TensorFlow 2's object form"):
        read_weights(prefix)


def test_tf1_checkpoint_without_its_data(tmp_path: Path) -> None:
    shutil.copy(f"{TF1}.index", tmp_path / "model.ckpt.index")
    with pytest.raises(UserError, match=r"not complete.*found \['model.ckpt.index'\]"):
        read_weights(tmp_path)


def copy_all_layouts(folder: Path, hugging_face: Path) -> list[str]:
    """Fills ``folder`` with every layout and returns the names in the order of preference."""
    for source in ("safetensors", "zip"):
        shutil.copytree(PYTORCH / source, folder, dirs_exist_ok=True)
    shutil.copytree(hugging_face / "base_h5", folder, dirs_exist_ok=True)
    for end in ("index", "data-00000-of-00001"):
        shutil.copy(f"{TF1}.{end}", folder)
    names = ["model.safetensors", "tf_model.h5", "pytorch_model.bin"]
    for name in names:
        (folder / f"{name}.index.json").write_text("{}")
    return [f"{name}{end}" for name in names for end in ("", ".index.json")]


def test_preference_in_a_folder(tmp_path: Path, hugging_face: tuple) -> None:
    for name in copy_all_layouts(tmp_path, hugging_face[0]):
        assert find_weights(tmp_path)[0] == tmp_path / name
        (tmp_path / name).unlink()
    assert find_weights(tmp_path) == (tmp_path / "model.ckpt", "tf1")


def test_checkpoint_file_chooses_among_checkpoints(tmp_path: Path) -> None:
    for name in ("model.ckpt-0", "model.ckpt-37", "other_name.ckpt"):
        (tmp_path / f"{name}.index").touch()
    with pytest.raises(UserError, match="several checkpoints; give one of .*model.ckpt-0.*model.ckpt-37"):
        find_weights(tmp_path)
    for written in ("model.ckpt-37", "/home/somebody/run/model.ckpt-37", "other_name.ckpt"):
        state = f'model_checkpoint_path: "{written}"\nall_model_checkpoint_paths: "model.ckpt-0"\n'
        (tmp_path / "checkpoint").write_text(state)
        assert find_weights(tmp_path) == (tmp_path / written.split("/")[-1], "tf1")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"\n')
    (tmp_path / "model.ckpt-0.index").unlink()
    assert find_weights(tmp_path) == (tmp_path / "model.ckpt-37", "tf1")


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights\. Looked for: model\.safetensors.*Found: nothing"):
        find_weights(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"Found: \['notes\.txt'\]"):
        find_weights(tmp_path)
    with pytest.raises(UserError, match="format is not known from its name"):
        find_weights(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="do not exist"):
        find_weights(tmp_path / "none" / "model.ckpt")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
LEFT = {"is a git-lfs pointer": POINTER, "is a web page": b"\n<!DOCTYPE html><html>404</html>", "is empty": b""}


@pytest.mark.parametrize("what", LEFT)
@pytest.mark.parametrize("name", ["model.safetensors", "tf_model.h5", "pytorch_model.bin"])
def test_what_a_download_left_in_the_place_of_weights_is_named(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(LEFT[what])
    with pytest.raises(UserError, match=f"Weight file .*{name} {what}") as error:
        read_weights(tmp_path)
    assert "header" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("what", LEFT)
def test_in_the_place_of_a_shard_too(what: str, tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_bytes(LEFT[what])
    index = write_index(tmp_path, {"a": "model-1.safetensors"})
    with pytest.raises(UserError, match=f"model-1.safetensors {what}"):
        read_weights(index)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_a_file_of_another_format_is_told_by_its_first_bytes(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(start + b"0" * 99)
    with pytest.raises(UserError, match="it starts with b'.*of another format"):
        read_weights(tmp_path)


def write_index(folder: Path, weight_map: object) -> Path:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder / "model.safetensors.index.json"


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", "a/b", "a\\b", "C:w", "", ".", "..", "a\0b"])
def test_shard_outside_the_folder_is_refused(shard: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_file({"w": np.zeros(1, np.float32)}, tmp_path / "secret.safetensors")
    with pytest.raises(UserError, match="must be the name of a file in the index's own folder"):
        read_sharded(write_index(tmp_path / "model", {"w": shard}))


def test_shards_must_match_the_index(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shard .*a.safetensors does not exist"):
        read_sharded(write_index(tmp_path, {"w": "a.safetensors"}))
    save_file({"w": np.zeros(1, np.float32)}, tmp_path / "a.safetensors")
    save_file({"w": np.zeros(1, np.float32), "v": np.zeros(1, np.float32)}, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match=r"shard a.safetensors has no weight 'x' \(1 of 2 missing\)"):
        read_sharded(write_index(tmp_path, {"w": "a.safetensors", "x": "a.safetensors"}))
    with pytest.raises(UserError, match="'w' is in shard b.safetensors and in another one"):
        read_sharded(write_index(tmp_path, {"w": "a.safetensors", "v": "b.safetensors"}))
    for weight_map in ([], {}, {"w": 1}, None):
        with pytest.raises(UserError, match="expected"):
            read_sharded(write_index(tmp_path, weight_map))


def cut_points(length: int) -> list[int]:
    return sorted({0, 1, 8, 100, *range(0, length, max(1, length // 25)), length - 1})


def assert_cuts_are_user_errors(path: Path, location: Path) -> None:
    whole = path.read_bytes()
    for length in cut_points(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=location.name):
            read_weights(location)


def test_truncated_files(tmp_path: Path, hugging_face: tuple) -> None:
    copy_all_layouts(tmp_path, hugging_face[0])
    for name in ("model.safetensors", "tf_model.h5", "pytorch_model.bin"):
        assert_cuts_are_user_errors(tmp_path / name, tmp_path / name)


@pytest.mark.parametrize("end", ["index", "data-00000-of-00001"])
def test_truncated_tf1_checkpoint(end: str, tmp_path: Path) -> None:
    for each in ("index", "data-00000-of-00001"):
        shutil.copy(f"{TF1}.{each}", tmp_path)
        (tmp_path / f"model.ckpt.{each}").chmod(0o644)
    assert_cuts_are_user_errors(tmp_path / f"model.ckpt.{end}", tmp_path / "model.ckpt")


@pytest.mark.parametrize("name", ["model.safetensors", "tf_model.h5", "model.ckpt.index"])
def test_flipped_bytes_never_raise_anything_else(name: str, tmp_path: Path, hugging_face: tuple) -> None:
    copy_all_layouts(tmp_path, hugging_face[0])
    (tmp_path / name).chmod(0o644)
    whole = bytearray((tmp_path / name).read_bytes())
    random = np.random.default_rng(5)
    for _ in range(100):
        damaged = bytearray(whole)
        for position in random.integers(0, min(len(whole), 6000), 3):
            damaged[position] = random.integers(256)
        (tmp_path / name).write_bytes(damaged)
        try:
            read_weights(tmp_path / name)
        except UserError as error:
            assert name.removesuffix(".index") in str(error)


@pytest.mark.skipif(os.name != "posix", reason="such names are possible on POSIX only")
@pytest.mark.parametrize("name", ["a[1]", "a\\b", "a?*b"])
def test_a_tensorflow_1_checkpoint_may_lie_in_a_folder_that_looks_like_a_pattern(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(TF1.parent, tmp_path / name)
    for place in (folder, folder / "model.ckpt"):
        assert_same(read_weights(place).arrays, read_tf1_checkpoint(TF1))
