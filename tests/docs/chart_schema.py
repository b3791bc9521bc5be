"""The settings in the chart's ``values.schema.json``: Helm refuses a misspelt one, and a secret among the settings.

``python -m tests.docs`` writes them, and a test fails while they differ from the code.
"""

import json
from typing import Any, Final

from deploy.local.places import PROJECT
from utils.cli.terminal import settings_table
from utils.settings.environment import variables
from utils.settings.loading import Settings

SCHEMA: Final = PROJECT / "deploy" / "helm" / "signin-worker" / "values.schema.json"

TEMPORAL: Final = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_CONFIG_FILE",
    "TEMPORAL_NAMESPACE",
    "TEMPORAL_PROFILE",
    "TEMPORAL_TLS",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    "TEMPORAL_TLS_SERVER_NAME",
)
"""Variables of Temporal's client that are not secret."""

_OTHERS: Final = ("SSL_CERT_FILE",)
_SECRETS: Final = ("TEMPORAL_API_KEY",)
_SET_BY_THE_CHART: Final = (
    "SIGNIN_HTTP__HOST",
    "SIGNIN_HTTP__PORT",
    "SIGNIN_TEMPORAL__DEPLOYMENT",
    "SIGNIN_TEMPORAL__BUILD_ID",
)


def with_settings(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with all settings and all secrets of the code."""
    described = dict(settings_table())
    known = [variable for variable in variables(Settings) if variable.name not in _SET_BY_THE_CHART]
    plain = [variable.name for variable in known if not variable.secret]
    secret = [variable.name for variable in known if variable.secret]

    values = schema["properties"]
    values["settings"]["properties"] = {
        name: _entry("setting", described.get(name)) for name in [*plain, *TEMPORAL, *_OTHERS]
    }
    values["secret"]["properties"]["files"]["properties"] = {
        name: _entry("key", described.get(name)) for name in [*secret, *_SECRETS]
    }

    return schema


def write() -> None:
    """Write the settings into the schema."""
    SCHEMA.write_text(text())


def text() -> str:
    """Return the schema's file as it should be."""
    return json.dumps(with_settings(json.loads(SCHEMA.read_text())), indent=2, ensure_ascii=False) + "\n"


def _entry(kind: str, description: str | None) -> dict[str, Any]:
    """Return a property. Draft 7 ignores what stands beside a reference, so the reference is in a list."""
    entry: dict[str, Any] = {"allOf": [{"$ref": f"#/definitions/{kind}"}]}
    return {"description": description} | entry if description else entry
