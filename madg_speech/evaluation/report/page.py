"""Parts -> one HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from madg_speech import __version__
from madg_speech.evaluation.report.content import Content
from madg_speech.evaluation.report.diff import diff_html
from madg_speech.evaluation.report.map import land
from madg_speech.evaluation.report.sheet import percent

Audio = Literal["link", "embed", "none"]


def render_page(contents: Sequence[Content], title: str, folder: Path, audio: Audio) -> str:
    """The page.

    Args:
        contents: one for each part.
        title: heading.
        folder: where the page will lie; linked audio is named relative to it.
        audio: of the quoted utterances: ``link`` to the files where they are, ``embed`` them, or ``none``.
    """
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent

    def sound(path: Path) -> str | None:
        return _sound(path, folder, audio)

    here = files(__package__)
    page: str = environment.get_template("page.html").render(
        contents=contents,
        title=title,
        version=__version__,
        style=Markup(here.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(here.joinpath("page.js").read_text(encoding="utf-8")),
        diff=_diff,
        land=land(),
        sound=sound,
        svg=Markup,
    )
    return page


def _diff(reference: str, hypothesis: str) -> tuple[Markup, Markup]:
    ours, theirs = diff_html(reference, hypothesis)
    return Markup(ours), Markup(theirs)


def _sound(path: Path, folder: Path, audio: Audio) -> str | None:
    """Where the browser finds a recording; None if it is not at hand or not wanted."""
    if audio == "none" or not path.is_file():
        return None
    if audio == "link":
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
