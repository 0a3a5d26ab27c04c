"""Every encoder takes only the pixels of its preprocessing, and `embed_images` makes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from entry_points import install
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from vectors import are_unit_rows

from mm_milvus import embed_images, load_encoder
from mm_milvus.encoders.base import Encoder
from mm_milvus.errors import EncoderError, ImageError, OptionError, SourceError
from mm_milvus.exporting.export import export
from mm_milvus.images.load import ImageLike
from mm_milvus.search.query import encode_image
from plain_encoder import PlainEncoder

KINDS = ("compact", "clip", "dual", "exported", "entry point", "plain")
ORIENTATION = 0x0112
DTYPES = ("uint8", "int8", "uint16", "int64", "float32", "bool")


@pytest.fixture(scope="module", params=KINDS)
def encoder(
    request: pytest.FixtureRequest,
    model_folder: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Encoder]:
    """An encoder of each kind."""
    folder = tmp_path_factory.mktemp("encoder")
    with pytest.MonkeyPatch.context() as patch:
        match request.param:
            case "plain":
                yield PlainEncoder()
            case "entry point":
                patch.syspath_prepend(folder)
                install(folder, "acme_pixels", {"acme-pixels": "acme_pixels:Acme"})
                yield load_encoder("acme-pixels")
            case "exported":
                export("compact", folder / "compact", format="torchscript")
                yield load_encoder(str(folder / "compact"), batch_size=3)
            case "compact":
                yield load_encoder("compact", device="cpu", batch_size=3)
            case name:
                yield load_encoder(str(model_folder(name)), device="cpu", batch_size=3)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A picture without symmetry, taller than wide."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((210, 330), Image.Resampling.BICUBIC)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_only_uint8_pixels_of_the_right_shape_are_encoded(
    encoder: Encoder, data: st.DataObject
) -> None:
    height, width = encoder.spec.preprocessing.height, encoder.spec.preprocessing.width
    side = st.sampled_from([0, 1, 3, 4, height - 1, height, width + 1])
    shapes = st.lists(side, max_size=5).map(tuple)
    count = data.draw(st.integers(0, 2))
    right = (count, height, width, 3)
    shape = data.draw(st.one_of(st.just(right), st.permutations(right).map(tuple), shapes))
    dtype = data.draw(st.sampled_from(DTYPES))
    pixels = np.broadcast_to(np.zeros((), dtype), shape)
    if (shape[1:], len(shape), dtype) == ((height, width, 3), 4, "uint8"):
        assert are_unit_rows(encoder.encode_images(pixels), shape[0], encoder.spec.dim)
        return
    reason = rf"pixels must be uint8 \(n, {height}, {width}, 3\), not {dtype} .*`embed_images`"
    with pytest.raises(EncoderError, match=reason):
        encoder.encode_images(pixels)


@pytest.mark.parametrize("kind", ["PIL images", "arrays", "a tensor", "bytes", "nothing"])
def test_objects_other_than_arrays_are_rejected(
    encoder: Encoder, picture: Image.Image, kind: str
) -> None:
    height, width = encoder.spec.preprocessing.height, encoder.spec.preprocessing.width
    pixels = {
        "PIL images": [picture],
        "arrays": [np.zeros((height, width, 3), np.uint8)],
        "a tensor": torch.zeros(1, height, width, 3, dtype=torch.uint8),
        "bytes": bytes(height * width * 3),
        "nothing": [],
    }[kind]
    with pytest.raises(EncoderError, match=r"pixels must be uint8 .* not (list|Tensor|bytes);"):
        encoder.encode_images(pixels)


@pytest.fixture
def forms(picture: Image.Image, tmp_path: Path) -> dict[str, ImageLike]:
    """One picture in every form that is accepted, and as a JPEG that lies on its side."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    path = tmp_path / "a picture.png"
    path.write_bytes(file.getvalue())
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    sideways = picture.rotate(90, expand=True)
    sideways.save(turned, quality=95, exif=exif)
    return {
        "path": path,
        "string": str(path),
        "URI": f"file://{path}",
        "bytes": file.getvalue(),
        "PIL image": picture,
        "array": np.asarray(picture),
        "turned": turned,
        "sideways": sideways,
        "grey": np.asarray(picture.convert("L")),
    }


def test_images_of_every_form_have_the_vectors_of_a_search(
    encoder: Encoder, forms: dict[str, ImageLike]
) -> None:
    vectors = dict(zip(forms, embed_images(encoder, list(forms.values())), strict=True))
    assert are_unit_rows(np.stack(list(vectors.values())), len(forms), encoder.spec.dim)
    for name, image in forms.items():
        alone = embed_images(encoder, [image])
        np.testing.assert_array_equal(alone[0], encode_image(encoder, image))
        np.testing.assert_allclose(vectors[name], alone[0], atol=1e-5)
    for name in ("string", "URI", "bytes", "PIL image", "array"):
        np.testing.assert_allclose(vectors[name], vectors["path"], atol=1e-5)
    # Decoding turns a JPEG upright by its EXIF orientation.
    upright, sideways = (vectors["turned"] @ vectors[name] for name in ("path", "sideways"))
    assert upright > sideways or encoder.spec.dim == 2


def test_no_images_give_no_vectors(encoder: Encoder) -> None:
    assert embed_images(encoder, []).shape == (0, encoder.spec.dim)


def test_an_image_that_cannot_be_embedded_is_named(tmp_path: Path) -> None:
    encoder = PlainEncoder()
    fine = np.zeros((5, 5, 3), np.uint8)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png is not an image"):
        embed_images(encoder, [fine, broken])
    with pytest.raises(ImageError, match="image 1 is empty"):
        embed_images(encoder, [fine, b""])
    with pytest.raises(SourceError, match=r"nowhere\.png"):
        embed_images(encoder, [tmp_path / "nowhere.png"])
    for single in (str(broken), broken, b"bytes of a file"):
        with pytest.raises(OptionError, match="pass a list of images"):
            embed_images(encoder, single)


@pytest.mark.parametrize("name", ["compact", "no/such-model"])
def test_a_batch_size_below_one_is_rejected_before_a_model_is_loaded(name: str) -> None:
    with pytest.raises(OptionError, match="`batch_size` is 0, and must be at least 1"):
        load_encoder(name, batch_size=0)
