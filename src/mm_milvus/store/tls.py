"""Certificates for https:// addresses, named in the environment as other database clients do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mm_milvus.errors import StoreError

CA, CERT, KEY = "MM_MILVUS_CA_CERT", "MM_MILVUS_CLIENT_CERT", "MM_MILVUS_CLIENT_KEY"


def tls_options(uri: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the keywords with which `MilvusClient` reaches an https:// address.

    Args:
        uri: The address; for any other than https:// there are no keywords.
        environment: Variables that name PEM files: `MM_MILVUS_CA_CERT`, the authority that signed
            the server's certificate (default: the authorities that gRPC brings along); and, for a
            server that asks for a client certificate, `MM_MILVUS_CLIENT_CERT` and its key
            `MM_MILVUS_CLIENT_KEY`, which need `MM_MILVUS_CA_CERT`.

    Raises:
        StoreError: When a file does not exist, or a variable is missing.
    """
    if not uri.startswith("https:"):
        return {}
    paths = {name: environment[name] for name in (CA, CERT, KEY) if environment.get(name)}
    for name, path in paths.items():
        if not Path(path).is_file():
            raise StoreError(f"{name} names {path}, which is not a file; correct it")
    if not paths:
        return {}
    if len(paths) == 3:
        return {
            "ca_pem_path": paths[CA],
            "client_pem_path": paths[CERT],
            "client_key_path": paths[KEY],
        }
    if set(paths) == {CA}:
        return {"server_pem_path": paths[CA]}
    missing = ", ".join(name for name in (CA, CERT, KEY) if name not in paths)
    raise StoreError(f"a client's certificate needs its key and the authority: set {missing}")
