"""The recipe of the image keeps what operators rely on: no root, no tools, no checkout inside."""

import re
from pathlib import Path

import pytest

from kotaemon_node.local.broker_jars import VERSION

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
FINAL = RECIPE.rpartition("\nFROM ")[2]


def packages_of(lock: str) -> dict[str, str]:
    """Return name to version of what a lock pins."""
    text = (ROOT / "requirements" / lock).read_text("utf-8")
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def test_what_runs_is_no_root_and_has_no_entry_point():
    assert re.search(r"^USER 10001:10001$", FINAL, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", FINAL, re.MULTILINE)
    assert "ENTRYPOINT" not in RECIPE
    assert not re.search(r"^HEALTHCHECK", RECIPE, re.MULTILINE)


def test_every_stage_begins_at_the_one_base():
    # A debootstrapped base must do as well as the usual one.
    bases = re.findall(r"^FROM (\S+)", RECIPE, re.MULTILINE)

    assert {base for base in bases if base not in {"dependencies", "project"}} == {"${BASE}"}
    assert "ARG BASE=debian:bookworm-slim" in RECIPE


def test_what_runs_has_neither_pip_nor_compilers_nor_the_folder_of_the_build():
    installed = FINAL.partition("apt-get install")[2].partition("&&")[0]

    assert {word for word in installed.split() if word[0] not in "-\\"} == {
        "ca-certificates",
        "python3",
    }
    assert not re.search(r"COPY[^\n]* /build/(?!out/)", FINAL)


@pytest.mark.parametrize("name", ["MODEL_DIR", "ARTIFACT_CACHE_DIR", "HOME"])
def test_folders_are_those_that_the_chart_mounts(name: str):
    wanted = {
        "MODEL_DIR": "/opt/kotaemon/models",
        "ARTIFACT_CACHE_DIR": "/var/cache/kotaemon/artifacts",
        "HOME": "/tmp",
    }
    assert f"{name}={wanted[name]}" in FINAL


def test_the_image_installs_what_was_tested_and_s3_but_no_torch_and_no_load():
    image, run, test = (packages_of(f"{name}.lock") for name in ("image", "run", "test"))

    assert run.items() <= image.items()
    assert image.items() <= test.items()
    assert "boto3" in image
    assert not {"torch", "locust"} & image.keys()
    assert "locust" in test


def test_only_what_is_built_from_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", RECIPE, re.MULTILINE)
        for source in line.split()[:-1]
    }

    assert ignored[1] == "*"
    for source in {source.translate(str.maketrans("", "", "[]")) for source in copied}:
        assert any(source == one or source.startswith(f"{one}/") or Path(source).match(one)
                   for one in let_in), source  # fmt: skip


def test_stand_ins_go_by_the_names_and_versions_of_the_chart():
    values = (ROOT / "helm" / "kotaemon" / "values.yaml").read_text("utf-8")
    asked = {f"{name}:{tag}" for name, tag in re.findall(r"repository: (\S+), tag: (\S+),", values)}
    script = (ROOT / "scripts" / "node_images.sh").read_text("utf-8")
    built = set(re.search(r"^for image in (.*); do$", script, re.MULTILINE)[1].split())

    assert built == asked
    stages = (ROOT / "deploy" / "image" / "node.Dockerfile").read_text("utf-8")
    assert f"COPY .kafka/{VERSION} /opt/kafka/libs" in stages
