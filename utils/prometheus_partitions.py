"""Prometheus: the metrics of each partition that a process owns (CONTRACT, metrics)."""

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from consumers.metrics import PartitionPosition
from consumers.ports import Partition

_OFFSET_KINDS: Final = ("end", "stable_end", "watermark", "committed")


class PartitionGauges:
    """The metrics of each partition that this process owns."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = partial(Gauge, registry=registry)
        labels = ("topic", "partition")
        self._lag = gauge(
            "signin_consumer_lag_records",
            "Records from the watermark to the high-water mark, also unread ones and those of open transactions.",
            labels,
        )
        self._oldest_age = gauge(
            "signin_consumer_oldest_unfinished_age_seconds",
            "Age of the first record that is not finished, read or not.",
            labels,
        )
        self._head_of_line = gauge(
            "signin_consumer_head_of_line_seconds",
            "How long this process has worked on the first record that is not finished.",
            labels,
        )
        self._offset = gauge(
            "signin_consumer_offset",
            "Offsets: the high-water mark (end), what can be read ends (stable_end), the watermark (next to commit), "
            "and what is committed.",
            (*labels, "kind"),
        )
        self._open_transaction = gauge(
            "signin_consumer_open_transaction_seconds",
            "How long one open transaction has kept the records behind it from being read.",
            labels,
        )

    def show(self, position: PartitionPosition) -> None:
        """Set the gauges of a partition. A lag that is not known disappears: an old one would look like a true one."""
        labels = _labels(position.partition)
        self._head_of_line.labels(**labels).set(position.head_of_line_s)
        self._open_transaction.labels(**labels).set(position.open_transaction_s)

        if position.lag is not None:
            self._lag.labels(**labels).set(position.lag)
        else:
            self._lag.remove_by_labels(labels)

        if position.oldest_unfinished_age_s is not None:
            self._oldest_age.labels(**labels).set(position.oldest_unfinished_age_s)
        elif position.lag is None:
            self._oldest_age.remove_by_labels(labels)

        for kind in _OFFSET_KINDS:
            offset = getattr(position, kind)
            if offset is not None:
                self._offset.labels(**labels, kind=kind).set(offset)

    def forget(self, partition: Partition) -> None:
        """Remove the gauges of a partition that is no longer owned."""
        labels = _labels(partition)
        for gauge in (self._lag, self._oldest_age, self._head_of_line, self._offset, self._open_transaction):
            gauge.remove_by_labels(labels)


def _labels(partition: Partition) -> dict[str, str]:
    return {"topic": partition.topic, "partition": str(partition.number)}
