"""Records the history of a case: what happens as it happens, and at the end what the servers hold."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from deploy.local.servers.mail_server import ReceivedMail
from tests.faults.evidence import committed_offsets, ends_of, read_topic, signals_of_run
from tests.faults.history import History
from tests.faults.ledger import Poison, Request
from tests.faults.stage import Stage
from tests.faults.upstream import Emission

_FORMAT: Final = 1
_MEMBERS: Final = ("attempt", "submission_id", "reason", "attempts_left")
_SEPARATORS: Final = re.compile(r"[\s-]")


class Recorder:
    """Follows the people of a stage and its mail server until ``close``."""

    def __init__(self, history: History, stage: Stage) -> None:
        self.history = history
        self._stage = stage
        stage.history = history
        history.append("begun", format=_FORMAT, inbound=list(stage.topics.inbound))
        stage.upstream.follow(self._emitted)
        stage.servers.mail_server.follow(self._mail)

    async def close(self) -> None:
        """Append what Kafka and Temporal hold, and close the history."""
        await self._records()
        await self._workflows()
        await self._logs()
        self.history.close()

    def _emitted(self, emission: Emission) -> None:
        topic, partition, offset = emission.position
        self.history.append(
            "emitted",
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp=emission.timestamp / 1_000,
            ce_id=_text(dict(emission.headers).get("ce_id")),
            **self._content(emission.key, emission.value, emission.headers),
            **self._meaning(emission),
        )

    def _meaning(self, emission: Emission) -> Mapping[str, Any]:
        if isinstance(emission.event, Poison):
            return {"means": "garbage"}

        event = json.loads(emission.value or b"")
        common = {"signin_id": event["signin_id"], "account": self._account(event["email"])}
        if isinstance(emission.event, Request):
            return {
                "means": "request",
                **common,
                "attempt": event["attempt"],
                "token_passes": event["turnstile_token"].startswith(f"pass.{event['signin_id']}."),
                "domain_exists": not event["email"].endswith("@nxdomain.test"),
            }

        return {
            "means": "submission",
            **common,
            "submission_id": event["submission_id"],
            "code": self._code(event["code"]),
        }

    def _mail(self, mail: ReceivedMail) -> None:
        if self.history.closed or not mail.accepted:
            return

        self.history.append(
            "mail",
            at=mail.received_at.timestamp(),
            message_id=self.history.digest(str(mail.message["Message-ID"])),
            account=self._account(mail.recipients[0]),
            code=self._code(mail.code()),
        )

    def _stored(self, record: Any) -> None:
        content = self._content(record.key, record.value, record.headers)
        self.history.append("stored", **_place(record), **content)

    def _result(self, record: Any) -> None:
        value = json.loads(record.value)
        expires_at = value.get("expires_at")
        members = {name: value.get(name) for name in _MEMBERS}

        self.history.append(
            "result",
            **_place(record),
            key=_text(record.key) or "",
            value=self.history.digest(record.value),
            headers=[[name, header.decode()] for name, header in record.headers],
            signin_id=value["signin_id"],
            occurred_at=_seconds(value["occurred_at"]),
            expires_at=expires_at and _seconds(expires_at),
            **members,
        )

    def _dead_letter(self, record: Any) -> None:
        added = {name: value.decode() for name, value in record.headers if name.startswith("dlt-")}
        own = [header for header in record.headers if not header[0].startswith("dlt-")]

        self.history.append(
            "dead_letter",
            **_place(record),
            origin=[added["dlt-topic"], int(added["dlt-partition"]), int(added["dlt-offset"])],
            error=added["dlt-error"],
            **self._content(record.key, record.value, own),
        )

    async def _records(self) -> None:
        brokers = self._stage.bootstrap_servers
        topics = self._stage.topics

        for topic in topics.inbound:
            for record in await read_topic(brokers, topic):
                self._stored(record)

        for record in await read_topic(brokers, topics.results):
            self._result(record)

        for topic in topics.dead_letters:
            for record in await read_topic(brokers, topic):
                self._dead_letter(record)

    async def _workflows(self) -> None:
        """Append all runs, the oldest first, each with its signals."""
        temporal = self._stage.temporal
        runs = [run async for run in temporal.list_workflows(self._stage.topics.workflows)]

        for run in sorted(runs, key=lambda run: run.start_time):
            self.history.append(
                "workflow",
                id=run.id,
                run_id=run.run_id,
                started=run.start_time.timestamp(),
                status=run.status.name if run.status else "UNKNOWN",
            )
            if run.id.startswith("mailbox/"):
                for submission_id in await signals_of_run(temporal, run):
                    self.history.append("signal", workflow=run.id, submission_id=submission_id)

    async def _logs(self) -> None:
        topics = self._stage.topics
        brokers = self._stage.bootstrap_servers
        committed = await committed_offsets(brokers, topics)
        ends = await ends_of(brokers, *topics.inbound, topics.results, *topics.dead_letters)

        for (topic, partition), end in ends.items():
            offset = committed.get((topic, partition))
            self.history.append("log", topic=topic, partition=partition, end=end, committed=offset)

    def _content(
        self, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
    ) -> Mapping[str, str]:
        plain = json.dumps([[name, value.hex()] for name, value in headers])
        return {
            "key": self.history.digest(key),
            "value": self.history.digest(value),
            "headers": self.history.digest(plain),
        }

    def _account(self, address: str) -> str:
        return self.history.digest(address.lower())

    def _code(self, code: str) -> str:
        return self.history.digest(_SEPARATORS.sub("", code))


def _place(record: Any) -> Mapping[str, Any]:
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp / 1_000,
    }


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode()


def _seconds(time_text: str) -> float:
    return datetime.fromisoformat(time_text).timestamp()
