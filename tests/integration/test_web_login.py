"""The example of a sign-in page on real servers: a browser, Kafka, a worker, Temporal and a mail server."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
from playwright.async_api import expect

from deploy.local.places import LOOPBACK, free_ports
from deploy.local.served import ServedApp
from deploy.local.servers.backends import Kafka, Temporal
from deploy.local.servers.dns_server import DnsServer
from deploy.local.servers.mail_server import MailServer
from deploy.local.servers.outside import outside_settings
from deploy.local.servers.siteverify import SiteverifyServer
from deploy.local.topics import Topics
from deploy.local.worker import LocalWorker, development_settings
from tests.web.chromium import assert_accessible, needs_chromium, running_browser
from web_login.app import create_app
from web_login.settings import Settings

WITHIN_S: Final = 30
QUICK: Final = {"SIGNIN_LIMITS__SEND_COOLDOWN_S": "1", "SIGNIN_OTP__SHORTEST_RESEND_S": "1"}


@dataclass(frozen=True)
class Site:
    """The page's address, and the mails that its people get."""

    url: str
    mail_server: MailServer

    async def code(self, email: str, *, count: int = 1) -> str:
        """Wait for a mail, and read the code as people may copy it."""
        code = (await self.mail_server.mail_to(email, count=count, within_s=WITHIN_S)).code()
        return f"{code[:4]} {code[4:]}"


@pytest.fixture
async def site(
    kafka: Kafka,
    temporal: Temporal,
    mail_server: MailServer,
    siteverify: SiteverifyServer,
    dns_server: DnsServer,
) -> AsyncIterator[Site]:
    """Give a page whose events a worker reads."""
    topics = Topics.fresh("web")
    places = {
        "SIGNIN_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        **outside_settings(mail_server, siteverify, dns_server),
        "TEMPORAL_ADDRESS": temporal.address,
    }
    worker_port, port = free_ports(2)
    worker = LocalWorker(development_settings(places | topics.settings() | QUICK), worker_port)
    served = ServedApp(create_app(_settings(kafka, topics, port)), port=port, lifespan=True)

    try:
        await worker.create_topics()
        await worker.start()
        await served.start()
        yield Site(f"http://localhost:{port}", mail_server)
    finally:
        await served.stop()
        worker.stop()


def _settings(kafka: Kafka, topics: Topics, port: int) -> Settings:
    return Settings(
        origin=f"http://localhost:{port}",
        bootstrap_servers=kafka.bootstrap_servers,
        requested_topic=topics.requested,
        submitted_topic=topics.submitted,
        results_topic=topics.results,
        test_token="pass.{signin_id}.{random}",
        resend_after_s=2,
    )


async def test_with_forms_alone(site: Site) -> None:
    """Who only posts forms signs in, and is shown the account."""
    async with httpx.AsyncClient(
        base_url=site.url, headers={"origin": site.url}, follow_redirects=True, trust_env=False
    ) as person:
        start = await person.get("/")
        page = await person.post("/", data={"form": _form(start.text), "email": "ada@ok.example"})
        code = await site.code("ada@ok.example")

        signed_in = await person.post(page.url.path, data={"form": _form(page.text), "code": code})

        assert "Signed in as" in signed_in.text
        assert re.search(r'class="account">[A-Za-z0-9_-]{43}<', signed_in.text)
        assert (await person.get(f"http://{LOOPBACK}:{page.url.port}/healthz")).is_success


@needs_chromium
async def test_in_a_browser(site: Site) -> None:
    """An address that does not exist, then a wrong code, a second mail with the same code, and the right code."""
    async with running_browser() as browser:
        page = await browser.new_page(locale="en-GB")
        page.set_default_timeout(WITHIN_S * 1000)

        await page.goto(site.url)
        await page.get_by_label("E-mail address").fill("ada@nxdomain.test")
        await page.get_by_role("button", name="Send me a code").click()
        await expect(page.get_by_role("alert")).to_contain_text("Mail cannot reach", timeout=WITHIN_S * 1000)

        await page.get_by_label("E-mail address").fill("grace@ok.example")
        await page.get_by_role("button", name="Send me a code").click()
        code = await site.code("grace@ok.example")
        await page.get_by_label("Code").fill("1234 5678" if code != "1234 5678" else "1234 5679")
        await page.get_by_label("Code").press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("That is not the code")
        await assert_accessible(page)

        await page.locator("#resend[aria-disabled=false]").click()
        assert await site.code("grace@ok.example", count=2) == code

        await page.get_by_label("Code").fill(code)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()


def _form(page: str) -> str:
    (token, *_) = re.findall(r'name="form" value="([^"]+)"', page)
    return str(token)
