"""The Compose file publishes ports on loopback only, waits for health, and has no secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = Path(__file__).parents[1] / "deploy" / "milvus-compose.yml"
SERVICES = ("etcd", "minio", "milvus")
REQUIRED = re.compile(r"\$\{[A-Z_]+:\?[^}]+\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def test_it_has_milvus_and_the_services_that_milvus_needs(compose: dict[str, Any]) -> None:
    assert sorted(compose["services"]) == sorted(SERVICES)


def test_only_milvus_is_published_and_on_loopback_alone(compose: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert published == {
        "etcd": [],
        "minio": [],
        "milvus": ["127.0.0.1:19530:19530", "127.0.0.1:9091:9091"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_joins_the_network_of_the_host(compose: dict[str, Any], name: str) -> None:
    assert "network_mode" not in compose["services"][name]
    assert "privileged" not in compose["services"][name]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_checks_its_health_and_restarts(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == "unless-stopped"


def test_milvus_starts_when_the_others_are_healthy(compose: dict[str, Any]) -> None:
    waits = compose["services"]["milvus"]["depends_on"]
    assert waits == {name: {"condition": "service_healthy"} for name in ("etcd", "minio")}


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned_to_a_release(compose: dict[str, Any], name: str) -> None:
    image, _, tag = compose["services"][name]["image"].partition(":")
    assert image
    assert re.search(r"\d+[.-]\d+", tag), "the tag does not name a release"


@pytest.mark.parametrize("name", SERVICES)
def test_the_data_is_in_a_named_volume(compose: dict[str, Any], name: str) -> None:
    volumes = [entry.partition(":")[0] for entry in compose["services"][name]["volumes"]]
    assert volumes
    assert set(volumes) <= set(compose["volumes"])


def test_each_credential_is_required_from_the_environment(compose: dict[str, Any]) -> None:
    secrets = {
        (service, key): value
        for service, content in compose["services"].items()
        for key, value in content["environment"].items()
        if re.search("USER|PASSWORD|ACCESS_KEY", key)
    }
    assert len(secrets) == 5
    assert all(REQUIRED.fullmatch(value) for value in secrets.values()), secrets


def test_no_well_known_password_is_in_the_file() -> None:
    assert "minioadmin" not in COMPOSE.read_text()


def test_milvus_and_minio_share_one_credential(compose: dict[str, Any]) -> None:
    milvus, minio = (compose["services"][name]["environment"] for name in ("milvus", "minio"))
    assert milvus["MINIO_ACCESS_KEY_ID"] == minio["MINIO_ROOT_USER"]
    assert milvus["MINIO_SECRET_ACCESS_KEY"] == minio["MINIO_ROOT_PASSWORD"]


def test_milvus_asks_for_a_password(compose: dict[str, Any]) -> None:
    environment = compose["services"]["milvus"]["environment"]
    assert environment["COMMON_SECURITY_AUTHORIZATIONENABLED"] == "true"
