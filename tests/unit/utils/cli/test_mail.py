"""The command ``signin-worker mail preview``."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.smtp.mail_templates import MailTemplates

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("environ")


def test_the_text_is_shown_as_people_read_it(run: Run) -> None:
    """The subject and the text part are printed, in English, with a code of as many digits as the settings say."""
    code, output, _ = run("mail", "preview")
    headers, _, text = output.partition("\n\n")

    assert code == 0
    assert "Content-Language: en" in headers.splitlines()
    assert "Subject: " in headers
    assert re.search(r"^\d{8}$", text, re.MULTILINE)


def test_the_locale_chooses_the_language_as_in_a_mail(run: Run) -> None:
    """The locale is looked up as that of a request: de-CH gets the German mail."""
    assert "Content-Language: de" in run("mail", "preview", "--locale", "de-CH")[1]


def test_the_html_part_is_printed_alone(run: Run) -> None:
    """With ``--html``, the output is a page that a browser can open."""
    code, output, _ = run("mail", "preview", "--html")

    assert code == 0
    assert output.startswith("<!DOCTYPE html>")


def test_the_settings_decide_the_code_and_its_lifetime(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail shows as many digits and minutes as people will see."""
    monkeypatch.setenv("SIGNIN_OTP__DIGITS", "10")
    monkeypatch.setenv("SIGNIN_OTP__LIFETIME_S", "540")
    output = run("mail", "preview")[1]

    assert re.search(r"^\d{10}$", output, re.MULTILINE)
    assert "9 minutes" in output


def test_your_own_words_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Templates of your own take precedence, as in the worker."""
    (tmp_path / "en.json").write_text(json.dumps({"subject": "Your code for Acme"}))
    monkeypatch.setenv("SIGNIN_MAIL__TEMPLATES", str(tmp_path))

    assert "Subject: Your code for Acme" in run("mail", "preview")[1]


def test_templates_that_break_a_promise_end_with_78(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command refuses what the worker would refuse, with the same sentence."""
    (tmp_path / "en.json").write_text(json.dumps({"no-such-sentence": "x"}))
    monkeypatch.setenv("SIGNIN_MAIL__TEMPLATES", str(tmp_path))
    code, output, errors = run("mail", "preview")

    assert (code, output) == (78, "")
    assert "en.json: unknown: no-such-sentence" in errors


def test_every_language_is_written(run: Run, tmp_path: Path) -> None:
    """With ``--out``, both parts of every language are written, and a page that shows all of them."""
    folder = tmp_path / "new" / "mails"
    code, output, _ = run("mail", "preview", "--out", str(folder))
    languages = MailTemplates().languages

    assert (code, output) == (0, f"{folder / 'index.html'}: {len(languages)} languages\n")
    written = {path.name for path in folder.iterdir()}
    assert written == {"index.html", *(f"{each}.{part}" for each in languages for part in ("html", "txt"))}
    assert all(f'src="{each}.html"' in (folder / "index.html").read_text() for each in languages)


def test_a_folder_that_cannot_be_written_ends_with_64(run: Run, tmp_path: Path) -> None:
    """A file in the place of the folder is a wrong argument."""
    (tmp_path / "taken").touch()
    code, output, errors = run("mail", "preview", "--out", str(tmp_path / "taken"))

    assert (code, output) == (64, "")
    assert "cannot be written" in errors


def test_no_other_setting_is_needed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes templates needs no keys and no servers."""
    monkeypatch.setenv("SIGNIN_ENVIRONMENT", "production")
    monkeypatch.delenv("SIGNIN_KEYS__ACCOUNT")

    assert run("mail", "preview")[0] == 0
