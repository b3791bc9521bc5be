"""The mail with the code, as people read it."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from activities.ports import CodeMail
from utils.mail_templates import TEMPLATES, MailTemplates, asked_from

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LANGUAGES = ("ar", "de", "en", "fr")


def mail(**changes: object) -> CodeMail:
    """Return a mail."""
    members: dict[str, object] = {
        "recipient": "ada@example.com",
        "code": SecretStr("01234567"),
        "message_id": "<1@example.com>",
        "expires_at": NOW + timedelta(seconds=299),
        "requested_at": NOW,
        "ip": "203.0.113.7",
        "browser": "Firefox",
    }
    return CodeMail.model_validate(members | changes)


@pytest.fixture
def templates() -> MailTemplates:
    """Give the templates that are shipped."""
    return MailTemplates()


def test_every_language_has_every_sentence() -> None:
    """No language falls behind another."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in TEMPLATES.glob("*.json")}
    assert set(files) == set(LANGUAGES)
    for sentences in files.values():
        assert set(sentences) == set(files["en"])
        assert "{minutes}" in sentences["valid_many"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_code_stands_as_digits_in_both_parts_and_not_in_the_subject(
    templates: MailTemplates, language: str
) -> None:
    """It can be copied in one piece by people and machines, on a line of its own."""
    written = templates.render(mail(locale=language), NOW)
    for part in (written.text, written.html):
        assert part.splitlines().count("01234567") == 1
        assert len(re.findall(r"\d{6,}", part)) == 1
    assert not re.search(r"\d", written.subject)


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_no_link(templates: MailTemplates, language: str) -> None:
    """Nothing to click, and nothing that is loaded."""
    written = templates.render(mail(locale=language), NOW)
    for part in (written.text, written.html):
        assert not re.search(r"https?:|www\.|href|src=|url\(", part)


def test_the_page_says_its_language_and_direction(templates: MailTemplates) -> None:
    """Screen readers and bidirectional text need both."""
    assert '<html lang="ar" dir="rtl">' in templates.render(mail(locale="ar-EG"), NOW).html
    assert '<html lang="de" dir="ltr">' in templates.render(mail(locale="de"), NOW).html


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de-CH", "de"),
        ("DE_at.UTF-8", "de"),
        ("fr", "fr"),
        ("en-GB", "en"),
        ("tlh", "en"),
        ("", "en"),
        (None, "en"),
        ("../de", "en"),
    ],
)
def test_a_locale_falls_back_to_its_language_and_then_to_english(
    templates: MailTemplates, locale: str | None, language: str
) -> None:
    """Whatever a client says, there is a mail."""
    assert templates.render(mail(locale=locale), NOW).language == language
    assert language in templates.languages


@pytest.mark.parametrize(
    ("left_s", "words"),
    [
        (299, "5 minutes"),
        (271, "5 minutes"),
        (100, "2 minutes"),
        (60, "one minute"),
        (1, "one minute"),
        (-9, "one min"),
    ],
)
def test_the_minutes_left_are_rounded(templates: MailTemplates, left_s: int, words: str) -> None:
    """Five minutes less the moment it took to get here are five minutes."""
    assert words in templates.render(mail(expires_at=NOW + timedelta(seconds=left_s)), NOW).text


def test_who_asked_is_shown(templates: MailTemplates) -> None:
    """The browser's family and the address help to tell a stranger's request from one's own."""
    written = templates.render(mail(), NOW)
    assert "Firefox, 203.0.113.7" in written.text
    assert "Firefox, 203.0.113.7" in written.html


def test_without_knowing_who_asked_nothing_is_said(templates: MailTemplates) -> None:
    """There is no empty sentence."""
    written = templates.render(mail(ip=None, browser=None), NOW)
    assert "Asked for from" not in written.text + written.html


@pytest.mark.parametrize(
    ("browser", "ip", "shown"),
    [
        ("Firefox", None, "Firefox"),
        (None, "2001:DB8::0:1", "2001:db8::1"),
        ("<b>click", "203.0.113.7", "203.0.113.7"),
        ("visit evil.example", None, None),
        ("x" * 40, "203.0.113.7 or evil.example", None),
        ("Firefox\nBcc", "fe80::1%<script>", None),
    ],
)
def test_text_of_an_attacker_is_not_shown(browser: str | None, ip: str | None, shown: str | None) -> None:
    """Only the form of a browser's name and a valid address pass."""
    assert asked_from(browser, ip) == shown
