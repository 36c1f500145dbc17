"""Files of arrays whose headers do not tell the truth: refused before anything is reserved."""

from __future__ import annotations

import resource
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vsmooth.records.npz_files import read_array, read_arrays

NUMBERS = np.arange(12, dtype=np.float32).reshape(3, 4)


def npy_bytes(shape: str = "(3, 4)", descr: str = "'<f4'", data: bytes = NUMBERS.tobytes(), version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header)) + header.encode() + data


def write_npz(path: Path, content: bytes, name: str = "logits.npy", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)
    return path


@pytest.fixture
def two_gigabytes() -> Iterator[None]:
    """No more than 2 GB of memory besides what the process has mapped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**31, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_what_numpy_writes_is_read(tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        arrays = {"logits": NUMBERS, "labels": np.arange(3), "none": np.zeros((0, 4)), "one": np.float64(2)}
        save(tmp_path / "a.npz", **arrays, turned=NUMBERS.T)
        found = read_arrays(tmp_path / "a.npz", "logits")
        assert {name: array.tolist() for name, array in found.items()} == {
            "logits": NUMBERS.tolist(), "labels": [0, 1, 2], "none": [], "one": 2.0, "turned": NUMBERS.T.tolist(),
        }
    np.save(tmp_path / "a.npy", NUMBERS)
    assert read_array(tmp_path / "a.npy", "votes").tolist() == NUMBERS.tolist()


HEADERS = [
    (npy_bytes("(1000000000000,)"), r"tells of float32 of shape \(1000000000000,\), but 48 bytes follow"),
    (npy_bytes("(400000000,)"), "but 48 bytes follow"),
    (npy_bytes(f"({10**400},)"), "tells of float32 of shape .*\\.\\.\\., but 48"),
    (npy_bytes(f"(0, {10**30})", data=b""), "int too large"),
    (npy_bytes("(-3, -4)"), r"shape \(-3, -4\)"),
    (npy_bytes("'abc'"), "shape is not valid"),
    (npy_bytes("(3, 5)"), "but 48 bytes follow"),
    (npy_bytes(data=NUMBERS.tobytes()[:-1]), "but 47 bytes follow"),
    (npy_bytes(descr="'|O'"), "it holds Python objects, not numbers"),
    (npy_bytes(descr="[('a', '|O')]"), "it holds Python objects, not numbers"),
    (npy_bytes(descr="'<f16'", shape="(3,)"), "it holds float128, not numbers"),
    (npy_bytes(descr="'<U4'", shape="(3,)"), "it holds <U4, not numbers"),
    (npy_bytes(descr="[('a', '<f4')]", shape="(12,)"), "not numbers"),
    (npy_bytes(descr="'<f4', " * 2000), "large|header"),
    (npy_bytes(descr="__import__('os')"), "malformed node"),
    (npy_bytes(descr="(" * 5000), "header|large"),
    (npy_bytes(version=9), "version"),
    (npy_bytes()[:20], "EOF"),
    (b"\x93NUMPY", "EOF"),
]


@pytest.mark.usefixtures("two_gigabytes")
@pytest.mark.parametrize(("content", "message"), HEADERS)
def test_hostile_headers(tmp_path: Path, content: bytes, message: str) -> None:
    packed = write_npz(tmp_path / "hostile.npz", content)
    with pytest.raises(ValueError, match=rf"hostile\.npz is not a readable npz of logits: .*({message})") as caught:
        read_arrays(packed, "logits")
    assert len(str(caught.value)) < 600
    bare = tmp_path / "hostile.npy"
    bare.write_bytes(content)
    with pytest.raises(ValueError, match=rf"hostile\.npy is not a readable npy file of votes: .*({message})"):
        read_array(bare, "votes")


@pytest.mark.usefixtures("two_gigabytes")
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("logits.npy", "w") as file:
        file.write(npy_bytes(f"({150 * 2**20},)", data=b""))
        for _ in range(600):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"bomb.npz is not a readable npz of logits: its .* bytes claim to hold 629,"):
        read_arrays(path, "logits")


def no_npy(path: Path) -> None:
    write_npz(path, b"some text", "readme.txt")


def encrypted(path: Path) -> None:
    content = bytearray(write_npz(path, npy_bytes()).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def unknown_compression(path: Path) -> None:
    content = bytearray(write_npz(path, npy_bytes()).read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 99
    path.write_bytes(content)


@pytest.mark.parametrize("make", [no_npy, encrypted, unknown_compression])
def test_other_archives(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "other.npz")
    with pytest.raises(ValueError, match=r"other\.npz is not a readable npz of logits: "):
        read_arrays(tmp_path / "other.npz", "logits")
