"""The command ``signin-worker forget``. What the server does is tested in tests/integration/test_erasure.py."""

import json
import logging
import os
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from activities.addresses import parse_address
from activities.errors import TemporalUnavailable
from tests.fakes.erasure import FakeErasure
from tests.fakes.wiring import FakeWiring
from utils.cli import forget as command
from utils.temporal.erasure import StoredRun

ADA = "ada@example.com"
NOW = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)
OLD_REQUEST = StoredRun("request", "signin/old/1", "r1", False, NOW - timedelta(days=2))
NEW_REQUEST = StoredRun("request", "signin/new/1", "r2", False, NOW - AN_HOUR)
OLD_RUN = StoredRun("mailbox", "mailbox/p", "m1", False, NOW - timedelta(days=2), frozenset({"old"}))
NEW_RUN = StoredRun("mailbox", "mailbox/p", "m2", False, NOW - AN_HOUR, frozenset({"old", "new"}))
OPEN_RUN = StoredRun("mailbox", "mailbox/p", "m3", True, NOW - AN_HOUR, frozenset({"new"}))
UNREADABLE = StoredRun("mailbox", "mailbox/p", "m5", False, NOW - AN_HOUR, is_readable=False)
UNPUBLISHED = StoredRun("overflow", "mailbox/p/overflow/u", "o1", True, NOW - AN_HOUR)


def run(
    monkeypatch: pytest.MonkeyPatch,
    wiring: FakeWiring,
    erasure: FakeErasure,
    *arguments: str,
    typed: str = "",
    terminal: bool = False,
) -> tuple[int, str]:
    """Run the command; return its exit code and all that it prints."""
    monkeypatch.setattr(command, "TemporalErasure", erasure)
    confirm = command._confirm
    monkeypatch.setattr(command, "_confirm", lambda can_ask: confirm(can_ask=terminal))
    cli = typer.Typer()
    cli.command()(command.forget)

    result = CliRunner().invoke(cli, arguments, obj=wiring, input=typed)
    return result.exit_code, result.output


def test_what_nobody_needs_goes_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """A request of the last day stays with the runs that name it; 75 tells a script to come back."""
    erasure = FakeErasure(OLD_REQUEST, NEW_REQUEST, OLD_RUN, NEW_RUN, OPEN_RUN, UNPUBLISHED)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes")

    assert code == os.EX_TEMPFAIL
    assert erasure.deleted == [OLD_REQUEST, OLD_RUN]
    assert "stays for now: 2 runs of the mailbox, since an open one holds the limits" in output
    assert "Run this again after 2026-11-28T16:00:00+00:00" in output
    assert "Kafka, signin.requested.dlt: until 2026-11-28T15:00:00+00:00" in output
    assert "Kafka, signin.requested: FOR EVER" in output


def test_all_of_an_old_mailbox_goes(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """A day after the last sign-in nothing is open, and the command ends with 0."""
    erasure = FakeErasure(OLD_REQUEST, OLD_RUN)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes")

    assert (code, erasure.deleted) == (0, [OLD_REQUEST, OLD_RUN])
    assert "deleted: 1 requests, 1 runs of the mailbox" in output


def test_with_now_the_limits_go_too(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, caplog: pytest.LogCaptureFixture
) -> None:
    """The command says what is lost, and so does the audit trail, which holds no address."""
    erasure = FakeErasure(NEW_REQUEST, OPEN_RUN)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes", "--now", "--operator", "grace")

    assert erasure.deleted == [NEW_REQUEST, OPEN_RUN]
    assert code == 0
    assert "count from zero again" in output

    [line] = [vars(record) for record in caplog.records if record.name == "audit"]

    assert (line["audit_event"], line["limits_lost"]) == ("sensitive_delete:grace,mailbox", True)
    assert "ada" not in str(line).lower()


def test_an_open_mailbox_that_began_its_next_run_is_reported(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring
) -> None:
    """Between the search and the deletion a mailbox may continue as new."""
    erasure = FakeErasure(OPEN_RUN)
    delete = erasure.delete

    async def continue_as_new(runs: tuple[StoredRun, ...]) -> tuple[StoredRun, ...]:
        erasure.runs = [StoredRun("mailbox", "mailbox/p", "m4", True, NOW)]
        return await delete(runs)

    monkeypatch.setattr(erasure, "delete", continue_as_new)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes", "--now")

    assert code == os.EX_TEMPFAIL
    assert "1 of them are still" in output


@pytest.mark.parametrize(("typed", "deleted"), [("n\n", []), ("y\n", [OLD_RUN])])
def test_on_a_terminal_the_command_asks(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, typed: str, deleted: list[StoredRun]
) -> None:
    """Without a yes nothing is deleted."""
    erasure = FakeErasure(OLD_RUN)

    code, _ = run(monkeypatch, wiring, erasure, ADA, typed=typed, terminal=True)

    assert erasure.deleted == deleted
    assert code == (0 if deleted else os.EX_TEMPFAIL)


def test_without_a_terminal_nothing_is_deleted_unless_told(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """A script has to say ``--yes``; without it, the command shows what it would do."""
    erasure = FakeErasure(OLD_RUN)

    code, output = run(monkeypatch, wiring, erasure, ADA)

    assert (code, erasure.deleted) == (os.EX_USAGE, [])
    assert "to be deleted: 1 runs of the mailbox" in output


def test_the_address_may_come_from_standard_input(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """So it stands in no shell history and no list of processes; it is printed masked."""
    erasure = FakeErasure()
    address = parse_address(ADA)
    assert address is not None

    code, output = run(monkeypatch, wiring, erasure, "-", "--yes", typed=f"{ADA}\n")

    assert code == 0
    assert erasure.asked == [(wiring.pseudonyms.mailbox(address), None)]
    assert ADA not in output and "a***@e***.com" in output
    assert "Temporal holds nothing under this account key" in output


def test_a_search_knows_every_spelling_of_the_address(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """Requests are compared by their mailbox, as their mails were counted."""
    erasure = FakeErasure()
    run(monkeypatch, wiring, erasure, ADA, "--yes", "--search")
    [(_, belongs)] = erasure.asked

    assert [belongs(email) for email in ("ADA+news@example.com", "bob@example.com", "no address")] == [
        True,
        False,
        False,
    ]


def test_the_report_for_programs(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """Times are RFC 3339, and null where something is held for ever."""
    erasure = FakeErasure(OLD_REQUEST, OPEN_RUN, UNREADABLE, unreadable_requests=3, stuck=(OLD_REQUEST,))

    _, output = run(monkeypatch, wiring, erasure, ADA, "--yes", "--json")
    report = json.loads(output.splitlines()[0])

    assert report.pop("mailbox")
    assert report == {
        "deleted": {"request": 1},
        "kept": {"mailbox": 2},
        "again_at": "2026-11-28T16:00:00+00:00",
        "being_deleted": 1,
        "recorded_by_worker": None,
        "unreadable": 1,
        "unreadable_requests": 3,
        "unsearched_until": "2026-12-04T16:00:00+00:00",
        "topics": {"signin.requested.dlt": "2026-11-28T15:00:00+00:00", "signin.requested": None},
        "unknown_topics": {},
    }


def test_the_erasure_has_one_line_in_the_audit_trail(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, caplog: pytest.LogCaptureFixture
) -> None:
    """What deletes nothing has none."""
    with caplog.at_level(logging.INFO, logger="audit"):
        run(monkeypatch, wiring, FakeErasure(), ADA, "--yes")

    assert [record for record in caplog.records if record.name == "audit"] == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), TemporalUnavailable()])
def test_an_erasure_that_ends_halfway_is_in_the_audit_trail(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring, caplog: pytest.LogCaptureFixture, failure: BaseException
) -> None:
    """It has deleted something, so its line is written before the first deletion."""
    erasure = FakeErasure(NEW_REQUEST, OPEN_RUN)

    async def fail(_runs: tuple[StoredRun, ...]) -> tuple[StoredRun, ...]:
        raise failure

    monkeypatch.setattr(erasure, "delete", fail)

    code, _ = run(monkeypatch, wiring, erasure, ADA, "--yes", "--now")

    assert code != 0
    assert [vars(record)["limits_lost"] for record in caplog.records if record.name == "audit"] == [True]


def test_a_run_that_cannot_be_read_here_stays_for_whoever_can(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring
) -> None:
    """Nothing else names its requests. Waiting does not help: the key does, or ``--now`` if the key is lost."""
    erasure = FakeErasure(OLD_REQUEST, UNREADABLE)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes")

    assert (code, erasure.deleted) == (os.EX_TEMPFAIL, [OLD_REQUEST])
    assert "1 of these runs are encrypted under a key that this command does not have" in output
    assert "Run this again after" not in output

    code, _ = run(monkeypatch, wiring, erasure, ADA, "--yes", "--now")

    assert (code, erasure.deleted[1:]) == (0, [OLD_REQUEST, UNREADABLE])


def test_a_search_tells_how_many_requests_it_could_not_read(
    monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring
) -> None:
    """Some of them may be the person's, even if nothing else is found."""
    _, output = run(monkeypatch, wiring, FakeErasure(unreadable_requests=2), ADA, "--yes", "--search")
    assert "2 requests of all people are encrypted under a key that this command does not have" in output


def test_nobody_is_looked_for_under_a_made_up_key(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """Without the workers' account key nobody is found, which would look like an erasure that has nothing to do."""
    wiring.settings.keys.model_fields_set.discard("account")
    erasure = FakeErasure(OLD_RUN)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--yes")

    assert (code, erasure.asked) == (os.EX_CONFIG, [])
    assert "SIGNIN_KEYS__ACCOUNT is missing" in output


def test_with_json_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, wiring: FakeWiring) -> None:
    """A question would stand in the JSON, and without the plan."""
    erasure = FakeErasure(OLD_RUN)

    code, output = run(monkeypatch, wiring, erasure, ADA, "--json", typed="y\n", terminal=True)

    assert (code, erasure.deleted) == (os.EX_USAGE, [])
    assert "Delete it?" not in output and "add --yes" in output
