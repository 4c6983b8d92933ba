"""pytorch_model.bin without PyTorch: exact values, and nothing in a file can run code or read outside its data."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from crafted_pickles import Call, Global, Pid, tensor, write_legacy, write_zip

from easytransfer_mtl.encoders.weight_files.torch_bin import read_torch_bin
from easytransfer_mtl.errors import UserError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "pytorch_bert"


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "expected.npz") as values:
        return {name.removeprefix("weights/"): values[name] for name in values.files if name.startswith("weights/")}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_state_dict_is_read_exactly(layout: str, expected: dict[str, np.ndarray]) -> None:
    assert_same(read_torch_bin(FIXTURES / layout / "pytorch_model.bin"), expected)


@pytest.mark.parametrize("name", ["float16.bin", "float16_legacy.bin"])
def test_float16_becomes_float32_exactly(name: str, expected: dict[str, np.ndarray]) -> None:
    halves = {key: array.astype(np.float16).astype(np.float32) for key, array in expected.items()}
    assert_same(read_torch_bin(FIXTURES / "half" / name), halves)


@pytest.mark.parametrize("name", ["bfloat16.bin", "bfloat16_legacy.bin"])
def test_bfloat16_becomes_float32_exactly(name: str, expected: dict[str, np.ndarray]) -> None:
    import ml_dtypes

    halves = {key: array.astype(ml_dtypes.bfloat16).astype(np.float32) for key, array in expected.items()}
    assert_same(read_torch_bin(FIXTURES / "half" / name), halves)


@pytest.mark.parametrize("name", ["zip.bin", "legacy.bin"])
def test_views_and_number_formats(name: str) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert_same(
        read_torch_bin(FIXTURES / "tricky" / name),
        {
            "whole": base,
            "transposed": base.T,
            "row": base[2],
            "column": base[:, 1],
            "inner": base[1:3, 2:5],
            "scalar": np.float32(2.5).reshape(()),
            "parameter": np.array([1, -1], np.float32),
            "float64": np.array([0.1]),
            "int64": np.arange(3).reshape(1, 3),
            "bool": np.array([True, False]),
        },
    )


WRITERS = [write_zip, write_legacy]


@pytest.mark.parametrize("write", WRITERS)
def test_crafted_file_with_a_proper_tensor_is_read(write: Callable[..., Path], tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4").tobytes()
    found = read_torch_bin(write(tmp_path / "w.bin", {"w": tensor(0, (2, 3), (3, 1))}, numbers=numbers))
    np.testing.assert_array_equal(found["w"], np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("write", WRITERS)
def test_a_memo_with_a_gap_needs_no_memory(write: Callable[..., Path], tmp_path: Path) -> None:
    far = b"\x80\x02}" + pickle.LONG_BINPUT + struct.pack("<I", 2**31 - 1) + b"."
    with pytest.raises(UserError, match="object 2147483647 is memorized after 2 operations"):
        read_torch_bin(write(tmp_path / "w.bin", far))


class RunsCommand:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("write", WRITERS)
def test_command_in_a_pickle_is_refused_and_not_run(write: Callable[..., Path], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = write(tmp_path / "w.bin", pickle.dumps({"w": RunsCommand(f"touch {trace}")}, 2))
    with pytest.raises(UserError, match=rf"asks for {os.system.__module__}\.system"):
        read_torch_bin(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("numpy", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch", "FloatStorage.__init__"),
        ("collections", "namedtuple"),
        ("easytransfer_mtl.files", "write_text"),
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_every_other_global_is_refused_by_name(write: Callable[..., Path], module: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"asks for {module}.{name}"):
        read_torch_bin(write(tmp_path / "w.bin", {"w": Call(Global(module, name), "1")}))


@pytest.mark.parametrize("write", WRITERS)
def test_pickle_cannot_change_what_the_next_file_gets(write: Callable[..., Path], tmp_path: Path) -> None:
    rebuild = pickle.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n"
    # BUILD with a pair sets attributes: here the default arguments of the stand-in.
    state = pickle.dumps((None, {"__defaults__": (1, 2, 3, 4)}), 2)[2:-1]
    with pytest.raises(UserError):
        read_torch_bin(write(tmp_path / "bad.bin", pickle.PROTO + b"\x02" + rebuild + state + pickle.BUILD + pickle.STOP))
    with pytest.raises(UserError, match="its pickle is broken"):
        read_torch_bin(write(tmp_path / "w.bin", {"w": Call(Global("torch._utils", "_rebuild_tensor_v2"))}))


@pytest.mark.parametrize(
    "offset, size, stride",
    [
        (1, (2, 3), (3, 1)),  # one number past the end
        (0, (2, 3), (4, 1)),
        (6, (1,), (1,)),
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2, 3), (3,)),
        (0, (7,), (0,)),  # repeats one number more often than the storage has numbers
        (0, (10**6, 10**6, 10**6), (0, 0, 0)),
        (2**62, (2,), (2**62,)),
        (0, (2**40,), (1,)),
        (0, (0, 2**62), (1, 1)),
        (0, (1,) * 40, (1,) * 40),
        (0.0, (2,), (1,)),
        (0, ("2",), (1,)),
        (0, 2, 1),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("write", WRITERS)
def test_tensor_that_leaves_its_storage_is_refused(
    write: Callable[..., Path], offset: object, size: object, stride: object, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="tensor 'w'"):
        read_torch_bin(write(tmp_path / "w.bin", {"w": tensor(offset, size, stride)}))


def test_stride_of_an_axis_of_length_one_is_ignored(tmp_path: Path) -> None:
    found = read_torch_bin(write_zip(tmp_path / "w.bin", {"w": tensor(0, (1, 6), (2**70, 1))}))
    assert found["w"].shape == (1, 6)


@pytest.mark.parametrize("numel, key", [(7, "0"), (-1, "0"), (6.0, "0"), (6, 0), (6, "1"), (6, "../data.pkl"), (2**60, "0")])
@pytest.mark.parametrize("write", WRITERS)
def test_storage_that_is_not_as_described_is_refused(
    write: Callable[..., Path], numel: object, key: object, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"w\.bin cannot be read"):
        read_torch_bin(write(tmp_path / "w.bin", {"w": tensor(0, (2,), (1,), numel, key)}))


def test_storage_described_in_two_ways_is_refused(tmp_path: Path) -> None:
    other = Call(
        Global("torch._utils", "_rebuild_tensor_v2"),
        Pid(("storage", Global("torch", "LongStorage"), "0", "cpu", 3)), 0, (3,), (1,), False, OrderedDict(),
    )  # fmt: skip
    with pytest.raises(UserError, match="described in two ways"):
        read_torch_bin(write_zip(tmp_path / "w.bin", {"v": tensor(0, (6,), (1,)), "w": other}))


def test_compressed_member_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "w.bin", {"w": tensor(0, (6,), (1,))}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="is compressed"):
        read_torch_bin(path)


def test_legacy_count_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    value = {"w": tensor(0, (6,), (1,), 2**40)}
    with pytest.raises(UserError, match="bytes, 24 are left in the file"):
        read_torch_bin(write_legacy(tmp_path / "w.bin", value, count=2**40))


@pytest.mark.parametrize("value", [[1, 2], {"model": {"w": 1}}, {"epoch": 3}, {1: 2}])
def test_other_content_than_a_state_dict_is_refused(value: object, tmp_path: Path) -> None:
    for path in (write_zip(tmp_path / "zip.bin", value), write_legacy(tmp_path / "legacy.bin", value, keys=())):
        with pytest.raises(UserError, match=r"not a (state dict|tensor)\. Save it with torch\.save"):
            read_torch_bin(path)


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_file_cut_anywhere_is_an_error_that_names_it(layout: str, tmp_path: Path) -> None:
    whole = (FIXTURES / layout / "pytorch_model.bin").read_bytes()
    path = tmp_path / "pytorch_model.bin"
    for length in [*range(0, 40), *range(40, len(whole), 487), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="pytorch_model.bin"):
            read_torch_bin(path)


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_flipped_bytes_never_raise_anything_else(layout: str, tmp_path: Path) -> None:
    whole = bytearray((FIXTURES / layout / "pytorch_model.bin").read_bytes())
    path = tmp_path / "pytorch_model.bin"
    random = np.random.default_rng(5)
    for _ in range(300):
        damaged = bytearray(whole)
        for position in random.integers(0, len(whole), 3):
            damaged[position] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_torch_bin(path)
        except UserError as error:
            assert "pytorch_model.bin" in str(error)


def test_neither_zip_nor_pickle(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match="neither a zip archive nor a pickle"):
        read_torch_bin(path)
    with pytest.raises(UserError, match="No such file"):
        read_torch_bin(tmp_path / "none.bin")


def test_reading_imports_neither_torch_nor_tensorflow() -> None:
    code = (
        "import sys; from easytransfer_mtl.encoders.weight_files import read_weights; "
        "[read_weights(path) for path in sys.argv[1:]]; print([m for m in ('torch', 'tensorflow') if m in sys.modules])"
    )
    paths = [str(FIXTURES / name) for name in ("zip", "legacy", "safetensors", "sharded_bin")]
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
