"""The commands for dead letters, on topics in memory."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from consumers.ports import Partition, Record, ReplayMark
from consumers.dead_letters.replay import TooScattered
from utils.cli.dead_letters import dead_letters, instant
from tests.fakes.dead_letters import FAILED_AT, letter_record
from tests.fakes.inbound import REQUESTED, SUBMITTED, signin_id, submission_data
from tests.fakes.letter_topics import FakeInbound, PutBackRecord
from tests.fakes.wiring import FakeWiring

CODE, ADDRESS = "90417263", "ada.lovelace@example.com"


class Office:
    """Dead letters on two topics, and the commands."""

    def __init__(self) -> None:
        self.wiring = FakeWiring()
        self.letters = self.wiring.fake_letters

    @property
    def written(self) -> list[PutBackRecord]:
        """What was put back."""
        return self.wiring.fake_inbound.written

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; return its exit code, output and errors."""
        result = CliRunner().invoke(dead_letters, arguments, obj=self.wiring)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def lines(self, *arguments: str) -> list[dict[str, object]]:
        """Run a command that prints JSON lines."""
        code, output, _ = self(*arguments, "--json")
        assert code == 0
        return [json.loads(line) for line in output.splitlines()]

    def add(self, *records: Record) -> None:
        """Append dead letters."""
        for record in records:
            self.letters.append(record)


@pytest.fixture
def office() -> Office:
    """Give an office."""
    return Office()


def test_a_list_has_a_line_per_letter(office: Office) -> None:
    """Where it lies, where it came from, what was wrong, whose it is, and whether it was put back."""
    office.add(letter_record(1), letter_record(2, REQUESTED, error="not_json", times=2))
    office("replay", "--error", "schema")
    code, output, _ = office("list")

    assert code == 0
    assert [line.split("\t") for line in output.splitlines()] == [
        ["place", "origin", "error", "reason", "failed_at", "attempts", "signin_id", "put_back"],
        [
            "signin.requested.dlt/0/0",
            "signin.requested/0/2",
            "not_json",
            "code: missing",
            "2026-11-23T09:00:00Z",
            "2",
            signin_id(2),
            "no",
        ],
        [
            "otp.submitted.dlt/0/0",
            "otp.submitted/0/1",
            "schema",
            "code: missing",
            "2026-11-23T09:00:00Z",
            "1",
            signin_id(1),
            "yes",
        ],
    ]


def test_an_empty_list_says_so(office: Office) -> None:
    """To people, not to programs."""
    assert office("list") == (0, "", "no dead letters\n")
    assert office.lines("list") == []


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], [0, 1, 2, 3]),
        (["--topic", REQUESTED], [0, 1]),
        (["--topic", f"{SUBMITTED}.dlt"], [2, 3]),
        (["--error", "not_json"], [1, 3]),
        (["--since", "2026-11-23T10:00:00+01:00"], [0, 1, 2, 3]),
        (["--since", "2026-11-23T09:00:01Z"], [2]),
        (["--until", "2026-11-23T09:00:01Z"], [0, 1, 3]),
        (["--since", "1s"], []),
        (["--signin-id", signin_id(3)], [3]),
        (["--signin-id", signin_id(3), "--error", "schema"], []),
    ],
)
def test_filters_are_the_same_for_list_and_replay(office: Office, arguments: list[str], numbers: list[int]) -> None:
    """What is listed is what is put back."""
    office.add(letter_record(0, REQUESTED), letter_record(1, REQUESTED, error="not_json"))
    office.add(letter_record(2, failed_at=FAILED_AT + timedelta(hours=1)), letter_record(3, error="not_json"))
    wanted = [signin_id(number) for number in numbers]

    assert [line["signin_id"] for line in office.lines("list", *arguments)] == wanted
    assert [line["signin_id"] for line in office.lines("replay", "--dry-run", *arguments)] == wanted
    assert office.written == []
    assert office.lines("replay", *arguments) == [{"put_back": len(numbers), "passed_over": {}}]
    assert [each.record.key for each in office.written] == [each.encode() for each in wanted]


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--topic", "signin.results"],
        ["replay", "--topic", ""],
        ["list", "--error", "poison"],
        ["list", "--since", "yesterday"],
        ["list", "--since", "2026-11-23T09:00:00"],
        ["replay", "--until", "9d9"],
        ["replay", "--since", "999999d"],
        ["replay", "--rate", "0"],
        ["replay", "--max-attempts", "0"],
        ["show"],
        ["show", "otp.submitted.dlt/0"],
        ["show", "otp.submitted.dlt", "0", "first"],
        ["show", "signin.results/0/0"],
        ["show", "otp.submitted/0/0"],
        ["nonsense"],
    ],
)
def test_usage_errors_end_with_64(office: Office, arguments: list[str]) -> None:
    """Before Kafka is asked anything."""
    office.letters.down = True
    code, output, errors = office(*arguments)
    assert (code, output) == (64, "")
    assert errors


@pytest.mark.parametrize("place", [["otp.submitted.dlt/0/1"], ["otp.submitted.dlt", "0", "1"]])
def test_a_letter_is_shown_masked(office: Office, place: list[str]) -> None:
    """Headers and value, without what it must not tell."""
    value = json.dumps(submission_data(7, code=CODE, email=ADDRESS)).encode()
    office.add(letter_record(6), letter_record(7, value=value, headers=[("user", ADDRESS.encode())]))
    for arguments in (place, [*place, "--json"]):
        code, output, _ = office("show", *arguments)

        assert code == 0
        assert signin_id(7) in output
        assert "code: missing" in output
        assert "########" in output
        assert not [secret for secret in (CODE, ADDRESS, "lovelace") if secret in output]

    shown = json.loads(output)

    assert (shown["place"], shown["put_back"], shown["key"]) == ("otp.submitted.dlt/0/1", False, signin_id(7))
    assert ["user", "***.********@*******.***"] in shown["headers"]


def test_show_tells_whether_it_was_put_back(office: Office) -> None:
    """On its first line."""
    office.add(letter_record(7))
    assert office("show", "otp.submitted.dlt/0/0")[1].startswith("otp.submitted.dlt/0/0, not put back\n")
    office("replay")
    assert office("show", "otp.submitted.dlt/0/0")[1].startswith("otp.submitted.dlt/0/0, put back\n")


@pytest.mark.parametrize("place", ["otp.submitted.dlt/0/0", "otp.submitted.dlt/0/5", "otp.submitted.dlt/9/1"])
def test_what_is_not_there_cannot_be_shown(office: Office, place: str) -> None:
    """Past its retention, not written yet, no such partition: 66."""
    office.add(letter_record(0), letter_record(1))
    office.letters.retain(Partition("otp.submitted.dlt", 0), 1)
    code, output, errors = office("show", place)
    assert (code, output) == (66, "")
    assert errors == "There is no such dead letter (any more).\n"


def test_a_gap_cannot_be_shown(office: Office) -> None:
    """An offset that holds no record."""
    office.letters.append(letter_record(0), gap=1)
    assert office("show", "otp.submitted.dlt/0/0")[0] == 66


def test_replay_says_what_it_did_and_what_it_passed_over(office: Office) -> None:
    """Each that stays, with the reason, and the sums."""
    office.add(letter_record(0), letter_record(1, times=5), Record(f"{SUBMITTED}.dlt", 0, 0, b"k", b"v"))
    code, output, _ = office("replay")

    assert code == 0
    assert output.splitlines() == [
        "passed over otp.submitted.dlt/0/1: dead-lettered 5 times",
        "passed over otp.submitted.dlt/0/2: its dlt-topic is not otp.submitted",
        "put back: 1",
        "passed over, dead-lettered 5 times: 1",
        "passed over, its dlt-topic is not otp.submitted: 1",
    ]
    assert office.wiring.inbound_closed == 1
    assert office.lines("replay", "--max-attempts", "6") == [
        {"place": "otp.submitted.dlt/0/2", "passed_over": "its dlt-topic is not otp.submitted"},
        {"put_back": 1, "passed_over": {"its dlt-topic is not otp.submitted": 1}},
    ]


def test_a_dry_run_says_what_would_happen(office: Office) -> None:
    """And nothing happens."""
    office.add(letter_record(0), letter_record(1, times=5))
    code, output, _ = office("replay", "--dry-run")

    assert code == 0
    assert [line.split("\t")[-1] for line in output.splitlines()] == [
        "put_back",
        "would be",
        "passed over: dead-lettered 5 times",
    ]

    told = office.lines("replay", "--dry-run")

    assert [(line["would_be_put_back"], line["passed_over"]) for line in told] == [
        (True, None),
        (False, "dead-lettered 5 times"),
    ]
    assert (office.written, office.letters.notes) == ([], 0)


class Meanwhile(FakeInbound):
    """Inbound topics; while a record is put back, something else happens."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Let it happen, and acknowledge."""
        self._happens()
        await super().put_back(topic, partition, record)


def test_a_second_replay_at_the_same_time_stops(office: Office) -> None:
    """It says so and ends with 75: the other one goes on."""
    office.add(letter_record(0))
    partition, others = Partition(f"{SUBMITTED}.dlt", 0), ReplayMark(1, "")
    office.wiring.fake_inbound = Meanwhile(lambda: office.letters.marks.update({partition: others}))
    code, output, errors = office("replay")
    assert (code, output) == (75, "put back: 1\n")
    assert errors.startswith("Another replay of the same")


def test_holes_beyond_memory_are_explained(office: Office) -> None:
    """With what to do, and 75."""

    def scattered() -> None:
        raise TooScattered

    office.add(letter_record(0))
    office.wiring.fake_inbound = Meanwhile(scattered)
    code, output, errors = office("replay")

    assert (code, output) == (75, "put back: 0\n")
    assert "without filters" in errors


def test_resume_says_whether_there_was_anything_to_resume(office: Office) -> None:
    """Both end with 0."""
    assert office("resume") == (0, "The consumer is resumed.\n", "")
    assert office("resume") == (0, "The consumer was not stopped: nothing to do.\n", "")


def test_times_are_instants_or_so_long_ago() -> None:
    """An offset is needed: nobody knows which noon is meant without."""
    assert instant("2026-11-23T10:00:00+01:00") == datetime(2026, 11, 23, 9, tzinfo=UTC)
    for text, ago in (("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)):
        assert abs((datetime.now(UTC) - instant(text)).total_seconds() - ago) < 60
