"""The files of deploy/ are what the programs that read them take."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from features.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILLED = {"POSTGRES_PASSWORD": "a1", "REDIS_PASSWORD": "b2", "GRAFANA_PASSWORD": "c3", "METRICS_KEY_FILE": "/run/key"}

#: What a program that starts as root needs to become its own user, and to listen below 1024.
MAY_ADD = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "NET_BIND_SERVICE"}


def compose(tmp_path: Path, values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    told = tmp_path / "told.env"
    told.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    inherited = {name: value for name, value in os.environ.items() if name not in FILLED}
    return subprocess.run(
        ["docker-compose", "-f", DEPLOY / "compose.yaml", "--env-file", told, "--profile", "job", "config"],
        capture_output=True,
        text=True,
        env=inherited,
        check=False,
    )


@pytest.mark.needs("docker-compose")
def test_compose_takes_the_stack_and_every_file_it_mounts_is_there(tmp_path: Path) -> None:
    done = compose(tmp_path, FILLED)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    both = {"regulars-1", "regulars-2"}
    parts = {"proxy", "postgres", "redis", "mlflow", "prometheus", "grafana"}
    once = {"prepare", "job", "mlflow-database"}
    assert set(services) == both | parts | once
    for name in both:
        settings = services[name]["environment"]
        assert settings["REGULARS_DATABASE_URL"] == "postgresql+psycopg://regulars:a1@postgres:5432/regulars"
        assert settings["REGULARS_MLFLOW_URL"] == "http://mlflow:5000"
    assert services["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"].endswith("@postgres:5432/mlflow")
    for name in both | parts:
        assert services[name]["healthcheck"]["test"], name
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("user") == "root" or service["tmpfs"], name
        assert set(service.get("cap_add", ())) <= MAY_ADD, name
    mounted = [str(volume).split(":")[0] for service in services.values() for volume in service.get("volumes", ())]
    files = [Path(path) for path in mounted if path.startswith(str(ROOT))]
    assert len(files) == 7
    assert not [path for path in files if not path.is_file()]


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize("left_out", sorted(FILLED))
def test_compose_stops_at_what_is_not_filled_in(tmp_path: Path, left_out: str) -> None:
    done = compose(tmp_path, FILLED | {left_out: ""})
    assert done.returncode != 0
    assert left_out in done.stderr or "set it in deploy/.env" in done.stderr


def test_the_example_asks_for_all_and_gives_nothing() -> None:
    lines = [line for line in (DEPLOY / ".env.example").read_text().splitlines() if not line.startswith("#")]
    assert sorted(lines) == sorted(f"{name}=" for name in FILLED)
    asked = re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text())
    assert set(asked) == set(FILLED)


def test_every_setting_named_is_one() -> None:
    named = set()
    for path in (DEPLOY / "compose.yaml", *(DEPLOY / "kubernetes").glob("*.yaml"), ROOT / "docs" / "deploy.md"):
        named |= set(re.findall(r"\bREGULARS_([A-Z_]+)", path.read_text()))
    of_a_shop = {re.sub(r"^TENANT_[A-Z]+_", "", name) for name in named}
    assert of_a_shop - {"IMAGE", "CONFIG"} <= {name.upper() for name in Settings.model_fields}


def manifests() -> list[dict]:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [manifest for path in files for manifest in yaml.safe_load_all(path.read_text())]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: manifest["kind"])
def test_kubernetes_takes_the_manifest(manifest: dict) -> None:
    kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_a_manifest_that_is_wrong_is_refused() -> None:
    (deployment,) = [one for one in manifests() if one["kind"] == "Deployment"]
    deployment["spec"]["replicas"] = "two"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.31", strict=True)


def test_what_selects_pods_selects_the_servers() -> None:
    kinds = {one["kind"]: one for one in manifests()}
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    nightly = kinds["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert nightly != labels
