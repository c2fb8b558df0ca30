"""Checks what deploy/ ships, without a cluster: manifests against Kubernetes' own schemas, and that the server takes the settings.

Arguments: the folder `deploy`, the program `lockkeeper`, and a folder to write to.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

# Of the releases that are supported, the oldest and a current one.
KUBERNETES = ["1.33", "1.35"]
deploy, program, scratch = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
faults = []


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def check_settings(name, config, variables):
    """The server finds nothing wrong with this configuration and these variables."""
    file = scratch / "shipped.toml"
    file.write_text(config, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], **{key: str(value) for key, value in variables.items()}}
    checked = subprocess.run(
        [program, "config", "check", "--json", "--config", str(file)],
        env=environment, cwd=scratch, capture_output=True, text=True, check=False,
    )
    told = json.loads(checked.stdout)
    # A variable that is nearly the name of a setting is a notice.
    for found in told["problems"] + told["notices"]:
        faults.append(f"{name}: {found}")


def check_pod(name, spec):
    """A pod keeps to all of the `restricted` standard but for the socket of its engine."""
    if not spec["securityContext"].get("runAsNonRoot") or spec.get("automountServiceAccountToken") is not False:
        faults.append(f"{name}: it may be root, or has the cluster's token")
    for container in spec["containers"]:
        held = container["securityContext"]
        good = (
            held.get("allowPrivilegeEscalation") is False
            and held.get("readOnlyRootFilesystem") is True
            and held.get("capabilities", {}).get("drop") == ["ALL"]
        )
        if not good or "limits" not in container.get("resources", {}):
            faults.append(f"{name}/{container['name']}: it is not held as tightly as it can be")
    mounted = {volume["name"] for volume in spec.get("volumes", [])}
    wanted = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
    if not wanted <= mounted | {"data"}:
        faults.append(f"{name}: no volume for {wanted - mounted}")


def check_kubernetes():
    found = {}
    for path in sorted((deploy / "kubernetes").glob("*.yaml")):
        for document in documents(path):
            kind, name = document["kind"], document["metadata"]["name"]
            found[kind, name] = document
            for version in KUBERNETES:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    faults.append(f"{path.name}: {kind} {name} ({version}): {error.message}")
            if "template" in document.get("spec", {}):
                check_pod(f"{kind} {name}", document["spec"]["template"]["spec"])
    server = found["Deployment", "lockkeeper"]["spec"]
    labels = server["template"]["metadata"]["labels"]
    for kind in ["Service", "PodDisruptionBudget"]:
        selector = found[kind, "lockkeeper"]["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        if not selector.items() <= labels.items():
            faults.append(f"{kind}: it selects other pods than those of the servers")
    if server["replicas"] < 2:
        faults.append("the servers are fewer than two")
    config = found["ConfigMap", "lockkeeper"]["data"]["config.toml"]
    check_settings("kubernetes", config, found["Secret", "lockkeeper"]["stringData"])


def check_compose(name, config, services):
    composed = documents(deploy / name)[0]
    for service in services:
        one = composed["services"][service]
        variables = {key: "a-value" for key in one["environment"]}
        variables |= {key: value for key, value in one["environment"].items() if "${" not in value}
        check_settings(f"{name} ({service})", (deploy / config).read_text(encoding="utf-8"), variables)
        if one.get("privileged") or one.get("cap_drop") != ["ALL"] or one.get("read_only") is not True:
            faults.append(f"{name} ({service}): it is not held as tightly as it can be")
    return composed


check_kubernetes()
check_compose("compose.yaml", "lockkeeper.toml.example", ["server-a", "server-b"])
single = check_compose("compose.single.yaml", "lockkeeper.single.toml.example", ["server"])
sockets = [volume for volume in single["services"]["server"]["volumes"] if "docker.sock" in volume]
if len(sockets) != 1 or ":-" in sockets[0] or sockets[0].startswith("/"):
    faults.append(f"compose.single.yaml: an engine is chosen that nobody named: {sockets}")
if faults:
    sys.exit("\n".join(str(fault) for fault in faults))
