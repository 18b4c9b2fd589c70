"""The manifests: valid, complete, and privileged only for node-tuning."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from coordinator.cli.coord import coord
from loadgen.cli.agent import agent
from loadgen.planfile import read_plan

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
OVERLAYS = ("overlays/reference", "overlays/rehearsal", "node-tuning")
FLEETS = OVERLAYS[:2]
VERSION = "1.33"
OF_THE_OPERATOR = "monitoring.coreos.com/v1"
PODS = ("Job", "StatefulSet", "Deployment", "DaemonSet")


def manifests(text):
    return [document for document in yaml.safe_load_all(text) if document]


def whole_files():
    """Returns the files that are whole resources: no patches, no kustomizations."""
    found = [
        *FOLDER.glob("base/*.yaml"),
        *FOLDER.glob("components/*/*.yaml"),
        *FOLDER.glob("node-tuning/*.yaml"),
    ]
    parts = ("kustomization.yaml", "await.yaml")
    return {f"{path.parent.name}/{path.name}": path for path in found if path.name not in parts}


def validate(manifest):
    if (
        manifest["apiVersion"] != OF_THE_OPERATOR
    ):  # a schema of its own, which comes with the operator
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The resources of each overlay, built with a secret."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("needs kubectl, which has kustomize in it")
    copy = shutil.copytree(FOLDER, tmp_path_factory.mktemp("kubernetes") / "kubernetes")
    found = {}
    for overlay in OVERLAYS:
        (copy / overlay / "token").write_text("a-secret-of-this-test\n")
        done = subprocess.run(
            [kubectl, "kustomize", str(copy / overlay)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        found[overlay] = manifests(done.stdout)
    return found


def of_kind(resources, *kinds):
    return {
        resource["metadata"]["name"]: resource
        for resource in resources
        if resource["kind"] in kinds
    }


def container(resource):
    (only,) = resource["spec"]["template"]["spec"]["containers"]
    return only


def environment(resource):
    return {entry["name"]: entry["value"] for entry in container(resource).get("env", [])}


@pytest.mark.parametrize("name", whole_files())
def test_the_api_accepts_a_manifest(name):
    for manifest in manifests(whole_files()[name].read_text()):
        validate(manifest)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_accepts_the_resources_of_an_overlay(built, overlay):
    for manifest in built[overlay]:
        validate(manifest)


@pytest.mark.parametrize("overlay", FLEETS)
def test_the_coordinator_waits_for_every_agent(built, overlay):
    job = of_kind(built[overlay], "Job")["loadgen-coordinator"]
    agents = of_kind(built[overlay], "StatefulSet")["loadgen-agent"]

    assert int(environment(job)["LOADGEN_COORD_AGENTS"]) == agents["spec"]["replicas"]
    assert agents["spec"]["replicas"] == (16 if "reference" in overlay else 2)


@pytest.mark.parametrize("overlay", FLEETS)
def test_every_option_that_a_pod_sets_exists(built, overlay):
    known = {f"LOADGEN_COORD_{option.name}".upper() for option in coord.params}
    known |= {f"LOADGEN_AGENT_{option.name}".upper() for option in agent.params}

    for resource in of_kind(built[overlay], "Job", "StatefulSet").values():
        assert environment(resource).keys() <= known


@pytest.mark.parametrize("overlay", FLEETS)
def test_the_overlay_makes_every_volume(built, overlay):
    made = {(resource["kind"], resource["metadata"]["name"]) for resource in built[overlay]}
    for resource in of_kind(built[overlay], *PODS).values():
        for volume in resource["spec"]["template"]["spec"].get("volumes", []):
            asked = {
                ("ConfigMap", volume.get("configMap", {}).get("name")),
                ("Secret", volume.get("secret", {}).get("secretName")),
                ("PersistentVolumeClaim", volume.get("persistentVolumeClaim", {}).get("claimName")),
            }
            assert "emptyDir" in volume or asked & made


@pytest.mark.parametrize("overlay", FLEETS)
def test_the_plan_is_valid(overlay):
    plan = read_plan(FOLDER / overlay / "plan.toml")

    assert plan.rate == 2000
    assert plan.max == (1_000_000 if "reference" in overlay else 20_000)


@pytest.mark.parametrize("overlay", FLEETS)
def test_no_pod_of_a_fleet_exceeds_the_restricted_standard(built, overlay):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    (namespace,) = of_kind(built[overlay], "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    for resource in of_kind(built[overlay], *PODS).values():
        pod = resource["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["automountServiceAccountToken"]
        for one in (*pod["containers"], *pod.get("initContainers", [])):
            assert one["securityContext"]["allowPrivilegeEscalation"] is False
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {entry["name"] for entry in pod["securityContext"].get("sysctls", [])} <= {
            "net.ipv4.ip_local_port_range"
        }


def test_a_coordinator_waits_for_the_name_of_an_embedded_target(built):
    resources = built["overlays/rehearsal"]
    (first,) = of_kind(resources, "Job")["loadgen-coordinator"]["spec"]["template"]["spec"][
        "initContainers"
    ]
    asked = re.search(r"getent hosts (\S+);", " ".join(first["command"]))

    assert asked is not None
    assert urlsplit(read_plan(FOLDER / "overlays/rehearsal/plan.toml").target).hostname == asked[1]
    assert asked[1] in of_kind(resources, "Service")
    assert (
        "initContainers"
        not in of_kind(built["overlays/reference"], "Job")["loadgen-coordinator"]["spec"][
            "template"
        ]["spec"]
    )


def test_only_node_tuning_is_privileged_and_it_restores_the_settings(built):
    tuning = of_kind(built["node-tuning"], "DaemonSet")

    assert tuning.keys() == {"loadgen-tune-client", "loadgen-tune-target"}
    for resource in tuning.values():
        assert container(resource)["securityContext"]["privileged"]
        (script,) = container(resource)["args"]
        assert re.search(r"trap 'loadgen-tune undo; exit' TERM", script)


def test_the_jobs_have_the_names_of_the_rules():
    (monitors,) = FOLDER.glob("components/monitoring/monitors.yaml")
    names = {manifest["metadata"]["name"] for manifest in manifests(monitors.read_text())}
    services = of_kind(manifests((FOLDER / "base/agents.yaml").read_text()), "Service")
    services |= of_kind(manifests((FOLDER / "base/coordinator.yaml").read_text()), "Service")

    assert names == set(services) == {"loadgen-agents", "loadgen-coordinator"}
