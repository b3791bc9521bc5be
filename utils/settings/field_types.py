"""Types of settings that several sections share, and the checks behind them.

No error text holds the value: it may be a secret.
"""

import os
import re
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from utils.smtp.message import sender_address

_MIN_TOKEN_LENGTH: Final = 32
_MAX_PORT: Final = 65_535
_DEFAULT_BROKER_PORT: Final = 9092
_BROKER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:(?P<port>[0-9]{1,5}))?")
_ORIGIN: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def _split(value: str) -> tuple[str, ...]:
    parts = (part.strip() for part in value.split(","))
    return tuple(part for part in parts if part)


def _check_brokers(values: tuple[str, ...]) -> tuple[str, ...]:
    for place, value in enumerate(values, start=1):
        broker = _BROKER.fullmatch(value)
        if broker is None or not 1 <= int(broker["port"] or _DEFAULT_BROKER_PORT) <= _MAX_PORT:
            raise ValueError(f"entry {place} must be host:port")

    return values


def _check_ip_addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    for place, value in enumerate(values, start=1):
        try:
            ip_address(value)
        except ValueError:
            raise ValueError(f"entry {place} must be an IP address") from None

    return values


def _check_origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for place, value in enumerate(values, start=1):
        if not _ORIGIN.fullmatch(value):
            raise ValueError(f"entry {place} must look like https://temporal.example.com, without a path")

    return values


def _check_url(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError("must start with https://")
    return value


def _check_sender(value: str) -> str:
    sender_address(value)
    return value


def _check_token(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < _MIN_TOKEN_LENGTH:
        raise ValueError(f"must be at least {_MIN_TOKEN_LENGTH} characters long: use a random one")
    return value


def _check_file(value: str) -> str:
    if os.path.isdir(value) or not os.access(value, os.R_OK):
        raise ValueError("names a file that cannot be read: check its path and permissions")
    return value


def _check_authorities(value: str) -> str:
    try:
        ssl.create_default_context(cafile=_check_file(value))
    except OSError:  # ssl's own errors are of this kind
        raise ValueError("names a file without a certificate (PEM): put the trusted authorities into it") from None
    return value


def _check_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError("does not name a folder")
    return path


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]
Brokers = Annotated[CommaList, Field(min_length=1), AfterValidator(_check_brokers)]
IpAddresses = Annotated[CommaList, AfterValidator(_check_ip_addresses)]
Origins = Annotated[CommaList, AfterValidator(_check_origins)]

Port = Annotated[int, Field(ge=1, le=_MAX_PORT)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,245}$")]
"""A topic whose dead-letter topic still has a valid name: Kafka allows 249 characters."""

DeploymentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""Temporal joins it and the build id with a dot or a colon."""
BuildId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]

Url = Annotated[str, AfterValidator(_check_url)]
Sender = Annotated[str, AfterValidator(_check_sender)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
File = Annotated[str, AfterValidator(_check_file)]
AuthoritiesFile = Annotated[str, AfterValidator(_check_authorities)]
Folder = Annotated[Path, AfterValidator(_check_folder)]

Upper = BeforeValidator(str.upper)
Lower = BeforeValidator(str.lower)
