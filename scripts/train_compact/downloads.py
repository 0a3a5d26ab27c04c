"""The packages that the training data is read from, at exact versions."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

TIMM = "timm==1.0.31"


def npm(folder: Path, package: str) -> Path:
    """Return the archive of the npm package `name@version`; fetch it if it is not in the folder."""
    name, _, version = package.rpartition("@")
    path = folder / f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        command = ["npm", "pack", "--silent", package]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return path


def wheel(folder: Path, requirement: str) -> Path:
    """Return the wheel of `name==version`; fetch it if it is not in the folder."""
    stem = requirement.replace("==", "-")
    if not list(folder.glob(f"{stem}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder)]
        subprocess.run([*command, requirement], check=True, capture_output=True)
    [path] = folder.glob(f"{stem}-*.whl")
    return path


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """Read a file of a package's archive."""
    member = archive.extractfile(f"package/{name}")
    if member is None:
        raise FileNotFoundError(name)
    return member.read()


def read_json(archive: tarfile.TarFile, name: str) -> Any:
    """Read a JSON file of a package's archive."""
    return json.loads(read(archive, name))


def imagenet_names(folder: Path) -> list[list[str]]:
    """Return the names of each of the 1,000 ImageNet classes."""
    path = wheel(folder, TIMM)
    lemmas = wordnet(folder, "lemma")
    with zipfile.ZipFile(path) as archive:
        synsets = archive.read("timm/data/_info/imagenet_synsets.txt").decode().split()
    return [lemmas[synset].split(", ") for synset in synsets]


def wordnet(folder: Path, table: str) -> dict[str, str]:
    """Return the lemmas or definitions of the WordNet synsets of ImageNet-21k."""
    with zipfile.ZipFile(wheel(folder, TIMM)) as archive:
        text = archive.read(f"timm/data/_info/imagenet_synset_to_{table}.txt").decode()
    return dict(line.split("\t") for line in text.splitlines())
