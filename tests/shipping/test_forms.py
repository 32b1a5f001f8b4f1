"""What each form promises, read as its reader reads it."""

from __future__ import annotations

import ast
import configparser
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from filiera.errors import UsageError
from filiera.project.shipping.forms import FORMS
from filiera.shipping import compose, container, kubernetes, nuclio, systemd
from filiera.shipping.shipment import Cron, Process, Shipment

MODEL = Process(name="risk", served=("risk@champion",), is_declared=False, ports=(8080,))
COUNT = Process(name="count_words", served=("count_words",), is_declared=True, ports=(8080,))
HELLO = Process(name="hello", served=("hello",), is_declared=True, ports=(9000,))


def shipment(*processes: Process, **more: Any) -> Shipment:
    """Return a shipment of some processes."""
    usual: dict[str, Any] = {
        "name": processes[0].label if len(processes) == 1 else "shop",
        "about": ("Made by filiera ship.", "risk@3: abc"),
        "python": "3.11",
        "has_wheels": False,
        "is_offline": False,
        "models": ("risk",) if processes == (MODEL,) else (),
    }
    return Shipment(processes=processes, **(usual | more))


SHIPMENTS = [shipment(MODEL), shipment(COUNT), shipment(COUNT, HELLO)]


def steps(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile."""
    whole = "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(words[0], words[1]) for line in whole.splitlines() if (words := line.strip().split(maxsplit=1))]


def containers(text: str) -> Iterator[dict[str, Any]]:
    """Yield the containers of Kubernetes documents."""
    for document in yaml.safe_load_all(text):
        spec = document.get("spec", {})
        pod = spec.get("predictor") or spec.get("template", {}).get("spec") or {}
        yield from pod.get("containers", ())


@pytest.mark.parametrize("what", SHIPMENTS)
def test_an_image_is_locked_into_what_it_needs(what: Shipment) -> None:
    """It runs as nobody in particular, writes to one folder, has no secret, and takes only what it is given."""
    found = steps(container.dockerfile(what))
    last = dict(found)
    assert last["USER"] == "10001:10001"
    assert [words for name, words in found if name == "VOLUME"] == ["/data"]
    assert [name for name, _ in found][-2:] == ["ENTRYPOINT", "CMD"]
    assert json.loads(last["ENTRYPOINT"]) == ["filiera"]
    assert json.loads(last["CMD"]) == what.together.command("0.0.0.0")
    assert last["EXPOSE"].split() == [str(port) for port in what.together.ports]
    assert "TOKEN" not in container.dockerfile(what)
    given = {words.split()[0].rstrip("/") for name, words in found if name == "COPY" and "--from" not in words}
    ignore = container.dockerignore(what).splitlines()
    assert ignore[0] == "*"
    assert {line.removeprefix("!") for line in ignore[1:]} == given == {"project", "requirements.txt"}
    assert json.loads(last["HEALTHCHECK"].partition("CMD ")[2])


def test_the_base_image_is_a_parameter() -> None:
    """Both stages begin with it; the default is of the Python that is used here."""
    found = steps(container.dockerfile(shipment(MODEL)))
    assert found[0] == ("ARG", "BASE=python:3.11-slim")
    assert [words for name, words in found if name == "FROM"] == ["${BASE} AS packages", "${BASE}"]


@pytest.mark.parametrize(("is_offline", "asks"), [(True, False), (False, True)])
def test_wheels_come_first(is_offline: bool, asks: bool) -> None:
    """Those that come along are found, and an index is asked only for what does not."""
    what = shipment(MODEL, has_wheels=True, is_offline=is_offline)
    install = dict(steps(container.dockerfile(what)))["RUN"] + str(steps(container.dockerfile(what)))
    assert "--find-links /build/wheels" in install
    assert ("--no-index" not in install) is asks
    assert "!wheels" in container.dockerignore(what).splitlines()
    assert ("--no-index" not in nuclio.function(what)["function.yaml"]) is asks


@pytest.mark.parametrize("what", SHIPMENTS)
def test_compose_runs_each_service_alone(what: Shipment) -> None:
    """A container, a volume and a port for each, no more rights than needed, and no token in the file."""
    found = yaml.safe_load(compose.compose(what))
    assert list(found["services"]) == list(found["volumes"]) == [process.label for process in what.processes]
    for process, service in zip(what.processes, found["services"].values(), strict=True):
        assert service["command"] == process.command("0.0.0.0")
        assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in process.ports]
        assert service["volumes"] == [f"{process.label}:/data"]
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["environment"]["FILIERA_TOKEN"].startswith("${FILIERA_TOKEN:?")
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("what", SHIPMENTS)
def test_kubernetes_names_fit_together(what: Shipment) -> None:
    """Each Service finds its pods, each pod its claim, each probe its port."""
    documents = list(yaml.safe_load_all(kubernetes.kubernetes(what)))
    kinds = ("PersistentVolumeClaim", "Deployment", "Service")
    assert [document["kind"] for document in documents] == list(kinds) * len(what.processes)
    for process in what.processes:
        named = {found["kind"]: found for found in documents if found["metadata"]["name"] == process.label}
        pod = named["Deployment"]["spec"]["template"]
        assert named["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == process.label
        (one,) = pod["spec"]["containers"]
        assert [port["containerPort"] for port in one["ports"]] == list(process.ports)
        assert {port["targetPort"] for port in named["Service"]["spec"]["ports"]} == set(process.ports)
        for probe in ("startupProbe", "livenessProbe"):
            asked = one[probe].get("httpGet")
            assert asked["port"] in process.ports if asked else one[probe]["exec"]["command"][0] == "filiera"


@pytest.mark.parametrize("text", [*map(kubernetes.kubernetes, SHIPMENTS), kubernetes.kserve(SHIPMENTS[0])])
def test_pods_have_no_more_rights_than_needed(text: str) -> None:
    """No root, no write outside of volumes, no capability, the token from a secret."""
    found = list(containers(text))
    assert found
    for one in found:
        security = one["securityContext"]
        assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"] and security["capabilities"] == {"drop": ["ALL"]}
        (token,) = one["env"]
        assert token["name"] == "FILIERA_TOKEN" and "secretKeyRef" in token["valueFrom"]
        assert {mount["mountPath"] for mount in one["volumeMounts"]} == {"/data", "/tmp"}


def test_services_that_sleep_are_not_woken_by_probes() -> None:
    """The supervisor is asked, and a readiness that needs a model that is awake is not."""
    (one,) = containers(kubernetes.kubernetes(shipment(COUNT)))
    assert "readinessProbe" not in one
    assert one["livenessProbe"]["exec"]["command"] == ["filiera", "services", "--healthy"]


def test_kserve_gets_an_open_inference_service() -> None:
    """One container with the name, port and health paths that its protocol has."""
    (found,) = yaml.safe_load_all(kubernetes.kserve(shipment(MODEL)))
    assert (found["apiVersion"], found["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    (one,) = containers(kubernetes.kserve(shipment(MODEL)))
    assert one["name"] == "kserve-container"
    assert one["args"] == ["serve", "risk@champion", "--host", "0.0.0.0", "--port", "8080"]
    assert one["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 8080}
    assert "/v2/models/risk/infer" in kubernetes.kserve(shipment(MODEL))


@pytest.mark.parametrize("what", [shipment(COUNT), shipment(COUNT, HELLO), shipment(MODEL, models=())])
def test_kserve_refuses_what_is_no_model(what: Shipment) -> None:
    """A function does not speak its protocol."""
    with pytest.raises(UsageError, match="KServe serves models"):
        kubernetes.kserve(what)


def test_nuclio_gets_clocks_as_triggers() -> None:
    """A handler that is Python, a trigger for each clock with where it calls, the token from a secret."""
    crons = (
        Cron(name="count", path="/v1/functions/count:call", schedule="0 6 * * 1-5"),
        Cron(name="hello", path="/v1/functions/hello:call", every_s=30.0),
    )
    files = nuclio.function(shipment(MODEL, crons=crons))
    found = yaml.safe_load(files["function.yaml"])
    spec = found["spec"]
    assert (found["apiVersion"], found["kind"], spec["handler"]) == ("nuclio.io/v1", "NuclioFunction", "main:handler")
    assert spec["triggers"]["http"]["kind"] == "http"
    assert spec["triggers"]["count-cron"]["attributes"]["schedule"] == "0 6 * * 1-5"
    assert spec["triggers"]["hello-every"]["attributes"]["interval"] == "30s"
    assert spec["triggers"]["hello-every"]["attributes"]["event"]["headers"]["Filiera-Call"] == crons[1].path
    assert "valueFrom" in spec["env"][0]
    functions = {node.name for node in ast.parse(files["main.py"]).body if isinstance(node, ast.FunctionDef)}
    assert functions == {"init_context", "handler"}


@pytest.mark.parametrize("what", SHIPMENTS)
def test_systemd_holds_the_sockets_that_the_service_takes(what: Shipment) -> None:
    """Each port is a socket of the unit at the address that the command listens on."""
    files = systemd.units(what)
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(files[f"{what.name}.service"])
    streams = [line.partition("=")[2] for line in files[f"{what.name}.socket"].splitlines() if "Stream" in line]
    assert streams == [f"127.0.0.1:{port}" for port in what.together.ports]
    command = shlex.split(unit["Service"]["ExecStart"])
    assert command[1:] == what.together.command("127.0.0.1")
    assert unit["Unit"]["Requires"] == f"{what.name}.socket"
    assert unit["Service"]["DynamicUser"] == "yes"
    assert FORMS["systemd"].store(what) == f"/var/lib/{unit['Service']['StateDirectory']}"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here to judge its units")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """It knows every line, and calls the service little exposed: 2 of 10 at most."""
    what = shipment(COUNT, HELLO)
    for name, text in systemd.units(what).items():
        (tmp_path / name).write_text(text.replace(f"{systemd.place('shop')}/packages/bin/filiera", "/bin/true"))
    units = [str(tmp_path / name) for name in systemd.units(what)]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    words = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", units[0]]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", SHIPMENTS)
def test_next_commands_name_files_that_are_there(form: str, what: Shipment) -> None:
    """Whatever a form tells to do next, the files that it names were written."""
    if form == "kserve" and not what.models:
        return
    files = set(FORMS[form].files(what)) | {"requirements.txt"}
    for line in FORMS[form].next(what):
        named = [word for word in shlex.split(line) if word.endswith((".yaml", ".service", ".socket"))]
        assert {Path(word).name for word in named if "/" not in word} <= files
