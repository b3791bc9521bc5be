"""The mail with the code: text, HTML and subject in the person's language, from the files in ``utils/smtp/templates``.

What stands in it is ours or checked: the raw user agent is attacker's text and never gets here (SECURITY S16).
"""

import ipaddress
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import SecretStr

from activities.ports import CodeMail

TEMPLATES = Path(__file__).with_name("templates")
FALLBACK = "en"

_BROWSER = re.compile(r"[A-Za-z][A-Za-z0-9 ]{0,31}")
_MINUTE_S = 60
_LIKELY: Final = {"zh-tw": "zh-hant", "zh-hk": "zh-hant", "zh-mo": "zh-hant", "iw": "he"}  # as CLDR has it
_LINK: Final = re.compile(r"https?:|www\.|href|src\s*=|url\(", re.IGNORECASE)
_SAMPLE_CODE: Final = "01234567"
_SAMPLE_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


class TemplatesError(Exception):
    """Raised when templates of one's own cannot be used. The text says which file, and what to do."""


@dataclass(frozen=True)
class MailText:
    """A rendered mail."""

    language: str
    subject: str
    text: str
    html: str


class MailTemplates:
    """Renders mails. One JSON file of sentences a language, one layout for text and one for HTML.

    A folder of one's ``own`` goes before what is shipped: sentences of a language that there is are replaced one by
    one, a new language has to be whole, a layout is replaced. Raises ``TemplatesError`` if a mail would not be as
    promised.
    """

    def __init__(self, own: Path | None = None) -> None:
        folders = [TEMPLATES] if own is None else [own, TEMPLATES]
        self._sentences = {language: dict(sentences) for language, sentences in _read(TEMPLATES)}
        environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folders),
            autoescape=select_autoescape(enabled_extensions=("html.j2",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        try:
            self._text = environment.get_template("mail.txt.j2")
            self._html = environment.get_template("mail.html.j2")
        except TemplateSyntaxError as error:
            raise TemplatesError(f"{error.name}, line {error.lineno}: {error.message}: correct it.") from None
        if own is not None:
            self._lay_over(own)

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
        """Return the language for a locale: ``pt_BR.UTF-8`` is ``pt-br``, or ``pt``, or English (RFC 4647, lookup)."""
        tags = re.split(r"[-_]", re.split(r"[.@]", locale or "", maxsplit=1)[0].lower())
        ranges = ("-".join(tags[:count]) for count in range(len(tags), 0, -1))
        wanted = (_LIKELY.get(each, each) for each in ranges)
        return next((each for each in wanted if each in self._sentences), FALLBACK)

    def _lay_over(self, own: Path) -> None:
        for language, sentences in _read(own):
            known = self._sentences.setdefault(language, {})
            if unknown := sentences.keys() - self._sentences[FALLBACK].keys():
                raise TemplatesError(f"{language}.json: no mail has {_listed(unknown)}: take it out.")
            known.update(sentences)
            if missing := self._sentences[FALLBACK].keys() - known.keys():
                raise TemplatesError(f"{language}.json: a new language needs {_listed(missing)} too: add it.")
        for language in self._sentences:
            for problem in self._problems(language):
                raise TemplatesError(f"{language}.json, or a layout: {problem}")

    def _problems(self, language: str) -> Iterator[str]:
        """Try a mail in this language, once for a minute and once for more."""
        for minutes, asked in ((1, "Firefox"), (9, None)):
            try:
                written = self.render(_sample(language, minutes, asked), _SAMPLE_TIME)
            except (TemplateError, KeyError, IndexError, ValueError) as error:
                yield f"a mail cannot be made of it ({error}): correct it."
                return
            if _SAMPLE_CODE in written.subject or "\n" in written.subject:
                yield "the subject is one line and never holds the code: correct it."
            for name, part in (("text", written.text), ("HTML", written.html)):
                if part.count(_SAMPLE_CODE) != 1:
                    yield f"the {name} has to show the code once, as {{{{ code }}}}: correct it."
                if _LINK.search(part):
                    yield f"the {name} has a link, or loads something: take it out."
            if minutes > 1 and str(minutes) not in written.text:
                yield "valid_many has to say the {minutes}: correct it."


def _read(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            sentences = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise TemplatesError(f"{path.name}: this is no JSON in UTF-8: correct it.") from None
        if not isinstance(sentences, dict) or not all(isinstance(each, str) for each in sentences.values()):
            raise TemplatesError(f"{path.name}: this is no object of sentences: correct it.")
        yield path.stem.lower(), sentences


def _sample(language: str, minutes: int, browser: str | None) -> CodeMail:
    return CodeMail(
        recipient="ada@example.com",
        code=SecretStr(_SAMPLE_CODE),
        message_id="<1@example.com>",
        expires_at=_SAMPLE_TIME + timedelta(minutes=minutes),
        requested_at=_SAMPLE_TIME,
        locale=language,
        browser=browser,
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


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
