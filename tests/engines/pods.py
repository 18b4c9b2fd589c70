"""The pods of a cluster's manifests, for `podman kube play`.

Podman 4.3 knows Pod, Deployment, ConfigMap, Secret and PersistentVolumeClaim, and passes over
everything else. So each workload becomes the pods that its controller would make.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

Manifest = dict[str, Any]
KEPT = ("Secret", "ConfigMap", "PersistentVolumeClaim")
"""Kinds that podman takes as they are."""
WORKLOADS = ("Deployment", "StatefulSet", "Job")


class Probe(NamedTuple):
    """A GET by which a kubelet asks a container."""

    pod: str
    kind: str
    """`readinessProbe` or `livenessProbe`."""
    port: int
    path: str


def playable(resources: list[Manifest]) -> list[Manifest]:
    """Returns what podman plays: what pods mount, and then the pods."""
    kept = [one for one in resources if one["kind"] in KEPT]
    return [*kept, *(_for_podman(pod) for pod in pods(resources))]


def pods(resources: list[Manifest]) -> list[Manifest]:
    """Returns the pods that the controllers of a cluster would make.

    The one pod of a Deployment or a Job has the name of its workload and so that of its Service.
    """
    return [
        pod for workload in resources if workload["kind"] in WORKLOADS for pod in _pods_of(workload)
    ]


def _pods_of(workload: Manifest) -> Iterator[Manifest]:
    name = workload["metadata"]["name"]
    template = workload["spec"]["template"]
    replicas = workload["spec"].get("replicas", 1)
    numbered = workload["kind"] == "StatefulSet"
    assert numbered or replicas == 1, f"{name} has {replicas} pods without names of their own"
    for number in range(replicas):
        labels = {**template["metadata"], "name": f"{name}-{number}" if numbered else name}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": labels, "spec": template["spec"]}


def probes(pod: Manifest) -> list[Probe]:
    """Returns the probes of a pod's containers."""
    name = pod["metadata"]["name"]
    return [
        Probe(name, kind, _port(one, one[kind]["httpGet"]["port"]), one[kind]["httpGet"]["path"])
        for one in pod["spec"]["containers"]
        for kind in ("readinessProbe", "livenessProbe")
        if kind in one
    ]


def _port(container: Manifest, name: str) -> int:
    """Returns the number of a named port."""
    numbers = {port["name"]: port["containerPort"] for port in container["ports"]}
    return int(numbers[name])


def _for_podman(pod: Manifest) -> Manifest:
    """Returns a pod without what podman 4.3 takes differently than a cluster.

    It publishes each containerPort on the host, asks named ports at the number 0, and crashes on a
    volume that does not say `optional`.
    """
    spec = pod["spec"]
    unknown = {"ports", "readinessProbe", "livenessProbe"}
    containers = [
        {key: value for key, value in one.items() if key not in unknown}
        for one in spec["containers"]
    ]
    volumes = [_said_to_be_there(one) for one in spec.get("volumes", [])]
    return pod | {"spec": spec | {"containers": containers, "volumes": volumes}}


def _said_to_be_there(volume: Manifest) -> Manifest:
    return {
        key: value | {"optional": False} if key in {"secret", "configMap"} else value
        for key, value in volume.items()
    }
