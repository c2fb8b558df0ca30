"""Checks what deploy/ ships, without a cluster: manifests against Kubernetes' own schemas, and that the server takes the settings.

Arguments: the folder `deploy`, the program `lockkeeper`, and a folder to write to.
"""

import json
import os
import re
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
    # As deploy/ says: a file with tokens is for nobody else.
    file.chmod(0o600)
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
    check_redis_of_kubernetes(found)
    config = found["ConfigMap", "lockkeeper"]["data"]["config.toml"]
    check_settings("kubernetes", config, found["Secret", "lockkeeper"]["stringData"])


def check_compose(name, config, services):
    composed = documents(deploy / name)[0]
    for service in services:
        one = composed["services"][service]
        variables = {key: re.sub(r"\$\{[^}]*\}", "a-value", value) for key, value in one["environment"].items()}
        check_settings(f"{name} ({service})", (deploy / config).read_text(encoding="utf-8"), variables)
        if one.get("privileged") or one.get("cap_drop") != ["ALL"] or one.get("read_only") is not True:
            faults.append(f"{name} ({service}): it is not held as tightly as it can be")
        check_socket(f"{name} ({service})", one["volumes"])
    return composed


def check_socket(name, volumes):
    """The engine is one that somebody named: the machine's own is nobody's default."""
    sockets = [volume for volume in volumes if "docker.sock" in volume]
    if len(sockets) != 1 or not sockets[0].startswith("${") or ":?" not in sockets[0].split("}")[0]:
        faults.append(f"{name}: an engine is chosen that nobody named: {sockets}")


def check_redis(composed):
    """Redis wants a password that is nowhere in the file, and only those that need it reach it."""
    services = composed["services"]
    redis = services["redis"]
    if "requirepass $$(cat /run/secrets/redis_password)" not in " ".join(redis["command"]):
        faults.append("compose.yaml: Redis takes everybody")
    if composed["secrets"] != {"redis_password": {"environment": "REDIS_PASSWORD"}}:
        faults.append(f"compose.yaml: the password is in the file: {composed['secrets']}")
    if "ports" in redis or redis["networks"] != ["store"] or composed["networks"]["store"] != {"internal": True}:
        faults.append("compose.yaml: Redis can be reached by others than the servers")
    for name, service in services.items():
        if "store" in service["networks"] and name not in ["redis", "server-a", "server-b"]:
            faults.append(f"compose.yaml: {name} reaches Redis")
    for name in ["server-a", "server-b"]:
        if not services[name]["environment"]["REDIS_URL"].startswith("redis://:${REDIS_PASSWORD:?"):
            faults.append(f"compose.yaml: {name} does without the password")


def check_redis_of_kubernetes(found):
    [container] = found["StatefulSet", "lockkeeper-redis"]["spec"]["template"]["spec"]["containers"]
    args, secret = container["args"], found["Secret", "lockkeeper"]["stringData"]
    if args[args.index("--requirepass") + 1] != "$(REDIS_PASSWORD)":
        faults.append("kubernetes: Redis takes everybody")
    if f":{secret['REDIS_PASSWORD']}@" not in secret["REDIS_URL"]:
        faults.append("kubernetes: the servers do not have the password of Redis")
    volumes = found["Deployment", "lockkeeper"]["spec"]["template"]["spec"]["volumes"]
    engines = [volume["hostPath"]["path"] for volume in volumes if "hostPath" in volume]
    if engines != ["/run/lockkeeper-engine"]:
        faults.append(f"kubernetes: an engine is chosen that nobody set up for sandboxes: {engines}")


check_kubernetes()
check_redis(check_compose("compose.yaml", "lockkeeper.toml.example", ["server-a", "server-b"]))
check_compose("compose.single.yaml", "lockkeeper.single.toml.example", ["server"])
if faults:
    sys.exit("\n".join(str(fault) for fault in faults))
