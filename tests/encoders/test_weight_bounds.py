"""Weight files that are made to take all memory or all time are read or refused with little of both."""

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from crafted_pickles import Global, Pid, crafted_pickle, tensor, write_legacy, write_zip
from limited import outcomes

from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import UserError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited by Linux's means")
ROOM_MB = 600
"""What a file of a few MB may take beyond the imports, thread stacks included."""


def nested(levels: int) -> tuple[Any, ...]:
    """Returns a tuple of the same tuple twice, and so on: 2^levels elements, each of which is hashed, compared, printed."""
    value: tuple[Any, ...] = ()
    for _ in range(levels):
        value = (value, value)
    return value


def deep(opening: bytes, closing: bytes, levels: int = 200_000) -> bytes:
    return b"\x80\x02" + opening * levels + closing * levels + b"."


def persistent(*parts: object) -> dict[str, Any]:
    return {"w": Pid(parts)}


def one_hash(number: int) -> bytes:
    """Returns a whole number for a pickle; they all have the hash 0."""
    value = (number * (2**61 - 1)).to_bytes(10, "little")
    return b"\x8a" + bytes([len(value)]) + value


FLOATS = Global("torch", "FloatStorage")
PICKLES: dict[str, Any] = {
    "key": b"\x80\x02}" + crafted_pickle(nested(200))[2:-1] + b"K\x01s.",
    "offset": {"w": tensor(nested(200), (2,), (1,))},
    "size": {"w": tensor(0, nested(200), (1, 1))},
    "stride": {"w": tensor(0, (1, 1), nested(200))},
    "size in size": {"w": tensor(0, (nested(200), 1), (1, 1))},
    "kind": persistent(nested(200), FLOATS, "0", "cpu", 6),
    "format": persistent("storage", nested(200), "0", "cpu", 6),
    "storage key": persistent("storage", FLOATS, nested(200), "cpu", 6),
    "location": persistent("storage", FLOATS, "0", nested(200), 6),
    "view": persistent("storage", FLOATS, "0", "cpu", 6, nested(200)),
    "persistent id": {"w": Pid((nested(200),) * 5)},
    "instead of a tensor": {"w": nested(200)},
    "instead of a dictionary": nested(200),
    "keys of one hash": b"\x80\x02}(" + b"".join(one_hash(number) + b"N" for number in range(100_000)) + b"u.",
    "deep lists": deep(b"(l", b"a"),
    "deep tuples": b"\x80\x02)" + b"\x85" * 400_000 + b".",
    "a long number": b"\x80\x02\x8b" + struct.pack("<i", 1 << 20) + b"\x01" * (1 << 20) + b".",
    "a number in 5000 digits": b"\x80\x02L" + b"9" * 5000 + b"L\n.",
    "a text longer than the file": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a.",
    "a text longer than memory": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"a.",
    "a frame longer than memory": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "many objects": b"\x80\x02" + b"}" * 2_000_000 + b".",
    "many marks": b"\x80\x02" + b"(" * 2_000_000 + b".",
    "a name that is half a character": b"\x80\x02}X\x03\x00\x00\x00\xed\xa0\x80K\x01s.",
    "no stack": b"\x80\x02s.",
    "no end": b"\x80\x02}",
}  # fmt: skip


def torch_files(folder: Path) -> list[Path]:
    paths = []
    for number, value in enumerate(PICKLES.values()):
        paths += [
            write_zip(folder / f"{number}.bin", value),
            write_legacy(folder / f"{number}_legacy.bin", value, [nested(200)] if number % 2 else ["0"]),
        ]
    return paths


def test_pickles_that_would_take_forever(tmp_path: Path) -> None:
    found = outcomes("easytransfer_mtl.encoders.weight_files", "read_weights", torch_files(tmp_path), ROOM_MB)
    assert all("PyTorch file" in line for line in found if line != "read")
    assert found.count("read") <= 2  # a location is not looked at


def write_views(path: Path) -> Path:
    """500 views of 4 MB, each in another order of the numbers than they are stored."""
    with zipfile.ZipFile(path, "w") as archive:
        views = {f"w{number}": tensor(0, (1024, 1024), (1, 1024), 1 << 20) for number in range(500)}
        archive.writestr("archive/data.pkl", crafted_pickle(views))
        archive.writestr("archive/data/0", bytes(4 << 20))
    return path


def write_overlapping(path: Path) -> Path:
    """200 members that are all the same 4 MB of the file."""
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        values = {f"w{n}": tensor(0, (1,), (1,), 1 << 20, str(n)) for n in range(200)}
        archive.writestr("archive/data.pkl", crafted_pickle(values))
        archive.writestr("archive/data/0", bytes(4 << 20))
        for number in range(1, 200):
            info = zipfile.ZipInfo(f"archive/data/{number}")
            same = archive.getinfo("archive/data/0")
            info.file_size = info.compress_size = same.file_size
            info.CRC, info.header_offset = same.CRC, same.header_offset
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
        archive._didModify = True  # type: ignore[attr-defined]
    path.write_bytes(plain.getvalue())
    return path


def test_one_block_of_numbers_seen_many_times(tmp_path: Path) -> None:
    paths = [write_views(tmp_path / "views.bin"), write_overlapping(tmp_path / "overlapping.bin")]
    found = outcomes("easytransfer_mtl.encoders.weight_files", "read_weights", paths, ROOM_MB)
    assert "unpacks to too many times its size" in found[0]
    assert "overlapping.bin cannot be read" in found[1]


def test_a_tied_weight_may_be_there_twice(tmp_path: Path) -> None:
    found = read_weights(write_zip(tmp_path / "w.bin", {name: tensor(0, (2, 3), (3, 1)) for name in "vw"})).arrays
    assert found.keys() == {"v", "w"}


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[Any], end: int, start: int = 0, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        safetensors_bytes({"w": entry([0, 2**62], 0)}),
        safetensors_bytes({"w": entry([0, 2**63], 0)}),
        safetensors_bytes({"w": entry([2**32, 2**32], 4)}, bytes(4)),
        safetensors_bytes({"w": entry([1] * 100, 4)}, bytes(4)),
        safetensors_bytes({"w": entry([-1], 4)}, bytes(4)),
        safetensors_bytes({"v": entry([1], 4), "w": entry([1], 4)}, bytes(4)),
        safetensors_bytes({"w": entry([2**40], 2**42)}, bytes(4)),
        safetensors_bytes(b"[" * 100_000),
        safetensors_bytes(b'{"w": ' + b"9" * 5000 + b"}"),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 50 << 20) + b"{" + b" " * (50 << 20),
    ],
    ids=range(11),
)
def test_safetensors_that_lie(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read"):
        read_weights(path)


def write_h5(path: Path, fill: Callable[[h5py.File, h5py.Group], None], names: tuple[str, ...] = ("w:0",)) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["bert"]
        group = file.create_group("bert")
        group.attrs["weight_names"] = list(names)
        fill(file, group)
    return path


def packed_part(_file: h5py.File, group: h5py.Group) -> None:
    """A part of 400 bytes that is packed from 1 GB."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(16 << 20)) for _ in range(64)) + packer.flush()
    data = group.create_dataset("w:0", (1000,), "f4", chunks=(100,), compression="gzip")
    data.id.write_direct_chunk((0,), packed)


def product_of_2_to_64(_file: h5py.File, group: h5py.Group) -> None:
    group.create_dataset("w:0", (2**32, 2**32), "f4")


def large_parts(_file: h5py.File, group: h5py.Group) -> None:
    data = group.create_dataset("w:0", (1,), "f4", chunks=(1 << 29,), maxshape=(None,), compression="gzip")
    data.id.write_direct_chunk((0,), zlib.compress(bytes(4)))


def device(_file: h5py.File, group: h5py.Group) -> None:
    group["w:0"] = h5py.ExternalLink("/dev/zero", "w")


def circle(_file: h5py.File, group: h5py.Group) -> None:
    group["w:0"] = h5py.SoftLink("/bert/w:0")


def one_of_many_names(_file: h5py.File, group: h5py.Group) -> None:
    data = group.create_dataset("w:0", data=np.ones(1 << 20, np.float32))
    for number in range(500):
        group[f"v{number}"] = data


def write_empty_space(path: Path) -> Path:
    """A heap of texts whose free space has no length, where HDF5 turns in circles."""
    data = bytearray(write_h5(path, lambda _file, group: group.create_dataset("w:0", data=np.ones(3))).read_bytes())
    place = data.index(b"GCOL") + 16
    while (number := struct.unpack_from("<H", data, place)[0]) != 0:
        place += 16 + (struct.unpack_from("<Q", data, place + 8)[0] + 7) // 8 * 8
    assert number == 0
    struct.pack_into("<Q", data, place + 8, 0)
    path.write_bytes(data)
    return path


def test_h5_that_takes_more_than_it_says(tmp_path: Path) -> None:
    fills = (packed_part, product_of_2_to_64, large_parts, device, circle)
    paths = [write_h5(tmp_path / f"{fill.__name__}.h5", fill) for fill in fills]
    names = tuple(f"v{number}" for number in range(500))
    paths.append(write_h5(tmp_path / "many.h5", one_of_many_names, names))
    paths.append(write_empty_space(tmp_path / "space.h5"))
    found = outcomes("easytransfer_mtl.encoders.weight_files", "read_weights", paths, ROOM_MB)
    assert "read" not in found
    expected = ["a packed part is larger", "needs", "unpacks to too", "in another file", "in another file", "unpacks to too"]
    expected.append("a heap of texts in it is damaged")
    for part, line in zip(expected, found, strict=True):
        assert part in line


def test_h5_whose_name_says_that_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "tf_model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["bert"]
    content = bytearray(path.read_bytes())
    place = content.find(struct.pack("<IQI", 4, content.find(b"GCOL"), 1))  # length, heap and number of the text
    assert place > 0
    content[place : place + 4] = struct.pack("<I", 0xE0000000)
    path.write_bytes(content)
    code = (
        "import resource, sys\n"
        "from easytransfer_mtl.encoders.weight_files.h5_file import read_h5\n"
        "before = resource.getrlimit(resource.RLIMIT_AS)\n"
        "try:\n"
        "    read_h5(sys.argv[1])\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, resource.getrlimit(resource.RLIMIT_AS) == before)\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    told, kilobytes = done.stdout.splitlines()
    assert told == "UserError True" and int(kilobytes) < 600_000


def test_an_index_of_many_shards(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    for shard in ("a" * 5000, "none"):
        path.write_text(json.dumps({"weight_map": {f"w{number}": f"{shard}{number}" for number in range(50)}}))
        with pytest.raises(UserError, match="does not exist") as caught:
            read_weights(path)
        assert len(str(caught.value)) < 1000
