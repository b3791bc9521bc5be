"""What the chart asks of Prometheus, KEDA, Strimzi and the External Secrets Operator fits the worker."""

import re
from typing import Any, Final

import pytest
import yaml

from deploy.local.places import PROJECT
from deploy.prometheus.runbook import documentation_url
from tests.deploy.chart import CHART, IMAGE, Chart, Manifest, of_kind, only
from utils.checks.kafka import topic_uses
from utils.kafka.topics import planned_topics
from workflows.names import mail_task_queue, mailbox_task_queue

_TOPICS: Final = ("signin.requested", "otp.submitted", "signin.results")


def _annotations(chart: Chart, changes: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return the annotations of each alert, by its name."""
    groups = [
        group
        for each in of_kind(chart.render("everything", changes), "PrometheusRule")
        for group in each["spec"]["groups"]
    ]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"] for rule in rules}


def test_prometheus_gets_every_rule(chart: Chart) -> None:
    """The rules stand in deploy/prometheus alone; the chart changes only the documents' address."""
    files = {file for file in (PROJECT / "deploy" / "prometheus").glob("*.yml") if not file.name.endswith(".test.yml")}
    assert {file.resolve() for file in (CHART / "files").iterdir()} == files

    same = {"docs": {"baseUrl": documentation_url()}}
    made = [each["spec"]["groups"] for each in of_kind(chart.render("everything", same), "PrometheusRule")]
    written = [yaml.safe_load(file.read_text())["groups"] for file in sorted(files)]
    assert sorted(made, key=str) == sorted(written, key=str)


@pytest.mark.parametrize("base", ["https://runbooks.corp.example/signin", "http://docs.internal:8000/"])
def test_alerts_link_to_where_the_documents_are_published(chart: Chart, base: str) -> None:
    """With or without a slash at its end, the address leads to the alert's section."""
    for alert, annotations in _annotations(chart, {"docs": {"baseUrl": base}}).items():
        assert annotations["runbook_url"] == f"{base.rstrip('/')}/runbook/#{alert.lower()}"


def test_alerts_have_no_link_to_documents_that_nobody_has_published(chart: Chart) -> None:
    """By default they name the section in the release's sources instead of a host that nobody runs."""
    headings = re.findall(r"^### (\w+)$", (PROJECT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    default = {"docs": {"baseUrl": ""}}

    for alert, annotations in _annotations(chart, default).items():
        assert annotations.keys() == {"summary", "description", "runbook"}
        assert annotations["runbook"] == f"docs/runbook.md#{alert.lower()}"
        assert alert in headings
    assert "runbook_url" in chart.notes("everything", default)


def test_the_alerts_find_their_job(chart: Chart) -> None:
    """The operator would call the job NAMESPACE/NAME; the alerts and the dashboard ask for ``signin-worker``."""
    monitor = only(chart.render("everything"), "PodMonitor")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    named = {each["targetLabel"]: each.get("replacement") for each in endpoint["relabelings"]}

    assert 'job="signin-worker"' in (PROJECT / "deploy" / "prometheus" / "alerts.yml").read_text()
    assert named["job"] == "signin-worker"
    assert endpoint["path"] == "/metrics"


def test_strimzi_makes_the_topics_that_the_command_would_make(chart: Chart) -> None:
    """Names, partitions and settings are those of ``signin-worker topics create``."""
    topics = {each["spec"]["topicName"]: each["spec"] for each in of_kind(chart.render("everything"), "KafkaTopic")}
    plans = {plan.name: plan for plan in planned_topics(*_TOPICS, partitions=12)}

    assert topics.keys() == plans.keys()
    for name, plan in plans.items():
        config = {key: str(value) for key, value in topics[name]["config"].items()}
        assert config == dict(plan.settings) | {"min.insync.replicas": "2"}
        assert topics[name]["partitions"] == plan.partitions


def test_strimzis_user_has_the_rights_that_the_check_asks_for(chart: Chart) -> None:
    """No more and no less, for ``run`` and for the commands of operators."""
    user = only(chart.render("everything"), "KafkaUser")
    granted = {
        (each["resource"]["type"], each["resource"]["name"]): set(each["operations"])
        for each in user["spec"]["authorization"]["acls"]
    }
    uses = topic_uses(planned_topics(*_TOPICS), "signin.results")
    needed = {("topic", use.plan.name): {*use.required, *use.optional} for use in uses}
    needed |= {("group", name): {"Read"} for name in ("signin-worker", "signin-worker.dlt-replay")}

    assert granted == needed


def test_uninstalling_keeps_what_cannot_be_made_again(chart: Chart) -> None:
    """Topics and the account key outlive the installation."""
    manifests = chart.render("everything")
    target = only(manifests, "ExternalSecret")["spec"]["target"]
    assert (target["creationPolicy"], target["deletionPolicy"]) == ("Orphan", "Retain"), "an owner takes it along"
    for topic in of_kind(manifests, "KafkaTopic"):
        assert topic["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_deployment_that_scales_sets_no_number_of_pods(chart: Chart) -> None:
    """Else each upgrade would undo what the scaler decided, and a release that begins to read would fall to one."""
    manifests = chart.render("everything")
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(manifests, "ScaledObject")}
    fixed = {each["metadata"]["name"] for each in of_kind(manifests, "Deployment") if "replicas" in each["spec"]}

    assert scaled == {each["metadata"]["name"] for each in of_kind(manifests, "Deployment")}
    assert fixed == set()


def test_a_release_that_does_not_read_scales_by_backlog(chart: Chart) -> None:
    """Kafka's lag is none of its business."""
    scaled = {each["metadata"]["name"]: each for each in of_kind(chart.render("everything"), "ScaledObject")}
    older = scaled["signin-worker-sha-111111111111"]

    assert _triggers(older, "kafka") == []
    assert {each["workerDeploymentBuildId"] for each in _triggers(older, "temporal")} == {"sha-111111111111"}


def test_a_scaler_that_is_blind_keeps_the_pods_that_the_values_name(chart: Chart) -> None:
    """Each Deployment falls back to the number that it would have without a scaler: readers, workers, this release."""
    changes = {"replicas": 4, "consumerReplicas": 2}
    without = chart.render("everything", changes | {"keda": {"enabled": False}})
    fixed = {each["metadata"]["name"]: each["spec"]["replicas"] for each in of_kind(without, "Deployment")}
    scaled = of_kind(chart.render("everything", changes), "ScaledObject")

    assert sorted(fixed.values()) == [1, 2, 2, 4]
    assert {each["metadata"]["name"]: each["spec"]["fallback"]["replicas"] for each in scaled} == fixed


def test_a_release_can_have_no_pods(chart: Chart) -> None:
    """Zero is a number of pods, too: whoever stops a bad release by it must not get the usual three."""
    releases = {"second": {"image": IMAGE, "reads": False, "replicas": 0}}
    pods = {
        each["metadata"]["name"]: each["spec"]["replicas"]
        for each in of_kind(chart.render("minimal", {"releases": releases}), "Deployment")
    }
    assert pods == {"signin-worker-first": 3, "signin-worker-second": 0}


def test_readers_scale_by_lag_and_workers_by_backlog(chart: Chart) -> None:
    """Each trigger names what the worker uses: its group, topics, queues and its own release."""
    scaled = {each["metadata"]["name"]: each for each in of_kind(chart.render("everything"), "ScaledObject")}
    lag = _triggers(scaled["signin-worker-sha-000000000000-consumer"], "kafka")
    backlog = _triggers(scaled["signin-worker-sha-000000000000"], "temporal")

    assert {each["topic"] for each in lag} == {"signin.requested", "otp.submitted"}
    assert {each["consumerGroup"] for each in lag} == {"signin-worker"}
    assert {(each["tls"], each["sasl"]) for each in lag} == {("enable", "scram_sha512")}
    assert {each["taskQueue"] for each in backlog} == {
        "signin",
        mailbox_task_queue("signin"),
        mail_task_queue("signin"),
    }
    assert {each["workerDeploymentBuildId"] for each in backlog} == {"sha-000000000000"}


def test_joint_workers_scale_by_both(chart: Chart) -> None:
    """One ScaledObject has all triggers."""
    scaled = only(chart.render("minimal", {"keda": {"enabled": True}}), "ScaledObject")
    assert len(_triggers(scaled, "kafka")) == 2
    assert len(_triggers(scaled, "temporal")) == 3


def test_triggers_have_the_login_that_they_name(chart: Chart) -> None:
    """Every authentication that a trigger refers to is made."""
    for manifests in (chart.render("everything"), chart.render("minimal", {"keda": {"enabled": True}})):
        made = {each["metadata"]["name"] for each in of_kind(manifests, "TriggerAuthentication")}
        triggers = [each for scaled in of_kind(manifests, "ScaledObject") for each in scaled["spec"]["triggers"]]
        assert {each["authenticationRef"]["name"] for each in triggers if "authenticationRef" in each} == made


def test_the_external_secret_has_every_file(chart: Chart) -> None:
    """Each key that the pods mount is fetched; the password that Strimzi makes is not."""
    data = only(chart.render("everything"), "ExternalSecret")["spec"]["data"]
    keys = {each["secretKey"] for each in data}

    assert keys == {
        "smtp-password",
        "turnstile-secret",
        "keys-account",
        "keys-code",
        "keys-payload",
        "temporal-api-key",
    }
    assert {each["remoteRef"]["key"] for each in data} == {"signin/worker"}


def _triggers(scaled: Manifest, kind: str) -> list[dict[str, Any]]:
    return [each["metadata"] for each in scaled["spec"]["triggers"] if each["type"] == kind]
