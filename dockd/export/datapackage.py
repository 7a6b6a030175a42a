"""``datapackage.json``: a Frictionless Table Schema beside every CSV, so that anyone can check it.

One package describes all exports of its folder; what others put into it is kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from dockd.errors import ExportUnwritable
from dockd.export.atomic import publishing
from dockd.export.columns import Column, Type

NAME = "datapackage.json"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
_PLAIN = re.compile(r"[^a-z0-9._-]+")


def describe_beside(
    path: str,
    columns: Sequence[Column],
    *,
    headers: Literal["en", "zh"],
    bom: bool,
    masked: bool,
    size: int,
    sha256: str,
) -> str:
    """The package beside ``path`` describes it as it is now, durably; returns the package's path.

    Raises ExportUnwritable.
    """
    folder, file = os.path.split(path)
    resource = {
        **_resource(file, bom=bom),
        "description": "masked" if masked else "not masked: holds protected data",
        "bytes": size,
        "hash": f"sha256:{sha256}",
        "schema": table_schema(columns, headers=headers),
    }
    return add_resource(folder, resource)


def add_resource(folder: str, resource: dict[str, Any]) -> str:
    """The package in ``folder`` holds ``resource`` too, durably; returns its path. Raises ExportUnwritable."""
    with _one_writer(folder):
        package = _merged(_existing(folder), resource, folder)
        with publishing(os.path.join(folder, NAME)) as draft:
            draft.write((json.dumps(package, ensure_ascii=False, indent=2) + "\n").encode())
    return os.path.join(folder, NAME)


def resources(package: bytes) -> list[dict[str, Any]]:
    """What the package whose bytes these are describes. Raises ValueError for what is none."""
    found: Any = json.loads(package)
    described = found.get("resources") if isinstance(found, dict) else None
    if not isinstance(described, list) or not all(
        isinstance(r, dict) and {"name", "path"} <= r.keys() for r in described
    ):
        raise ValueError("it is not a data package")
    return described


def require_mergeable(folder: str) -> None:
    """Raises ExportUnwritable where a file of the package's name is there that is none."""
    _existing(folder)


def table_schema(columns: Sequence[Column], *, headers: Literal["en", "zh"]) -> dict[str, Any]:
    """The columns as a Table Schema; with Chinese headers the fields carry the Chinese names."""
    schema: dict[str, Any] = {"fields": [_field(c, headers=headers) for c in columns], "missingValues": [""]}
    key = [c.name if headers == "en" else c.zh for c in columns if c.unique]
    return schema | ({"primaryKey": key} if key else {})


def _field(column: Column, *, headers: Literal["en", "zh"]) -> dict[str, Any]:
    constraints = {
        **({"required": True} if column.required else {}),
        **({"unique": True} if column.unique else {}),
        **({"enum": list(column.values)} if column.values else {}),
        **({"pattern": column.pattern} if column.pattern else {}),
        **({"minimum": 0} if column.type in (Type.INTEGER, Type.NUMBER) else {}),
    }
    return {
        "name": column.name if headers == "en" else column.zh,
        "type": column.type.value,
        **_format(column.type),
        "title": column.zh if headers == "en" else column.name,
        "description": column.meaning,
        **({"constraints": constraints} if constraints else {}),
    }


def _format(kind: Type) -> dict[str, Any]:
    if kind is Type.DATETIME:
        return {"format": _TIME_FORMAT}
    if kind is Type.BOOLEAN:
        return {"trueValues": ["true"], "falseValues": ["false"]}
    return {}


def _resource(file: str, *, bom: bool) -> dict[str, Any]:
    return {
        "name": resource_name(file),
        "path": file,
        "profile": "tabular-data-resource",
        "title": "dockd inventory",
        "format": "csv",
        "mediatype": "text/csv",
        # the name under which readers leave the mark out of the first header
        "encoding": "utf-8-sig" if bom else "utf-8",
        "dialect": {
            "delimiter": ",",
            "lineTerminator": "\r\n",
            "quoteChar": '"',
            "doubleQuote": True,
            "skipInitialSpace": False,
            "header": True,
        },
    }


def resource_name(file: str) -> str:
    """A name of Frictionless' alphabet that is the file's alone in its folder."""
    plain = _PLAIN.sub("-", os.path.splitext(file)[0].lower()).strip("-.")
    if plain and f"{plain}.csv" == file:
        return plain
    return _marked(plain or "export", file)


def _marked(name: str, file: str) -> str:
    return f"{name}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"


def _merged(package: dict[str, Any], resource: dict[str, Any], folder: str) -> dict[str, Any]:
    others = [r for r in package.get("resources", []) if r.get("path") != resource["path"] and _is_there(r, folder)]
    if resource["name"] in {r.get("name") for r in others}:
        resource = resource | {"name": _marked(resource["name"], resource["path"])}
    resources = sorted([*others, resource], key=lambda r: str(r.get("name")))
    return {"profile": "data-package", "name": "dockd-inventory", **package, "resources": resources}


def _is_there(resource: dict[str, Any], folder: str) -> bool:
    """Whether another resource still has its file: one without makes the whole package invalid."""
    path = resource.get("path")
    return not isinstance(path, str) or "://" in path or os.path.lexists(os.path.join(folder, path))


def _existing(folder: str) -> dict[str, Any]:
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as file:
            package: Any = json.load(file)
        resources = package.get("resources", []) if isinstance(package, dict) else None
        if not isinstance(resources, list) or not all(isinstance(r, dict) for r in resources):
            raise ValueError("it is not a data package")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise ExportUnwritable(path=path, reason=f"{error}; move the file that is there away") from error
    return dict(package)


@contextmanager
def _one_writer(folder: str) -> Iterator[None]:
    """Two exports into one folder do not lose each other's description."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ExportUnwritable(path=folder, reason=error.strerror or str(error)) from error
    try:
        with suppress(OSError):  # network file systems without locks: exports are rarely simultaneous
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
