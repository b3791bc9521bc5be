"""The mail with the code: text, HTML and subject in the person's language, from the files in ``utils/templates``.

What stands in it is ours or checked: the raw user agent is attacker's text and never gets here (SECURITY S16).
"""

import ipaddress
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from activities.ports import CodeMail

TEMPLATES = Path(__file__).with_name("templates")
FALLBACK = "en"

_BROWSER = re.compile(r"[A-Za-z][A-Za-z0-9 ]{0,31}")
_MINUTE_S = 60


@dataclass(frozen=True)
class MailText:
    """A rendered mail."""

    language: str
    subject: str
    text: str
    html: str


class MailTemplates:
    """Renders mails. One JSON file of sentences a language, one layout for text and one for HTML."""

    def __init__(self, folder: Path = TEMPLATES) -> None:
        self._sentences: dict[str, Mapping[str, str]] = {
            path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))
        }
        environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=select_autoescape(enabled_extensions=("html.j2",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._text = environment.get_template("mail.txt.j2")
        self._html = environment.get_template("mail.html.j2")

    @property
    def languages(self) -> frozenset[str]:
        """The languages there are."""
        return frozenset(self._sentences)

    def render(self, mail: CodeMail, now: datetime) -> MailText:
        """Return the mail as it reads at ``now``: minutes until expiry are rounded, and at least one."""
        language = self.language_of(mail.locale)
        sentences = self._sentences[language]
        minutes = max(1, math.floor((mail.expires_at - now).total_seconds() / _MINUTE_S + 0.5))
        values = {
            "language": language,
            "direction": sentences["direction"],
            "say": sentences,
            "code": mail.code.get_secret_value(),
            "validity": sentences["valid_one" if minutes == 1 else "valid_many"].format(minutes=minutes),
            "asked_from": asked_from(mail.browser, mail.ip),
        }
        return MailText(language, sentences["subject"], self._text.render(values), self._html.render(values))

    def language_of(self, locale: str | None) -> str:
        """Return the language for a locale, by its first subtag: ``de-CH`` and ``de_CH.UTF-8`` are ``de``."""
        language = re.split(r"[-_.@]", locale or "", maxsplit=1)[0].lower()
        return language if language in self._sentences else FALLBACK


def asked_from(browser: str | None, ip: str | None) -> str | None:
    """Return who asked, as far as it is known: a browser family and a valid address, or None."""
    parts = [part for part in (_checked_browser(browser), _checked_ip(ip)) if part is not None]
    return ", ".join(parts) or None


def _checked_browser(browser: str | None) -> str | None:
    return browser if browser is not None and _BROWSER.fullmatch(browser) else None


def _checked_ip(ip: str | None) -> str | None:
    """Return the address in its usual form. A zone (``fe80::1%...``) may hold anything and is no part of it."""
    try:
        return None if ip is None or "%" in ip else str(ipaddress.ip_address(ip))
    except ValueError:
        return None
