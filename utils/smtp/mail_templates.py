"""Renders the mail with the code, in the recipient's language.

Sentences and layouts are the files in ``utils/smtp/templates``. Everything else in the
mail has been checked. The raw user agent is untrusted text and never gets here (SECURITY S16).
"""

import ipaddress
import itertools
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from jinja2.exceptions import TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import SecretStr

from activities.ports import CodeMail

TEMPLATES = Path(__file__).with_name("templates")
FALLBACK = "en"

_BROWSER = re.compile(r"[A-Za-z][A-Za-z0-9 ]{0,31}")
_MINUTE_S = 60
_LIKELY_SUBTAGS: Final = {  # as in CLDR
    "zh-tw": "zh-hant",
    "zh-hk": "zh-hant",
    "zh-mo": "zh-hant",
    "iw": "he",
}
_LINK: Final = re.compile(r"https?:|www\.|href|src\s*=|url\(", re.IGNORECASE)
_SAMPLE_CODE: Final = "01234567"
SAMPLE_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)


class TemplatesError(Exception):
    """Raised when custom templates cannot be used. The text names the file and the remedy."""


@dataclass(frozen=True)
class MailText:
    """A rendered mail."""

    language: str
    subject: str
    text: str
    html: str


class MailTemplates:
    """Renders mails from one JSON file of sentences per language and two layouts, text and HTML.

    Files in a ``custom`` folder take precedence over those that are shipped: single sentences of
    an existing language, all sentences of a new one, or a layout. Raises ``TemplatesError`` if a
    mail would break a promise.
    """

    def __init__(self, custom: Path | None = None) -> None:
        folders = [TEMPLATES] if custom is None else [custom, TEMPLATES]
        self._sentences = {language: dict(sentences) for language, sentences in _read(TEMPLATES)}
        self._text, self._html = _layouts(folders)

        if custom is not None:
            self._add_custom(custom)
            self._check()

    @property
    def languages(self) -> frozenset[str]:
        """The available languages."""
        return frozenset(self._sentences)

    def render(self, mail: CodeMail, now: datetime) -> MailText:
        """Return the mail as it reads at ``now``. The minutes left are rounded, at least one."""
        language = self.language_of(mail.locale)
        sentences = self._sentences[language]
        values = _values(language, sentences, mail, now)

        return MailText(
            language=language,
            subject=sentences["subject"],
            text=self._text.render(values),
            html=self._html.render(values),
        )

    def language_of(self, locale: str | None) -> str:
        """Return the language for a locale, by lookup (RFC 4647).

        ``pt_BR.UTF-8`` gives ``pt-br`` if there is one, else ``pt``, else English.
        """
        tag = re.split(r"[.@]", locale or "", maxsplit=1)[0].lower()
        subtags = re.split(r"[-_]", tag)

        ranges = ("-".join(subtags[:count]) for count in range(len(subtags), 0, -1))
        candidates = (_LIKELY_SUBTAGS.get(each, each) for each in ranges)
        return next((each for each in candidates if each in self._sentences), FALLBACK)

    def _add_custom(self, folder: Path) -> None:
        required = self._sentences[FALLBACK].keys()

        for language, custom in _read(folder):
            sentences = self._sentences.setdefault(language, {})
            if unknown := custom.keys() - required:
                raise TemplatesError(f"{language}.json: unknown: {_listed(unknown)}. Remove it.")

            sentences.update(custom)
            if missing := required - sentences.keys():
                names = _listed(missing)
                raise TemplatesError(f"{language}.json: a new language also needs {names}. Add it.")

    def _check(self) -> None:
        for language in self._sentences:
            for problem in self._problems(language):
                raise TemplatesError(f"{language}.json or a layout: {problem}")

    def _problems(self, language: str) -> Iterator[str]:
        """Render mails for one minute and for several, with and without a browser; yield what is wrong with them."""
        for minutes, browser in itertools.product((1, 9), ("Firefox", None)):
            try:
                mail = self.render(sample_mail(language, minutes, browser), SAMPLE_TIME)
            except Exception as error:  # a template is the operator's code, and may raise anything
                yield f"the mail cannot be rendered ({type(error).__name__}: {error}). Correct it."
                return

            yield from _broken_promises(mail)
            if minutes > 1 and str(minutes) not in mail.text:
                yield "valid_many must contain {minutes}. Correct it."


def _layouts(folders: Sequence[Path]) -> tuple[Template, Template]:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    return _layout(environment, "mail.txt.j2"), _layout(environment, "mail.html.j2")


def _layout(environment: Environment, name: str) -> Template:
    try:
        return environment.get_template(name)
    except TemplateSyntaxError as error:
        place = f"{error.name}, line {error.lineno}"
        raise TemplatesError(f"{place}: {error.message}. Correct it.") from None
    except UnicodeDecodeError:
        raise TemplatesError(f"{name}: not UTF-8. Correct it.") from None
    except Exception as error:  # it is the operator's code, as below
        raise TemplatesError(f"{name}: cannot be used ({type(error).__name__}: {error}). Correct it.") from None


def _values(language: str, sentences: Mapping[str, str], mail: CodeMail, now: datetime) -> Mapping[str, Any]:
    """Return what a layout can use."""
    seconds = (mail.expires_at - now).total_seconds()
    minutes = max(1, math.floor(seconds / _MINUTE_S + 0.5))
    validity = sentences["valid_one" if minutes == 1 else "valid_many"]

    return {
        "language": language,
        "direction": sentences["direction"],
        "say": sentences,
        "code": mail.code.get_secret_value(),
        "validity": validity.format(minutes=minutes),
        "asked_from": asked_from(mail.browser, mail.ip),
    }


def _broken_promises(mail: MailText) -> Iterator[str]:
    if _SAMPLE_CODE in mail.subject or "\n" in mail.subject:
        yield "the subject must be one line without the code. Correct it."

    for name, part in (("text", mail.text), ("HTML", mail.html)):
        if part.count(_SAMPLE_CODE) != 1:
            yield f"the {name} must show the code once, as {{{{ code }}}}. Correct it."
        if _LINK.search(part):
            yield f"the {name} contains a link or loads something. Remove it."


def _read(folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            sentences = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            raise TemplatesError(f"{path.name}: not valid JSON in UTF-8. Correct it.") from None

        if not _is_mapping_of_text(sentences):
            raise TemplatesError(f"{path.name}: not a JSON object of strings. Correct it.")
        yield path.stem.lower(), sentences


def _is_mapping_of_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def sample_mail(language: str, minutes: int = 1, browser: str | None = None, domain: str = "example.com") -> CodeMail:
    """Return a mail to try templates and headers with. ``domain`` is that of its ``Message-ID``."""
    return CodeMail(
        recipient="ada@example.com",
        code=SecretStr(_SAMPLE_CODE),
        message_id=f"<1@{domain}>",
        expires_at=SAMPLE_TIME + timedelta(minutes=minutes),
        requested_at=SAMPLE_TIME,
        locale=language,
        browser=browser,
    )


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def asked_from(browser: str | None, ip: str | None) -> str | None:
    """Return where a request came from: browser family and IP address, as far as they are valid."""
    checked = (_checked_browser(browser), _checked_ip(ip))
    return ", ".join(part for part in checked if part is not None) or None


def _checked_browser(browser: str | None) -> str | None:
    return browser if browser is not None and _BROWSER.fullmatch(browser) else None


def _checked_ip(ip: str | None) -> str | None:
    """Return the address in canonical form, or None if it is invalid or has a zone.

    A zone (``fe80::1%...``) may hold any text.
    """
    try:
        return None if ip is None or "%" in ip else str(ipaddress.ip_address(ip))
    except ValueError:
        return None
