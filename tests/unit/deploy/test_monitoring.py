"""Dashboard and rules use only exported names and labels."""

import json
import re
from pathlib import Path

import pytest
import yaml

from loadgen.stats.ledger import Ledger
from loadgen.stats.prometheus import Snapshot, registry_of
from loadgen.stats.tally import Tally
from loadgen.stats.vitals import WorkerVitals

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/loadgen.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
OF_PROMETHEUS = {"up", "ALERTS"}
LABELS = {"agent", "alertname", "alertstate", "job", "le", "reason", "result", "state", "worker"}


def exported():
    """Returns every name of a sample that an agent or a coordinator serves."""
    total = Tally(failed={"refused": 1}, closed={"reset": 1})
    total.count("logins")
    total.time("tr_login", 1)
    total.check("ok", passed=True)
    vitals = (WorkerVitals(0, 1.0, 1),)
    reading = Snapshot("a", Ledger.of(1, total), total, vitals, alive=1, alive_within=31)
    families = registry_of(lambda: [reading]).collect()
    return {sample.name for family in families for sample in family.samples}


def expressions():
    found = {
        f"panel {panel['title']!r} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }
    found |= {f"rule {rule.get('record') or rule['alert']}": rule["expr"] for rule in RULES}
    return found | {note["name"]: note["expr"] for note in DASHBOARD["annotations"]["list"]}


@pytest.mark.parametrize("place", expressions())
def test_an_expression_uses_exported_names(place):
    text = re.sub(r'"[^"]*"', "", expressions()[place])
    names = set(re.findall(r"\b(?:loadgen[_:][\w:]+|up|ALERTS)\b", text))

    assert names
    assert names - exported() - RECORDED - OF_PROMETHEUS == set()
    assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", text.replace("==", ""))) <= LABELS


def test_every_recorded_series_is_used():
    used = " ".join(expressions().values())

    assert [name for name in RECORDED if name not in used] == []


def test_every_rule_has_its_test():
    """promtool runs them in tests/servers/test_prometheus.py."""
    tests = yaml.safe_load((DEPLOY / "prometheus/rules_test.yml").read_text())["tests"]
    tried = {one["expr"] for test in tests for one in test.get("promql_expr_test", [])}
    woken = {
        one["alertname"]
        for test in tests
        for one in test.get("alert_rule_test", [])
        if one["exp_alerts"]
    }

    assert tried - {"ALERTS"} == RECORDED
    assert woken == {rule["alert"] for rule in RULES if "alert" in rule}


def test_every_alert_has_a_summary_and_a_fix():
    for rule in RULES:
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"].keys() == {"summary", "fix"}


def test_the_panels_have_one_source_and_do_not_overlap():
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    (variable,) = DASHBOARD["templating"]["list"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {
        f"${{{variable['name']}}}"
    }
