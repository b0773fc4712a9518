"""docs/bank-api.yaml, and whether an exchange follows it: as much of JSON Schema 2020-12 as it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).parents[3] / "docs" / "bank-api.yaml"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
# Keywords that say nothing about a value.
_SILENT = {"description", "default", "writeOnly"}


@dataclass(frozen=True)
class Operation:
    """One operation of the contract."""

    operation_id: str
    method: str
    path: str
    spec: dict[str, Any]
    parameters: tuple[dict[str, Any], ...]


class Contract:
    """The contract, read once."""

    def __init__(self) -> None:
        self._document = yaml.safe_load(PATH.read_text(encoding="utf-8"))
        self.operations = {operation.operation_id: operation for operation in self._read()}

    def find(self, method: str, path: str) -> Operation:
        """The operation of a request; `path` is below the server's address."""
        for operation in self.operations.values():
            pattern = re.sub(r"\{[a-z_]+\}", "[^/]+", operation.path)
            if operation.method == method and re.fullmatch(pattern, path):
                return operation
        raise AssertionError(f"{method} {path} is not in the contract")

    def request_faults(
        self, operation: Operation, headers: dict[str, str], query: dict[str, str], body: Any
    ) -> list[str]:
        """What is wrong with a request. Names of `headers` are in lower case."""
        faults: list[str] = []
        for parameter in operation.parameters:
            name, place = parameter["name"], parameter["in"]
            if place == "path":
                continue
            value: Any = headers.get(name.lower()) if place == "header" else query.get(name)
            if value is None:
                faults += [f"{name}: missing"] if parameter.get("required") else []
                continue
            schema = self._resolved(parameter["schema"])
            faults += self.faults(schema, int(value) if schema.get("type") == "integer" else value, name)
        known = {p["name"] for p in operation.parameters if p["in"] == "query"}
        faults += [f"{name}: not in the contract" for name in query.keys() - known]
        if "requestBody" in operation.spec:
            faults += self.faults(_json_schema(operation.spec["requestBody"]), body, "body")
        elif body is not None:
            faults.append("body: not in the contract")
        return faults

    def answer_faults(self, operation: Operation, status: int, media_type: str, body: Any) -> list[str]:
        """What is wrong with an answer. Every field of a success has to be in the contract."""
        responses = operation.spec["responses"]
        response = self._resolved(responses.get(str(status), responses["default"]))
        ((expected, content),) = response["content"].items()
        if media_type != expected:
            return [f"media type {media_type}, not {expected}"]
        return self.faults(content["schema"], body, "body", closed=status == 200)

    def faults(self, schema: dict[str, Any], value: Any, at: str, closed: bool = False) -> list[str]:
        """What is wrong with `value`; `closed`: properties that the schema does not name are."""
        faults: list[str] = []
        for keyword, wanted in schema.items():
            if keyword in ("properties", "required", "items") or keyword in _SILENT:
                continue
            faults += self._keyword(keyword, wanted, value, at, closed)
        if isinstance(value, dict):
            faults += [f"{at}.{name}: missing" for name in schema.get("required", []) if name not in value]
            properties = schema.get("properties", {})
            for name, item in value.items():
                if name in properties:
                    faults += self.faults(properties[name], item, f"{at}.{name}", closed)
                elif closed and "properties" in schema:
                    faults.append(f"{at}.{name}: not in the contract")
        if isinstance(value, list):
            for place, item in enumerate(value):
                faults += self.faults(schema.get("items", {}), item, f"{at}[{place}]", closed)
        return faults

    def _keyword(self, keyword: str, wanted: Any, value: Any, at: str, closed: bool) -> list[str]:
        match keyword:
            case "$ref":
                return self.faults(self._resolved({"$ref": wanted}), value, at, closed)
            case "allOf":
                return [fault for schema in wanted for fault in self.faults(schema, value, at, closed)]
            case "anyOf" | "oneOf":
                fits = sum(not self.faults(schema, value, at, closed) for schema in wanted)
                right = fits == 1 if keyword == "oneOf" else fits >= 1
            case "type":
                right = any(_is(name, value) for name in ([wanted] if isinstance(wanted, str) else wanted))
            case "enum":
                right = value in wanted
            case "const":
                right = value == wanted
            case "pattern":
                right = not isinstance(value, str) or re.search(wanted, value, re.ASCII) is not None
            case "format":
                right = not isinstance(value, str) or _formatted(wanted, value)
            case "minimum" | "maximum":
                right = value >= wanted if keyword == "minimum" else value <= wanted
            case "minLength" | "maxLength" | "maxItems":
                right = len(value) >= wanted if keyword == "minLength" else len(value) <= wanted
            case _:
                raise AssertionError(f"{at}: the keyword {keyword} is not checked here; teach it")
        return [] if right else [f"{at}: {keyword} is not {wanted}"]

    def _read(self) -> list[Operation]:
        found = []
        for path, item in self._document["paths"].items():
            shared = item.get("parameters", [])
            for method in item.keys() - {"parameters"}:
                spec = item[method]
                parameters = tuple(self._resolved(p) for p in [*shared, *spec.get("parameters", [])])
                found.append(Operation(spec["operationId"], method.upper(), path, spec, parameters))
        return found

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self._document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node


def _json_schema(request_body: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = request_body["content"]["application/json"]["schema"]
    return schema


def _is(name: str, value: Any) -> bool:
    if name == "integer" and isinstance(value, bool):
        return False
    return isinstance(value, _TYPES[name])


def _formatted(name: str, value: str) -> bool:
    readers: dict[str, Any] = {"date": date.fromisoformat, "date-time": datetime.fromisoformat}
    if name not in readers:
        return name == "password"
    try:
        read = readers[name](value)
    except ValueError:
        return False
    return name == "date" or read.tzinfo is not None
