"""The page's languages, one file of texts each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request

_FOLDER: Final = Path(__file__).with_name("languages")
_RIGHT_TO_LEFT: Final = ("ar", "he")


@dataclass(frozen=True)
class Language:
    """A language. ``text`` holds the texts by name; ``text["name"]`` is what the language calls itself."""

    code: str
    direction: str
    text: dict[str, str]


def _load(file: Path) -> Language:
    code = file.stem
    direction = "rtl" if code in _RIGHT_TO_LEFT else "ltr"
    return Language(code, direction, json.loads(file.read_text(encoding="utf-8")))


LANGUAGES: Final = {file.stem: _load(file) for file in sorted(_FOLDER.glob("*.json"))}


def language_of(request: Request) -> Language:
    """Return the language chosen on the page (``?lang=``, kept in a cookie), else the browser's, else English."""
    accepted = [part.partition(";")[0] for part in request.headers.get("accept-language", "").split(",")]
    wanted = [request.query_params.get("lang", ""), request.cookies.get("lang", ""), *accepted]
    codes = [tag.strip().partition("-")[0].lower() for tag in wanted]

    return next((LANGUAGES[code] for code in codes if code in LANGUAGES), LANGUAGES["en"])
