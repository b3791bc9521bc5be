"""What the page keeps in memory, and for how long."""

import logging

import pytest

from tests.web.clock import Clock
from tests.web.fake_worker import CODE, FakeWorker
from tests.web.person import Person
from web_login.sessions import Sessions
from web_login.sign_ins import SignIns, TooManySignIns


async def test_the_time_runs_from_the_event(person: Person, worker: FakeWorker, clock: Clock) -> None:
    """After an outage the person has the whole time: the code's begins when the worker gets the event."""
    await person.open()
    worker.is_down = True
    await person.post("/", email="ada@ok.example")
    clock.forward(200)
    worker.is_down = False
    await person.post("/", email="ada@ok.example")

    clock.forward(200)
    await person.type_code(CODE)

    assert person.is_signed_in


async def test_an_old_form_does_not_begin_its_sign_in_again(person: Person, worker: FakeWorker, clock: Clock) -> None:
    """A sign-in's form posted again after its end is out of date: its id would be a duplicate without a result."""
    await person.open()
    form = person.form
    await person.post("/", email="ada@ok.example")
    clock.forward(400)

    person.page = await person.client.post("/", data={"form": form, "email": "ada@ok.example"})
    assert len(worker.emitted("signin.requested")) == 1
    assert person.page.status_code == 409
    assert "out of date" in person.notice

    await person.post("/", email="ada@ok.example")
    assert person.asks_for_code
    assert len({event["signin_id"] for event in worker.emitted("signin.requested")}) == 2


async def test_an_old_page_signs_out(person: Person, clock: Clock) -> None:
    """However long the page has been open, "Sign out" ends the session, and the browser drops its cookie."""
    await person.request_code()
    await person.type_code(CODE)
    session = person.client.cookies["__Host-session"]
    clock.forward(2 * 3600)

    await person.sign_out()
    assert not person.is_signed_in
    assert "__Host-session" not in person.client.cookies

    person.client.cookies.set("__Host-session", session, domain="page.example")
    await person.open()
    assert not person.is_signed_in


@pytest.mark.parametrize("change", [{"submission_id": "somebody-elses-0001"}, {"signin_id": "of-another-page-000000"}])
def test_a_success_must_be_for_a_code_typed_here(change: dict[str, str]) -> None:
    """A result counts for the sign-in that it names, and a success only for a submission that this page emitted."""
    sign_ins = SignIns(lifetime_s=300, max_codes=5)
    sign_in = sign_ins.open("s" * 22, "browser", "ada@ok.example")
    assert sign_in is not None
    sign_in.submissions.add("typed-here-000001")
    result = {"signin_id": sign_in.id, "submission_id": "typed-here-000001", "account": "a"}

    sign_ins.apply("signin.succeeded", "e-1", result | change)
    assert sign_ins.state(sign_in) == "waiting"

    sign_ins.apply("signin.succeeded", "e-2", result)
    assert sign_ins.state(sign_in) == "signed_in"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of sign-ins new ones are refused, until old ones are given up."""
    monkeypatch.setattr("web_login.sign_ins._MAX_UNDER_WAY", 1)
    sign_ins = SignIns(lifetime_s=300, max_codes=5)
    first = sign_ins.open("s" * 22, "browser", "ada@ok.example")
    assert first is not None

    with pytest.raises(TooManySignIns):
        sign_ins.open("t" * 22, "browser", "ada@ok.example")

    first.begun_s -= 361
    assert sign_ins.open("t" * 22, "browser", "ada@ok.example") is not None


async def test_full_memory_is_logged(
    person: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The person is told to try again, and the operator why."""
    monkeypatch.setattr("web_login.sign_ins._MAX_UNDER_WAY", 0)
    await person.request_code()

    assert person.page.status_code == 503
    assert [(record.levelno, record.message) for record in caplog.records if record.name == "web_login"] == [
        (logging.WARNING, "memory holds no further sign-in")
    ]


def test_sessions_that_have_ended_are_forgotten(clock: Clock) -> None:
    """Most cookies never come back, so sessions that have ended go when new ones come."""
    sessions = Sessions()
    for _ in range(3):
        sessions.open("account", "ada@ok.example")
    clock.forward(6 * 3600)
    lasting = sessions.open("account", "ada@ok.example")

    clock.forward(6 * 3600 + 1)
    sessions.open("account", "ada@ok.example")

    assert len(sessions._sessions) == 2
    assert sessions.find(lasting) is not None


def test_the_clock_may_begin_while_a_sign_in_is_forgotten(clock: Clock) -> None:
    """An event that is confirmed in the sign-in's last moment makes it the newest of all."""
    sign_ins = SignIns(lifetime_s=300, max_codes=5)
    first = sign_ins.open("s" * 22, "browser", "ada@ok.example")
    assert first is not None
    clock.forward(361)
    second = sign_ins.open("t" * 22, "browser", "ada@ok.example")
    assert second is not None

    sign_ins.begin(first)
    clock.forward(200)
    sign_ins.begin(second)
    clock.forward(200)
    sign_ins.open("u" * 22, "browser", "ada@ok.example")

    assert sign_ins.find(first.handle, "browser") is None
    assert sign_ins.find(second.handle, "browser") is second
    assert sign_ins.open(first.id, "browser", "ada@ok.example") is None


def test_a_sign_in_is_given_up_a_minute_after_its_end(clock: Clock) -> None:
    """Then its success is dropped and its page is gone. Its id is free when no form can begin it again."""
    sign_ins = SignIns(lifetime_s=300, max_codes=5)
    sign_in = sign_ins.open("s" * 22, "browser", "ada@ok.example")
    assert sign_in is not None
    sign_in.submissions.add("typed-here-000001")
    result = {"signin_id": sign_in.id, "submission_id": "typed-here-000001", "account": "a"}

    clock.forward(361)
    sign_ins.apply("signin.succeeded", "e-1", result)

    assert sign_ins.find(sign_in.handle, "browser") is None
    assert sign_in.account == ""

    assert sign_ins.open("s" * 22, "browser", "ada@ok.example") is None
    clock.forward(3600)
    assert sign_ins.open("s" * 22, "another", "eve@ok.example") is not None
