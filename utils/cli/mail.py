"""The command ``signin-worker mail preview``: the mail as people get it, with templates of your own."""

import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import SecretStr

from activities.ports import CodeMail
from consumers.ports import utc_now
from schemas.policy import OtpPolicy
from utils.cli.terminal import command_group, end_command, read_wiring
from utils.smtp.mail_templates import FALLBACK, MailTemplates, MailText

_DIGITS: Final = "4071926385"
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>The mail in every language</title>
<style>body {{ display: flex; flex-wrap: wrap }} iframe {{ width: 340px; height: 570px }}</style>
{frames}
</html>
"""

mail = command_group("The mail.")


@mail.command("preview")
def preview_mail_command(
    context: typer.Context,
    locale: Annotated[str, typer.Option(help="Such as de-CH.")] = FALLBACK,
    html: Annotated[bool, typer.Option("--html", help="Print the HTML part instead of the text.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write both parts in every language into this folder instead."),
    ] = None,
) -> None:
    """Show the mail with a made-up code, in one language, or write it in all. Sends nothing."""
    settings = read_wiring(context, "SIGNIN_MAIL__", "SIGNIN_OTP__").settings
    templates = MailTemplates(settings.mail.templates)

    if out is not None:
        _write(out, [preview(templates, each, settings.otp) for each in sorted(templates.languages)])
        return

    written = preview(templates, locale, settings.otp)
    if html:
        typer.echo(written.html, nl=False)
    else:
        typer.echo(f"Subject: {written.subject}\nContent-Language: {written.language}\n\n{written.text}", nl=False)


def preview(templates: MailTemplates, locale: str, otp: OtpPolicy) -> MailText:
    """Return the mail with a made-up code, as it is when it has just been asked for."""
    now = utc_now()
    example = CodeMail(
        recipient="ada@example.com",
        code=SecretStr(_DIGITS[: otp.digits]),
        message_id="<1@example.com>",
        expires_at=now + timedelta(seconds=otp.lifetime_s),
        requested_at=now,
        locale=locale,
        ip="203.0.113.7",
        browser="Firefox",
    )

    return templates.render(example, now)


def _write(folder: Path, mails: Iterable[MailText]) -> None:
    files = {
        f"{each.language}.{part}": text for each in mails for part, text in (("txt", each.text), ("html", each.html))
    }
    pages = [name for name in files if name.endswith(".html")]
    frames = "\n".join(f'<iframe title="{name}" src="{name}"></iframe>' for name in pages)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {**files, "index.html": _PAGE.format(frames=frames)}.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        end_command(os.EX_USAGE, f"{folder} cannot be written ({type(error).__name__}): name another folder.")

    typer.echo(f"{folder / 'index.html'}: {len(pages)} languages")
