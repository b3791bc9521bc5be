"""The mail with the code, as people read it."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from activities.ports import CodeMail
from utils.smtp.mail_templates import TEMPLATES, MailTemplates, TemplatesError, asked_from

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LANGUAGES = "ar de en es fr he it ja nl pl pt pt-br tr uk zh zh-hant".split()


def mail(**changes: object) -> CodeMail:
    """Return a mail with some members changed."""
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
    """All files have the sentences of the English one."""
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in TEMPLATES.glob("*.json")}

    assert set(files) == set(LANGUAGES)
    for sentences in files.values():
        assert set(sentences) == set(files["en"])
        assert "{minutes}" in sentences["valid_many"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_parts_show_the_code_as_digits_and_the_subject_does_not(templates: MailTemplates, language: str) -> None:
    """The code is on a line of its own, so people and programs can copy it in one piece."""
    written = templates.render(mail(locale=language), NOW)

    for part in (written.text, written.html):
        assert part.splitlines().count("01234567") == 1
        assert len(re.findall(r"\d{6,}", part)) == 1
    assert not re.search(r"\d", written.subject)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_mail_has_no_link(templates: MailTemplates, language: str) -> None:
    """There is nothing to click, and nothing is loaded."""
    written = templates.render(mail(locale=language), NOW)
    for part in (written.text, written.html):
        assert not re.search(r"https?:|www\.|href|src=|url\(", part)


def test_the_page_declares_its_language_and_direction(templates: MailTemplates) -> None:
    """Screen readers need the language, and bidirectional text the direction."""
    assert '<html lang="ar" dir="rtl">' in templates.render(mail(locale="ar-EG"), NOW).html
    assert '<html lang="de" dir="ltr">' in templates.render(mail(locale="de"), NOW).html


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de-CH", "de"),
        ("DE_at.UTF-8", "de"),
        ("fr", "fr"),
        ("en-GB", "en"),
        ("pt_BR.UTF-8", "pt-br"),
        ("pt-PT", "pt"),
        ("zh-Hant-HK", "zh-hant"),
        ("zh-TW", "zh-hant"),
        ("zh-CN", "zh"),
        ("iw-IL", "he"),
        ("tlh", "en"),
        ("", "en"),
        (None, "en"),
        ("../de", "en"),
    ],
)
def test_a_locale_falls_back_to_its_language_and_then_to_english(
    templates: MailTemplates, locale: str | None, language: str
) -> None:
    """Every locale that a client may send gives a mail."""
    assert templates.render(mail(locale=locale), NOW).language == language
    assert language in templates.languages


@pytest.mark.parametrize(
    ("left_s", "words"),
    [
        (299, "in 5 minutes"),
        (271, "in 5 minutes"),
        (100, "in 2 minutes"),
        (60, "in one minute"),
        (1, "in one minute"),
        (-9, "in one minute"),
    ],
)
def test_the_minutes_left_are_rounded(templates: MailTemplates, left_s: int, words: str) -> None:
    """Five minutes minus the moment that has passed since are shown as five minutes."""
    assert words in templates.render(mail(expires_at=NOW + timedelta(seconds=left_s)), NOW).text


def test_the_mail_shows_where_the_request_came_from(templates: MailTemplates) -> None:
    """Browser family and IP address help people recognise a request that is not theirs."""
    written = templates.render(mail(), NOW)
    assert "Requested from: Firefox, 203.0.113.7" in written.text
    assert "Requested from: <bdi>Firefox, 203.0.113.7</bdi>" in written.html


def test_the_mail_tells_what_to_do_about_an_unexpected_code(templates: MailTemplates) -> None:
    """Whoever did not request the code can ignore the mail."""
    written = templates.render(mail(), NOW)
    assert "Didn’t request this? You can safely ignore this e-mail." in written.text
    assert "Didn’t request this? You can safely ignore this e-mail." in written.html


def test_an_unknown_origin_is_left_out(templates: MailTemplates) -> None:
    """The sentence is omitted, not left empty."""
    written = templates.render(mail(ip=None, browser=None), NOW)
    assert "Requested from" not in written.text + written.html


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
def test_untrusted_text_is_not_shown(browser: str | None, ip: str | None, shown: str | None) -> None:
    """Only text in the form of a browser's name and valid IP addresses are shown."""
    assert asked_from(browser, ip) == shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_is_a_copy_of_another(templates: MailTemplates, language: str) -> None:
    """Each has its own sentences, and repeats none."""
    sentences = {name: json.loads((TEMPLATES / f"{name}.json").read_text(encoding="utf-8")) for name in LANGUAGES}
    own = list(sentences[language].values())

    assert len(set(own)) == len(own)
    for other in set(LANGUAGES) - {language}:
        assert sentences[language]["not_you"] != sentences[other]["not_you"]


def test_a_dark_screen_gets_a_dark_mail(templates: MailTemplates) -> None:
    """Each class with inline colours for light has colours for dark too, or text would vanish in its background."""
    html = templates.render(mail(), NOW).html
    dark = html[html.index("@media (prefers-color-scheme: dark)") : html.index("</style>")]

    assert '<meta name="color-scheme" content="light dark">' in html
    assert set(re.findall(r'class="(\w+)"', html)) == set(re.findall(r"\.(\w+) \{", dark))


def test_text_has_enough_contrast(templates: MailTemplates) -> None:
    """The contrast is 4.5 : 1 or more (WCAG 2.2, 1.4.3), light and dark. Small print is on the card."""
    html = templates.render(mail(), NOW).html
    inline = {name: style for name, style in re.findall(r'class="(\w+)"[^>]*?style="([^"]*)"', html)}
    dark = dict(re.findall(r"\.(\w+) \{([^}]*)\}", html))

    for styles in (inline, dark):
        for name in ("card", "code", "small"):
            ground = _colour(styles[name], "background") or _colour(styles["card"], "background")
            assert _contrast(_colour(styles[name], "color"), ground) >= 4.5


def _colour(style: str, what: str) -> str:
    found = re.search(rf"(?:^|[;{{\s]){what}:\s*(#[0-9a-f]{{6}})", style)
    return found[1] if found else ""


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(_luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return sum(share * each for share, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def folder(path: Path, files: Mapping[str, object]) -> Path:
    """Write files, text as it is and anything else as JSON."""
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / name).write_text(text, encoding="utf-8")
    return path


def test_custom_sentences_take_precedence(tmp_path: Path) -> None:
    """Single sentences are replaced; all others stay as they are."""
    files = {"de-CH.json": _whole("Grüezi"), "en.json": {"subject": "Your Acme code"}}
    custom = MailTemplates(folder(tmp_path, files))

    assert custom.render(mail(locale="de-CH"), NOW).text.startswith("Grüezi")
    assert custom.render(mail(locale="de"), NOW).text.startswith("Guten Tag")
    assert custom.render(mail(), NOW).subject == "Your Acme code"
    assert custom.languages == {*LANGUAGES, "de-ch"}


def test_a_custom_layout_takes_precedence(tmp_path: Path) -> None:
    """It applies to every language."""
    layout = "<b>{{ say.greeting }}</b> {{ code }} <i>{{ validity }}</i>"
    custom = MailTemplates(folder(tmp_path, {"mail.html.j2": layout}))

    assert custom.render(mail(locale="fr"), NOW).html.startswith("<b>Bonjour")


def _whole(greeting: str) -> dict[str, str]:
    sentences = json.loads((TEMPLATES / "de.json").read_text(encoding="utf-8"))
    return {**sentences, "greeting": greeting}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"de.json": "{"}, "de.json: not valid JSON"),
        ({"de.json": b"\xff".decode("latin-1") + "["}, "de.json: not valid JSON"),
        ({"de.json": ["subject"]}, "not a JSON object of strings"),
        ({"de.json": {"subject": 7}}, "not a JSON object of strings"),
        ({"de.json": {"sub": "x"}}, "unknown: sub"),
        ({"eo.json": {"subject": "x"}}, "a new language also needs asked_from, direction, greeting"),
        ({"de.json": {"valid_many": "lang"}}, "valid_many must contain {minutes}"),
        ({"de.json": {"valid_many": "{hours} {minutes}"}}, "cannot be rendered"),
        ({"de.json": {"valid_many": "{minutes} {}"}}, "cannot be rendered"),
        ({"de.json": {"intro": "see https://acme.example"}}, "contains a link"),
        ({"de.json": {"subject": "01234567"}}, "the subject"),
        ({"de.json": {"subject": "a\nBcc: eve@example.com"}}, "the subject"),
        ({"mail.txt.j2": "{{ validity }}"}, "the text must show the code once"),
        ({"mail.txt.j2": "{{ code }} {{ code }} {{ validity }}"}, "the text must show the code once"),
        ({"mail.html.j2": "{{ code }} {{ brand }}"}, "cannot be rendered"),
        ({"mail.html.j2": "{{ code.__class__.__mro__ }} {{ code }}"}, "cannot be rendered"),
        ({"mail.html.j2": "{{ code }}<img src=x>"}, "contains a link or loads something"),
        ({"mail.html.j2": "{% if %}"}, "mail.html.j2, line 1"),
        ({"mail.html.j2": "{% if 1 %}" * 101 + "{% endif %}" * 101}, "mail.html.j2: cannot be used ("),
        ({"mail.txt.j2": "{{ 1 / 0 }} {{ code }}"}, "cannot be rendered (ZeroDivisionError: division by zero)"),
        ({"mail.txt.j2": "{{ code + 1 }}"}, "cannot be rendered (TypeError"),
        ({"mail.txt.j2": "{% include 'mail.txt.j2' %}"}, "cannot be rendered (RecursionError"),
        ({"mail.txt.j2": "{{ code }}{{ validity }}{{ 1 / 0 if '1' in validity and not asked_from }}"}, "division"),
        ({"en.json": {"valid_many": "{minutes.x}"}}, "cannot be rendered (AttributeError"),
        ({"en.json": {"valid_many": "{minutes"}}, "cannot be rendered (ValueError"),
    ],
)
def test_templates_that_break_a_promise_are_rejected(tmp_path: Path, files: Mapping[str, object], words: str) -> None:
    """The error is raised before the first mail, and names the file and the remedy."""
    with pytest.raises(TemplatesError, match=re.escape(words)):
        MailTemplates(folder(tmp_path, files))


@pytest.mark.parametrize("name", ["mail.txt.j2", "mail.html.j2"])
def test_a_layout_that_is_not_utf_8_is_rejected_by_its_name(tmp_path: Path, name: str) -> None:
    """An editor may have saved it in Latin-1."""
    (tmp_path / name).write_bytes("Grüße: {{ code }}".encode("latin-1"))

    with pytest.raises(TemplatesError, match=f"^{re.escape(name)}: not UTF-8"):
        MailTemplates(tmp_path)


def test_sentences_nested_without_end_are_rejected(tmp_path: Path) -> None:
    """The parser gives up on them with an error of its own kind."""
    (tmp_path / "de.json").write_text("[" * 100_000)

    with pytest.raises(TemplatesError, match="de.json: not valid JSON"):
        MailTemplates(tmp_path)
