"""The gallery: one file without external resources, in which no text is taken for HTML."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from mm_milvus.errors import ImageError
from mm_milvus.render.gallery import write_gallery
from mm_milvus.search.hits import Hit, ListScore

RED = Image.new("RGB", (600, 300), (200, 30, 30))
EVIL = "</p><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;"


class Page(HTMLParser):
    """The tags, attributes and texts of a page."""

    def __init__(self, html):
        super().__init__()
        self.html, self.tags, self.attributes, self.texts = html, [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data):
        self.texts.append(data)

    def values(self, tag, name):
        return [value for *key, value in self.attributes if key == [tag, name]]


@pytest.fixture
def gallery(tmp_path):
    def write(hits, *, title="a red dress", query_image=None, load_image=lambda _: RED):
        path = tmp_path / "hits.html"
        write_gallery(path, hits, title=title, query_image=query_image, load_image=load_image)
        return Page(path.read_text(encoding="utf-8"))

    return write


def picture(uri):
    head, data = uri.split(",", 1)
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True))).convert("RGB")


def test_a_card_shows_all_fields_of_a_hit(gallery):
    hit = Hit(
        "dress/1",
        "photos/1.jpg",
        0.03279,
        "a long red dress",
        {"price": 39.5, "tags": ["sale", "née"], "size": {"eu": 42}, "new": True, "note": None},
        ListScore(0.3121, 2),
        ListScore(0.8, 1),
    )
    page = gallery([hit])
    for text in ("1", "0.0328", "a long red dress", "dress/1", "0.312 ", "#2", "0.800 ", "#1"):
        assert text in page.texts
    for text in ("price", "39.5", '["sale", "née"]', '{"eu": 42}', "true", "null"):
        assert text in page.texts
    assert page.values("img", "alt") == ["a long red dress"]
    assert {"details", "summary"} <= {*page.tags}


def test_the_query_is_on_top_and_the_cards_are_in_order(gallery):
    blue = Image.new("RGB", (40, 40), (20, 40, 220))
    page = gallery([Hit("first", "1", 0.9), Hit("second", "2", 0.8)], query_image=blue)
    assert page.texts.index("a red dress") < page.texts.index("first")
    assert page.texts.index("first") < page.texts.index("second")
    query, *hits = (picture(uri) for uri in page.values("img", "src"))
    assert query.getpixel((20, 20)) == (20, 40, 220)
    assert len(hits) == 2


def test_pictures_are_thumbnails_of_the_same_aspect_ratio_and_colour(gallery):
    page = gallery([Hit("a", "a", 0.9)])
    thumbnail = picture(page.values("img", "src")[0])
    assert thumbnail.size == (256, 128)
    assert all(
        abs(got - want) < 12
        for got, want in zip(thumbnail.getpixel((128, 64)), (200, 30, 30), strict=True)
    )


def test_small_pictures_are_kept_exactly(gallery):
    emoji = Image.effect_noise((64, 64), 90).convert("RGB")
    page = gallery([Hit("a", "a", 0.9)], load_image=lambda _: emoji)
    assert picture(page.values("img", "src")[0]).tobytes() == emoji.tobytes()


def test_transparency_is_put_on_white(gallery):
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    page = gallery([Hit("a", "a", 0.9)], load_image=lambda _: clear)
    assert picture(page.values("img", "src")[0]).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_pictures_of_every_mode_are_shown(gallery, mode):
    image = Image.new(mode, (300, 10))
    page = gallery([Hit("a", "a", 0.9)], load_image=lambda _: image, query_image=image)
    assert len(page.values("img", "src")) == 2


def test_a_page_has_no_external_resources_and_no_scripts(gallery):
    hits = [Hit("a", "https://shop.example/a.jpg", 0.9, "x", {"link": "https://shop.example"})]
    page = gallery(hits, query_image=RED)
    assert not {"script", "link", "iframe", "object", "base", "a"} & {*page.tags}
    names = {name for _, name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | ({"href", "srcset"} & names)
    assert all(uri.startswith("data:") for uri in page.values("img", "src"))
    assert not re.search(r"url\(|@import", page.html)
    assert "default-src 'none'" in " ".join(page.values("meta", "content"))


def test_html_in_texts_is_escaped(gallery):
    hit = Hit(EVIL, EVIL, 0.9, EVIL, {EVIL: EVIL, "list": [EVIL]})

    def refuse(_):
        raise ImageError(EVIL)

    tame = gallery([Hit("a", "a", 0.9, "b", {"c": "d", "list": ["e"]})], load_image=refuse)
    page = gallery([hit], title=EVIL, load_image=refuse)
    assert page.tags == tame.tags
    assert [tuple(names) for *names, _ in page.attributes] == [
        tuple(names) for *names, _ in tame.attributes
    ]
    assert page.texts.count(EVIL) == 7
    shown = gallery([hit], title=EVIL, query_image=RED)
    assert shown.values("img", "alt") == [EVIL, EVIL]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ImageError("is cut off at 3,120 bytes"), "is cut off at 3,120 bytes"),
        (FileNotFoundError(2, "No such file", "a.jpg"), "[Errno 2] No such file: 'a.jpg'"),
        (OSError(), "OSError"),
    ],
)
def test_a_missing_picture_leaves_a_card_that_says_why(gallery, error, reason):
    def load(uri):
        if uri == "gone":
            raise error
        return RED

    page = gallery([Hit("a", "gone", 0.9, "red"), Hit("b", "there", 0.8)], load_image=load)
    assert reason in page.texts
    assert "red" in page.texts
    assert len(page.values("img", "src")) == 1


def test_a_broken_file_that_opens_leaves_a_placeholder_too(gallery, tmp_path):
    cut = tmp_path / "cut.png"
    Image.effect_noise((200, 200), 90).save(cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    page = gallery([Hit("a", str(cut), 0.9)], load_image=Image.open)
    assert "No picture" in page.texts


def test_there_are_styles_for_dark_and_narrow_screens(gallery):
    html = gallery([]).html
    assert "prefers-color-scheme: dark" in html
    assert "auto-fill" in html
    assert "max-width: 480px" in html


def test_a_page_without_hits_says_so(gallery):
    page = gallery([], title="", query_image=RED)
    assert "Nothing was found." in page.texts
    assert "Search by image" in page.texts


def test_any_unicode_can_be_written(gallery):
    page = gallery([Hit("👗", "u", 0.5, "\ud800 فستان \x00")])
    assert "👗" in page.texts
