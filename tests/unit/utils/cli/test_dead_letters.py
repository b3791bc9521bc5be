"""The commands ``signin-worker dlt``, on topics in memory."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from consumers.dead_letters.replay import TooScattered
from consumers.ports import Partition, Record, ReplayMark
from tests.fakes.dead_letters import FAILED_AT, letter_record
from tests.fakes.inbound import REQUESTED, SUBMITTED, signin_id, submission_data
from tests.fakes.dead_letter_topics import FakeInboundWriter, PutBackRecord
from tests.fakes.wiring import FakeWiring
from utils.cli.dead_letters import dead_letters, instant

CODE = "90417263"
ADDRESS = "ada.lovelace@example.com"


class Operator:
    """Runs commands on the dead letters of two topics."""

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
def operator() -> Operator:
    """Return an operator of two topics without dead letters."""
    return Operator()


def test_list_prints_a_line_per_dead_letter(operator: Operator) -> None:
    """A line says where the letter is and came from, what was wrong, which sign-in it is of, and if it was put back."""
    operator.add(letter_record(1), letter_record(2, REQUESTED, error="not_json", times=2))
    operator("replay", "--error", "schema")
    code, output, _ = operator("list")

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


def test_an_empty_list_says_so_on_stderr(operator: Operator) -> None:
    """Nothing is printed on stdout, where programs read."""
    assert operator("list") == (0, "", "no dead letters\n")
    assert operator.lines("list") == []


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
def test_filters_are_the_same_for_list_and_replay(operator: Operator, arguments: list[str], numbers: list[int]) -> None:
    """``replay`` puts back exactly what ``list`` shows with the same options."""
    operator.add(letter_record(0, REQUESTED), letter_record(1, REQUESTED, error="not_json"))
    operator.add(letter_record(2, failed_at=FAILED_AT + timedelta(hours=1)), letter_record(3, error="not_json"))
    wanted = [signin_id(number) for number in numbers]

    assert [line["signin_id"] for line in operator.lines("list", *arguments)] == wanted
    assert [line["signin_id"] for line in operator.lines("replay", "--dry-run", *arguments)] == wanted
    assert operator.written == []
    assert operator.lines("replay", *arguments) == [{"put_back": len(numbers), "passed_over": {}}]
    assert [each.record.key for each in operator.written] == [each.encode() for each in wanted]


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
def test_usage_errors_end_with_64(operator: Operator, arguments: list[str]) -> None:
    """Wrong arguments are refused before anything connects to Kafka."""
    operator.letters.down = True
    code, output, errors = operator(*arguments)
    assert (code, output) == (64, "")
    assert errors


@pytest.mark.parametrize("place", [["otp.submitted.dlt/0/1"], ["otp.submitted.dlt", "0", "1"]])
def test_show_masks_headers_and_value(operator: Operator, place: list[str]) -> None:
    """Neither the code nor the address is printed; their shapes are."""
    value = json.dumps(submission_data(7, code=CODE, email=ADDRESS)).encode()
    operator.add(letter_record(6), letter_record(7, value=value, headers=[("user", ADDRESS.encode())]))

    for arguments in (place, [*place, "--json"]):
        code, output, _ = operator("show", *arguments)

        assert code == 0
        assert signin_id(7) in output
        assert "code: missing" in output
        assert "########" in output
        assert not [secret for secret in (CODE, ADDRESS, "lovelace") if secret in output]

    shown = json.loads(output)

    assert (shown["place"], shown["put_back"], shown["key"]) == ("otp.submitted.dlt/0/1", False, signin_id(7))
    assert ["user", "***.********@*******.***"] in shown["headers"]


def test_show_says_whether_the_letter_was_put_back(operator: Operator) -> None:
    """The first line says it."""
    operator.add(letter_record(7))
    assert operator("show", "otp.submitted.dlt/0/0")[1].startswith("otp.submitted.dlt/0/0, not put back\n")
    operator("replay")
    assert operator("show", "otp.submitted.dlt/0/0")[1].startswith("otp.submitted.dlt/0/0, put back\n")


@pytest.mark.parametrize("place", ["otp.submitted.dlt/0/0", "otp.submitted.dlt/0/5", "otp.submitted.dlt/9/1"])
def test_a_missing_letter_ends_with_66(operator: Operator, place: str) -> None:
    """Its retention is over, it is not written yet, or there is no such partition."""
    operator.add(letter_record(0), letter_record(1))
    operator.letters.retain(Partition("otp.submitted.dlt", 0), 1)
    code, output, errors = operator("show", place)
    assert (code, output) == (66, "")
    assert errors == "There is no such dead letter (any more).\n"


def test_an_offset_without_a_record_ends_with_66(operator: Operator) -> None:
    """Transaction markers and compaction leave such gaps."""
    operator.letters.append(letter_record(0), gap=1)
    assert operator("show", "otp.submitted.dlt/0/0")[0] == 66


def test_replay_reports_what_it_put_back_and_passed_over(operator: Operator) -> None:
    """Each letter that stays is printed with the reason, then the totals. The writer is closed."""
    operator.add(letter_record(0), letter_record(1, times=5), Record(f"{SUBMITTED}.dlt", 0, 0, b"k", b"v"))
    code, output, _ = operator("replay")

    assert code == 0
    assert output.splitlines() == [
        "passed over otp.submitted.dlt/0/1: dead-lettered 5 times",
        "passed over otp.submitted.dlt/0/2: its dlt-topic is not otp.submitted",
        "put back: 1",
        "passed over, dead-lettered 5 times: 1",
        "passed over, its dlt-topic is not otp.submitted: 1",
    ]
    assert operator.wiring.inbound_closed == 1
    assert operator.lines("replay", "--max-attempts", "6") == [
        {"place": "otp.submitted.dlt/0/2", "passed_over": "its dlt-topic is not otp.submitted"},
        {"put_back": 1, "passed_over": {"its dlt-topic is not otp.submitted": 1}},
    ]


def test_a_dry_run_lists_what_would_be_put_back(operator: Operator) -> None:
    """Nothing is written to the inbound topics or to the store."""
    operator.add(letter_record(0), letter_record(1, times=5))
    code, output, _ = operator("replay", "--dry-run")

    assert code == 0
    assert [line.split("\t")[-1] for line in output.splitlines()] == [
        "put_back",
        "would be",
        "passed over: dead-lettered 5 times",
    ]

    lines = operator.lines("replay", "--dry-run")

    assert [(line["would_be_put_back"], line["passed_over"]) for line in lines] == [
        (True, None),
        (False, "dead-lettered 5 times"),
    ]
    assert (operator.written, operator.letters.saves) == ([], 0)


class Interrupted(FakeInboundWriter):
    """Inbound topics. Something else happens while a record is put back."""

    def __init__(self, happens: Callable[[], None]) -> None:
        super().__init__()
        self._happens = happens

    async def put_back(self, topic: str, partition: int | None, record: Record) -> None:
        """Let it happen, and acknowledge."""
        self._happens()
        await super().put_back(topic, partition, record)


def test_a_concurrent_replay_stops_with_75(operator: Operator) -> None:
    """If another replay saves its progress meanwhile, this one says so and stops."""
    operator.add(letter_record(0))
    others = {Partition(f"{SUBMITTED}.dlt", 0): ReplayMark(1, "")}
    operator.wiring.fake_inbound = Interrupted(lambda: operator.letters.marks.update(others))
    code, output, errors = operator("replay")
    assert (code, output) == (75, "put back: 1\n")
    assert errors.startswith("Another replay of the same")


def test_scattered_offsets_end_with_75(operator: Operator) -> None:
    """If the offsets put back are too scattered to be stored, the command says what to do."""

    def scattered() -> None:
        raise TooScattered

    operator.add(letter_record(0))
    operator.wiring.fake_inbound = Interrupted(scattered)
    code, output, errors = operator("replay")

    assert (code, output) == (75, "put back: 0\n")
    assert "without filters" in errors


def test_resume_says_whether_the_consumer_was_stopped(operator: Operator) -> None:
    """The exit code is 0 either way."""
    assert operator("resume") == (0, "The consumer is resumed.\n", "")
    assert operator("resume") == (0, "The consumer was not stopped: nothing to do.\n", "")


def test_times_are_absolute_or_relative() -> None:
    """A time is RFC 3339 with an offset, or a number of seconds, minutes, hours or days ago."""
    assert instant("2026-11-23T10:00:00+01:00") == datetime(2026, 11, 23, 9, tzinfo=UTC)
    for text, ago in (("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)):
        assert abs((datetime.now(UTC) - instant(text)).total_seconds() - ago) < 60
