"""The README and the pages it leads to, and the blocks of commands in them that tests run."""

from typing import Final

from tests.docs.documents import EVENTS, INSTALLATION, README, REFERENCE, Block, blocks

PAGES: Final = (README, EVENTS, INSTALLATION, REFERENCE)


def blocks_of_pages(*languages: str) -> list[Block]:
    """Return the fenced blocks of all pages in these languages."""
    return [block for page in PAGES for block in blocks(page, *languages)]


SHELL: Final = [block.text for block in blocks_of_pages("sh")]


def _block_with(part: str) -> str:
    """Return the one block of commands that holds ``part``."""
    (found,) = (text for text in SHELL if part in text)

    return found


MAKE: Final = _block_with("make demo\n")
KEEP: Final = _block_with("--keep")
KEYS: Final = _block_with("> secrets/account")
INSTALL: Final = _block_with("hatchling")
DOCKER: Final = _block_with("docker build")
RUN: Final = _block_with("topics create")
REQUEST: Final = _block_with("worker request")
SUBMIT: Final = _block_with("worker submit")
ROLES: Final = _block_with("--role")
CHECKS: Final = _block_with("check --json")
REPLAY: Final = _block_with("dlt replay")

(ENVIRONMENT,) = (block.text for block in blocks_of_pages("dotenv"))
MESSAGES: Final = [block.text.strip() for block in blocks_of_pages("text")]
