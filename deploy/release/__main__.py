"""What the workflows ask about a release: ``python -m deploy.release {check,notes,tags} TAG`` or ``contract``."""

import argparse
import sys

from deploy.local.places import PROJECT
from deploy.release.changelog import ReleaseError, notes
from deploy.release.contract import Repository, comparisons
from deploy.release.versions import image_tags, version_of
from schemas.contract import json_schemas


def main() -> int:
    """Print the answer. Return 1, with a sentence, if this cannot be released."""
    arguments = _arguments()
    try:
        if arguments.question == "contract":
            return _compare_contract(arguments.before)
        print(_answer(arguments.question, arguments.tag), end="")
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description="What a release needs to know.")
    questions = parser.add_subparsers(dest="question", required=True)

    for name, text in (
        ("check", "compare a tag with pyproject.toml and CHANGELOG.md"),
        ("notes", "print what CHANGELOG.md says of the release"),
        ("tags", "print the tags of its image, one a line"),
    ):
        questions.add_parser(name, help=text).add_argument("tag", metavar="TAG", help="such as v1.2.3")

    contract = questions.add_parser("contract", help="compare the contract with the last release's")
    contract.add_argument("--before", metavar="COMMIT", default="", help="and with that of this commit")

    return parser.parse_args()


def _answer(question: str, tag: str) -> str:
    version = version_of(tag, PROJECT)
    written = notes((PROJECT / "CHANGELOG.md").read_text(encoding="utf-8"), str(version))

    if question == "notes":
        return written
    if question == "tags":
        return "".join(f"{each}\n" for each in image_tags(version, Repository(PROJECT).releases().values()))
    return f"{version} can be released\n"


def _compare_contract(before: str) -> int:
    broken = False
    compared = 0

    for comparison in comparisons(Repository(PROJECT), json_schemas(), before):
        compared += 1
        for change in comparison.changes:
            print(change)

        print(f"since {comparison.since}: {len(comparison.changes)} breaking changes")
        broken = broken or (bool(comparison.changes) and not comparison.is_new_major)

    if not compared:
        print("There is no release yet, and no commit to compare with.")
    if broken:
        raise ReleaseError("Breaking changes need a new major version in pyproject.toml.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
