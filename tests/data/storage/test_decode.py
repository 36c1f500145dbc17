from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from data_builders import make_images, to_pil, to_png
from PIL import Image

from vsmooth.data.storage.decode import decode_images


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def name_of(index: int) -> str:
    return f"picture-{index}"


@pytest.mark.parametrize("channels", [1, 3])
def test_png_pixels_are_exact(channels: int, tmp_path: Path) -> None:
    images = make_images(5, channels)
    assert torch.equal(decode_images([to_png(image) for image in images], name_of), images)
    path = tmp_path / "x.png"
    path.write_bytes(to_png(images[0]))
    assert torch.equal(decode_images([path], name_of), images[:1])


def test_jpeg_is_close() -> None:
    image = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    decoded = decode_images([encode(to_pil(image), "JPEG")], name_of)
    assert (decoded.int() - 100).abs().max() <= 2


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_other_colour_modes_become_rgb(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    red = Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode)
    decoded = decode_images([encode(red, kind)], name_of)
    assert decoded.shape == (1, 3, 4, 4)
    assert decoded[0, :, 0, 0].tolist() == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize("mode", ["LA", "1"])
def test_grey_modes_stay_grey(mode: str) -> None:
    decoded = decode_images([encode(Image.new("L", (4, 4), 255).convert(mode))], name_of)
    assert decoded.shape == (1, 1, 4, 4)
    assert decoded.min() == 255


def test_sixteen_bits_are_refused() -> None:
    deep = encode(Image.new("I;16", (4, 4), 40000))
    with pytest.raises(ValueError, match=r"picture-0 has more than 8 bits per pixel \(mode I;16\)"):
        decode_images([deep], name_of)


def test_size_and_mode_must_agree() -> None:
    base = to_png(make_images(1, 3, 8)[0])
    with pytest.raises(ValueError, match="picture-2 is 9x9 RGB, but picture-0 is 8x8 RGB"):
        decode_images([base, base, to_png(make_images(1, 3, 9)[0])], name_of)
    with pytest.raises(ValueError, match=r"picture-1 is 8x8 grey, but .* one size and mode"):
        decode_images([base, to_png(make_images(1, 1, 8)[0])], name_of)


def test_every_truncation_names_the_image() -> None:
    whole = to_png(make_images(1, 3, 8)[0])
    for length in range(len(whole) - 20):
        with pytest.raises(ValueError, match="picture-1 cannot be read as an image"):
            decode_images([whole, whole[:length]], name_of)


def test_missing_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ModuleNotFoundError, match=r"decoding images needs PIL: pip install 'vsmooth\[lab\]'"):
        decode_images([b""], name_of)
