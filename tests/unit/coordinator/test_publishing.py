"""The publisher of a run: only where the plan asks for one, over its TLS."""

import ssl

import pytest
from msgspec.structs import replace

from coordinator.clock import Clock
from coordinator.publishing import publisher_of, publisher_tls
from coordinator.run.run import Run
from coordinator.settings import RunSettings
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.transport import Transport
from loadgen.values import Endpoint

PLAN = Plan(target="ws://127.0.0.1:9/", max=10)
HTTP = Publish(by="http")


def settings_of(plan, out):
    return RunSettings(plan=plan, listen=Endpoint("127.0.0.1", 8091), out=out)


@pytest.mark.parametrize(
    ("publish", "found"), [(None, False), (Publish(by="external"), False), (HTTP, True)]
)
def test_a_run_has_a_publisher_where_its_plan_asks_for_http(publish, found, tmp_path):
    plan = replace(PLAN, publish=publish)

    publisher = publisher_of(settings_of(plan, tmp_path), Run(plan, 1), Clock(), print)
    assert (publisher is not None) == found


@pytest.mark.parametrize(("verify", "mode"), [(True, ssl.CERT_REQUIRED), (False, ssl.CERT_NONE)])
def test_it_verifies_servers_unless_the_plan_does_not(verify, mode, tmp_path):
    plan = replace(PLAN, transport=Transport(tls_verify=verify))

    context = publisher_tls(settings_of(plan, tmp_path))
    assert (context.verify_mode, context.check_hostname) == (mode, verify)
