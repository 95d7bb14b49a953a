"""Kubernetes objects that surround the release: clients, a paced language model, volumes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_INSIDE: Final = Path(__file__).resolve().parent / "inside"
# The paced model of the measures; its answers depend on the question alone.
_MODEL_FILES: Final = ("tests/fakes/llm_server.py", "tests/fakes/llm_answer.py")
MODEL_PORT: Final = 9000
SMALL: Final = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}

Object = dict[str, Any]


def namespace(name: str, *, enforce: str) -> Object:
    """Return a namespace that admits pods of one security level only."""
    labels = {"pod-security.kubernetes.io/enforce": enforce}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def restricted_pod(
    name: str,
    *,
    image: str,
    command: Sequence[str],
    config_map: str = "",
    items: Sequence[Mapping[str, str]] = (),
    env: Sequence[Mapping[str, Any]] = (),
) -> Object:
    """Return a pod that the level ``restricted`` admits; ``config_map`` is mounted at /e2e."""
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {}}]
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]
    if config_map:
        source: Object = {"name": config_map}
        if items:
            source["items"] = list(items)
        volumes.append({"name": "e2e", "configMap": source})
        mounts.append({"name": "e2e", "mountPath": "/e2e", "readOnly": True})
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": list(env),
        "resources": SMALL,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        },
    }


def _config_map(name: str, files: Mapping[str, Path]) -> Object:
    data = {key: path.read_text("utf-8") for key, path in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def client(*, image: str, secret: str) -> list[Object]:
    """Return the pod ``e2e-client``, in which the scripts of ``inside`` are run."""
    key = {"name": secret, "key": "admin-key"}
    pod = restricted_pod(
        "e2e-client",
        image=image,
        command=["sleep", "infinity"],
        config_map="e2e-inside",
        env=[{"name": "API_KEY", "valueFrom": {"secretKeyRef": key}}],
    )
    files = {path.name: path for path in sorted(_INSIDE.glob("*.py"))}
    return [_config_map("e2e-inside", files), pod]


def model(*, image: str) -> list[Object]:
    """Return a language model that says a word every 40 ms, and the service it is found by."""
    files = {Path(name).name: _ROOT / name for name in _MODEL_FILES}
    options = ["--host=0.0.0.0", f"--port={MODEL_PORT}", "--first-ms=50", "--token-ms=40"]
    pod = restricted_pod(
        "e2e-model",
        image=image,
        command=["python", "-m", "tests.fakes.llm_server", *options, "--tokens-min=150"],
        config_map="e2e-model",
        items=[{"key": Path(name).name, "path": name} for name in _MODEL_FILES],
        env=[{"name": "PYTHONPATH", "value": "/e2e"}],
    )
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "e2e-model"},
        "spec": {"selector": {"app": "e2e-model"}, "ports": [{"port": MODEL_PORT}]},
    }
    return [_config_map("e2e-model", files), pod, service]


def node_pod(*, image: str, folder: str) -> Object:
    """Return a pod that sees a node's processes, and ``folder`` of the node at /volumes."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": SMALL,
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "volumes", "mountPath": "/volumes"}],
    }
    host_path = {"path": folder, "type": "DirectoryOrCreate"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "e2e-node"},
        "spec": {
            "hostPID": True,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "volumes", "hostPath": host_path}],
        },
    }


def volume(name: str, *, path: str, node: str, gigabytes: int) -> Object:
    """Return a volume that is a folder of one node."""
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {"app": "kotaemon-e2e"}},
        "spec": {
            "capacity": {"storage": f"{gigabytes}Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": path, "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }
