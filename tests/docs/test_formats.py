"""The page of formats shows what the commands print today."""

from __future__ import annotations

import pytest
from scripts import make_formats_page


@pytest.mark.parametrize("form", make_formats_page.FORMATS, ids=lambda form: form.title)
def test_the_section_of_a_format_is_up_to_date(form):
    page = make_formats_page.TARGET.read_text(encoding="utf-8")
    assert make_formats_page.section(form) in page, "run python -m scripts.make_formats_page"


def test_every_section_is_of_a_format():
    page = make_formats_page.TARGET.read_text(encoding="utf-8")
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == [form.title for form in make_formats_page.FORMATS]
