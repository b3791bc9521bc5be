"""One sign-in through the stack, from outside: by its published ports and by the commands in the worker's container."""

import contextlib
import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.local.places import StackError
from deploy.local.waiting import run_in_thread, wait_for
from tests.compose.docker import Compose

EMAIL: Final = "ada@people.example"
_MAILS: Final = "http://127.0.0.1:8025/api/v1"
_BROKERS: Final = "127.0.0.1:29092"
_CODE: Final = re.compile(r"^\s*(\d{4}[ -]?\d{4})\s*$", re.MULTILINE)
_WITHIN_S: Final = 120
_PAGES: Final = {
    "worker": "http://127.0.0.1:8080/readyz",
    "Temporal's web UI": "http://127.0.0.1:8233/",
    "Mailpit": "http://127.0.0.1:8025/readyz",
    "Prometheus": "http://127.0.0.1:9090/-/ready",
    "Grafana": "http://127.0.0.1:3000/api/health",
}

Say = Callable[[str], None]


def check_pages(say: Say) -> None:
    """Read a page of each service whose port is published, and find the worker among Prometheus' targets."""
    for name, url in _PAGES.items():
        wait_for(partial(_answers, url), f"{name} ({url})", within_s=_WITHIN_S)
    wait_for(lambda: _targets() == ["up"], "Prometheus' target", within_s=_WITHIN_S)

    rules = _json("http://127.0.0.1:9090/api/v1/rules")["data"]["groups"]
    files = sorted({group["file"].rpartition("/")[2] for group in rules})
    _require(files == ["alerts.yml", "slo.yml"], f"Prometheus has the rules of {files}")
    _require(_status("http://127.0.0.1:8081/") == 404, "the codec server has a page at /")
    say(f"answers: {', '.join(_PAGES)}, the codec server; Prometheus scrapes the worker and has {files}")


def _answers(url: str) -> bool:
    return _status(url) == 200


def sign_in(compose: Compose, say: Say) -> str:
    """Request a code, read it in the mail catcher, submit it, and wait for the result; return the sign-in's id."""
    began = time.monotonic()
    signin_id = str(json.loads(compose.worker("request", EMAIL, "--token", "any", "--json"))["signin_id"])
    wait_for(lambda: bool(_mails()) or bool(_failures(signin_id)), "the mail", within_s=_WITHIN_S)
    _require(not _failures(signin_id), f"the request ended with {_failures(signin_id)}")

    code = _code(_mails()[0]["ID"])
    say(f"a mail with a code of {len(code)} digits arrived after {time.monotonic() - began:.1f} s")
    compose.worker("submit", signin_id, EMAIL, code)
    wait_for(lambda: "signin.succeeded" in _results(signin_id), "signin.succeeded", within_s=_WITHIN_S)

    results = _results(signin_id)
    _require(results == ["signin.code_sent", "signin.succeeded"], f"the results are {results}")
    say(f"results: {', '.join(results)}")
    return signin_id


def _mails() -> list[dict[str, Any]]:
    return list(_json(f"{_MAILS}/search?query=to:{EMAIL}")["messages"])


def _code(mail_id: str) -> str:
    text = str(_json(f"{_MAILS}/message/{mail_id}")["Text"])
    found = _CODE.findall(text)
    _require(len(found) == 1, f"the mail has {len(found)} codes:\n{text}")
    return re.sub(r"\D", "", found[0])


def _failures(signin_id: str) -> list[str]:
    return [kind for kind in _results(signin_id) if kind not in ("signin.code_sent", "signin.succeeded")]


def _results(signin_id: str) -> list[str]:
    """Read the types of a sign-in's results through the published port of Kafka. None while it does not answer."""
    with contextlib.suppress(KafkaError):
        return run_in_thread(_read_results(signin_id))
    return []


async def _read_results(signin_id: str) -> list[str]:
    consumer = AIOKafkaConsumer("signin.results", bootstrap_servers=_BROKERS, auto_offset_reset="earliest")
    found: list[str] = []

    async with consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                mine = (record for record in records if record.key == signin_id.encode())
                found += (dict(record.headers)["ce_type"].decode() for record in mine)
    return found


def _targets() -> list[str]:
    return [target["health"] for target in _json("http://127.0.0.1:9090/api/v1/targets")["data"]["activeTargets"]]


def _status(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def _json(url: str) -> Any:
    return httpx.get(url, trust_env=False, timeout=30).raise_for_status().json()


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise StackError(otherwise)
