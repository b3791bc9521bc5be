"""One code that is typed is one try, however often its form is posted."""

import asyncio

import httpx
import pytest

from deploy.local.waiting import eventually
from tests.web.fake_worker import CODE, FakeWorker
from tests.web.person import Person


async def test_a_form_posted_twice_is_one_submission(person: Person, worker: FakeWorker) -> None:
    """Two clicks on the button cost one try; the same form with another code costs another."""
    await person.request_code()
    path = person.page.url.path
    form = person.form

    for code in ("00000000", "0000 0000".replace(" ", ""), "00000001"):
        await person.client.post(path, data={"form": form, "code": code})

    first, again, other = (event["submission_id"] for event in worker.emitted("otp.submitted"))
    assert first == again != other


@pytest.mark.parametrize("settings", [{"max_codes": 1, "verdict_within_s": 20}], indirect=True)
async def test_two_clicks_on_the_last_code(person: Person, worker: FakeWorker) -> None:
    """The right code as the last try signs in, also if the form is posted again before its result is there."""
    await person.request_code()
    worker.is_slow = True

    async def click() -> httpx.Response:
        return await person.client.post(person.page.url.path, data={"form": person.form, "code": CODE})

    async def is_emitted() -> bool:
        return bool(worker.emitted("otp.submitted"))

    first = asyncio.create_task(click())
    await eventually(is_emitted, "the code is emitted", within_s=20)
    again = asyncio.create_task(click())
    await asyncio.wait([again], timeout=0.2)
    worker.publish()

    assert ['action="/sign-out"' in answer.text for answer in await asyncio.gather(first, again)] == [True, True]


@pytest.mark.parametrize("settings", [{"max_codes": 1}], indirect=True)
async def test_a_code_that_is_posted_again_after_an_outage_is_a_try(person: Person, worker: FakeWorker) -> None:
    """The same form, by the back button, emits the same submission: the worker counts it, and so does the page."""
    await person.request_code()
    posted = {"form": person.form, "code": "00000000"}
    path = person.page.url.path

    worker.is_down = True
    person.page = await person.client.post(path, data=posted)
    assert "wrong on our side" in person.notice

    worker.is_down = False
    person.page = await person.client.post(path, data=posted)
    assert "start again" in person.notice
