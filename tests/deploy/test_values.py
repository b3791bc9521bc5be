"""Helm refuses values that make no sense before it changes anything, and names them."""

from typing import Any

import pytest

from tests.deploy.chart import IMAGE, Chart, ValuesRefused, of_kind
from tests.docs import chart_schema


def _refused(chart: Chart, changes: dict[str, Any]) -> str:
    with pytest.raises(ValuesRefused) as caught:
        chart.render("minimal", changes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"replcias": 2}, "replcias"),
        ({"resources": {"request": {"cpu": 1}}}, "request"),
        ({"settings": {"SIGNIN_OTP__DIGIT": 8}}, "SIGNIN_OTP__DIGIT"),
        ({"settings": {"TEMPORAL_ADRESS": "x:7233"}}, "TEMPORAL_ADRESS"),
        ({"keda": {"lagTreshold": 5}}, "lagTreshold"),
        ({"keda": {"behavior": {"scaleUpp": {}}}}, "scaleUpp"),
        ({"networkPolicy": {"extraEgres": []}}, "extraEgres"),
        ({"releases": {"second": {"image": IMAGE, "reads": True, "role": "all"}}}, "role"),
        ({"secret": {"files": {"SIGNIN_KEYS__ACOUNT": "x"}}}, "SIGNIN_KEYS__ACOUNT"),
    ],
)
def test_a_misspelt_name_is_refused(chart: Chart, changes: dict[str, Any], named: str) -> None:
    """On every level, the names of settings included."""
    assert named in _refused(chart, changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layout": "both"}, "layout"),
        ({"replicas": "three"}, "replicas"),
        ({"releases": {"first": {"image": "signin-worker", "reads": True}}}, "image"),
        ({"releases": {"Not_A_Name": {"image": IMAGE, "reads": True}}}, "Not_A_Name"),
        ({"releases": {"second": {"image": IMAGE}}}, "reads"),
        ({"settings": {"SIGNIN_TEMPORAL__BUILD_ID": "x"}}, "SIGNIN_TEMPORAL__BUILD_ID"),
        ({"settings": {"SIGNIN_HTTP__PORT": 9090}}, "SIGNIN_HTTP__PORT"),
        ({"externalSecret": {"enabled": True}}, "externalSecret"),
        ({"strimzi": {"user": {"enabled": True}}}, "strimzi"),
        ({"serviceAccount": {"create": False}}, "serviceAccount"),
        ({"resources": {"requests": {"memory": "lots"}}}, "memory"),
        ({"docs": {"baseUrl": "docs.corp.example"}}, "baseUrl"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(chart: Chart, changes: dict[str, Any], named: str) -> None:
    """A wrong type, an image without digest or tag, a variable that the chart sets, half an integration."""
    assert named in _refused(chart, changes)


def test_a_secret_among_the_settings_is_refused(chart: Chart) -> None:
    """Helm stores values in the cluster, so no secret may be one."""
    for name in ("SIGNIN_SMTP__PASSWORD", "SIGNIN_KEYS__ACCOUNT", "TEMPORAL_API_KEY"):
        assert name in _refused(chart, {"settings": {name: "hunter2"}})


@pytest.mark.parametrize("name", ["TEMPORAL_ADDRESS", "SIGNIN_KAFKA__BOOTSTRAP_SERVERS", "SIGNIN_SMTP__HOST"])
def test_a_missing_address_is_named(chart: Chart, name: str) -> None:
    """Without the addresses, nothing is installed."""
    settings = {each: "x" for each in ("TEMPORAL_ADDRESS", "SIGNIN_KAFKA__BOOTSTRAP_SERVERS", "SIGNIN_SMTP__HOST")}
    del settings[name]
    done = chart.run_alone({"releases": {"first": {"image": IMAGE, "reads": True}}, "settings": settings})
    assert done.returncode != 0
    assert name in done.stderr


def test_two_releases_need_a_worker_deployment(chart: Chart) -> None:
    """Without one, they would fail each other's workflow tasks."""
    assert "worker deployment" in _refused(
        chart, {"deployment": "", "releases": {"second": {"image": IMAGE, "reads": False}}}
    )


@pytest.mark.parametrize("name", ["sign-in", ""])
def test_strimzis_user_is_the_one_that_logs_in(chart: Chart, name: str) -> None:
    """Else Kafka would refuse the login, and no line of the log would say that two values differ."""
    login = {"settings": {"SIGNIN_KAFKA__SASL_USERNAME": None if name else "somebody"}}
    refusal = _refused(chart, {"strimzi": {"cluster": "signin", "user": {"enabled": True, "name": name}}} | login)
    assert "SIGNIN_KAFKA__SASL_USERNAME" in refusal
    assert name or "signin-worker" in refusal


def test_topics_are_made_by_one_or_the_other(chart: Chart) -> None:
    """A Job and Strimzi would fight over them."""
    changes = {"strimzi": {"cluster": "signin", "topics": {"enabled": True}}}
    assert "not by both" in _refused(chart, changes)


def test_nothing_optional_is_on(chart: Chart) -> None:
    """A cluster without any operator takes the least values."""
    groups = {each["apiVersion"] for each in chart.render("minimal")}
    assert groups == {"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1"}
    assert of_kind(chart.render("minimal"), "Secret") == []


def test_the_schema_has_the_settings_of_the_code() -> None:
    """``python -m tests.docs`` writes them."""
    assert chart_schema.SCHEMA.read_text() == chart_schema.text()
