"""Pictures of the mail in every language, light and dark: ``python -m tests.docs.mail_gallery [--chromium COMMAND]``.

Needs a Chromium, and fonts for all scripts (Debian: chromium fonts-noto-core fonts-noto-cjk). Writes into ``docs``.
"""

import argparse
import html
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from deploy.local.places import PROJECT
from schemas.policy import OtpPolicy
from utils.cli.mail import preview
from utils.smtp.mail_templates import MailTemplates

_COLUMNS: Final = 4
_WIDTH: Final = 340
_HEIGHT: Final = 570
_SCHEMES: Final = {"light": 1, "dark": 0}  # as Blink numbers them
_PAGE: Final = """\
<!DOCTYPE html><meta charset="utf-8">
<style>body{{margin:0;background:#888;display:grid;grid-template-columns:repeat({columns},{width}px);gap:4px}}
iframe{{border:0;width:{width}px;height:{height}px}}</style>
{frames}
"""


def main() -> int:
    """Return 0 once the pictures are written, 69 if there is no Chromium."""
    parser = argparse.ArgumentParser(description="Pictures of the mail in every language.")
    parser.add_argument("--chromium", metavar="COMMAND", default="chromium")
    command = parser.parse_args().chromium

    for scheme in _SCHEMES:
        target = PROJECT / "docs" / f"mail-{scheme}.png"
        try:
            _photograph(command, scheme, target)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{command} took no picture ({type(error).__name__}): install it (Debian: apt-get install chromium).")
            return 69
        print(f"written: {target.relative_to(PROJECT)}")

    return 0


def _photograph(command: str, scheme: str, target: Path) -> None:
    templates = MailTemplates()
    languages = sorted(templates.languages)
    frames = "".join(f'<iframe srcdoc="{html.escape(_mail(templates, each))}"></iframe>' for each in languages)
    rows = -(-len(languages) // _COLUMNS)
    size = f"{_COLUMNS * (_WIDTH + 4)},{rows * (_HEIGHT + 4)}"

    with TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(_PAGE.format(columns=_COLUMNS, width=_WIDTH, height=_HEIGHT, frames=frames), encoding="utf-8")
        subprocess.run(
            [
                *(command, "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"),
                f"--user-data-dir={folder}/profile",
                f"--blink-settings=preferredColorScheme={_SCHEMES[scheme]}",
                "--force-device-scale-factor=0.7",
                f"--window-size={size}",
                f"--screenshot={target}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


def _mail(templates: MailTemplates, language: str) -> str:
    return preview(templates, language, OtpPolicy()).html


if __name__ == "__main__":
    sys.exit(main())
