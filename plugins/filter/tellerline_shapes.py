"""Jinja filter of the role `validate`: variables that nobody reads, and values of another kind than is read.

What is read stands in two places already: the defaults in inventory/group_vars/all, and the roles' own
meta/argument_specs.yml. A role sees the latter when it runs, which is after other hosts were changed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_DEFAULTS = "inventory/group_vars/all"
# Site variables that are a role's own under another name.
_LIKE = {"tellerline_trunks": "opensips_trunks", "tellerline_further_flows": "nftables_further_flows"}
# Of those whose default is worked out, or says too little.
_KINDS: dict[str, dict[str, Any]] = {
    "tellerline_recording": {"type": "truth"},
    "tellerline_address": {"type": "str"},
    "tellerline_trunk_address": {"type": "str"},
    "tellerline_bundle": {"type": "str"},
    "tellerline_redis_url": {"type": "str"},
    "tellerline_database_dsn_hosts": {"type": "list", "elements": "str"},
    "tellerline_further_targets": {"type": "list", "elements": "str"},
    "tellerline_operators": {"type": "list", "elements": "str"},
    "tellerline_dns_servers": {"type": "list", "elements": "str"},
    "tellerline_ntp_servers": {"type": "list", "elements": "str"},
    "tellerline_redis_sentinels": {"type": "list", "elements": "str"},
    "tellerline_provider_servers": {
        "type": "list",
        "elements": "dict",
        "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "required": True}},
    },
}
_EXAMPLES = {
    "tellerline_trunks": "[{name: carrier, addresses: [192.0.2.10], calls: 60}]",
    "tellerline_numbers": '{"908501234567": tr}',
    "tellerline_names": "{core.bank.example: [10.20.0.5]}",
    "tellerline_database_dsn_hosts": "[db1.bank.example]",
    "tellerline_further_targets": "[sip:agents@pbx.bank.example]",
    "tellerline_redis_sentinels": "[10.20.0.5:26379]",
    "tellerline_provider_servers": "[{host: models.bank.example, port: 8000}]",
}
_WORDS = ("yes", "no", "true", "false", "on", "off", "1", "0")
_UNKNOWN = object()

Site = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


def problems(hostvars: Site, groups: Groups, checkout: str) -> list[str]:
    """Every variable that is misspelt, and every value of a wrong kind, each with its remedy."""
    top = Path(checkout)
    hosts = list(groups.get("all", ()))
    read, roles = _read(top), sorted(path.name for path in (top / "roles").iterdir() if path.is_dir())
    said: dict[str, list[str]] = {}
    for host in hosts:
        for problem in _of_host(hostvars[host], read, roles):
            said.setdefault(problem, []).append(host)
    return [
        problem if len(of) == len(hosts) else f"{', '.join(of)}: {problem}" for problem, of in said.items()
    ]


def _of_host(variables: Mapping[str, Any], read: Mapping[str, Any], roles: Sequence[str]) -> Iterator[str]:
    for name in sorted(map(str, variables)):
        if name in read:
            if read[name] is not None and (fault := _judged(variables, name, read[name])):
                yield f"{name}{fault}"
        elif name.startswith("tellerline_") or name.startswith(tuple(f"{role}_" for role in roles)):
            [near] = difflib.get_close_matches(name, read, n=1, cutoff=0.85) or [None]
            # A name that begins like a role's may be the bank's own; ours are all known.
            if near or name.startswith("tellerline_"):
                yield f"{name}: there is no such variable" + (f"; did you mean {near}?" if near else "")


def _judged(variables: Mapping[str, Any], name: str, option: Mapping[str, Any]) -> str:
    value = plain(variables, name)
    if value is _UNKNOWN:
        return (
            "" if option.get("derived") else ": cannot be worked out; it names a variable that is not there"
        )
    found = next(_faults(value, option), "")
    example = _EXAMPLES.get(name) or (json.dumps(option["default"]) if option.get("default") else "")
    # Of the value itself, not of something in it.
    shape = found.startswith(" is") and found.endswith((_CALLED["list"], _CALLED["dict"]))
    return f"{found}, as {example}" if shape and example else found


def plain(variables: Mapping[str, Any], name: str) -> Any:
    """The value, worked out as a whole; _UNKNOWN where that fails."""
    try:
        return _forced(variables[name])
    except Exception:
        # Whatever Ansible finds in a template; its classes are not the same from version to version.
        return _UNKNOWN


def _forced(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key) if isinstance(key, str) else key: _forced(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_forced(each) for each in value]
    str(value)
    return value


def _faults(value: Any, option: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a value, by an option of an argument specification; phrases that follow a name."""
    kind = option.get("type", "str")
    if not _FITS.get(kind, _FITS["raw"])(value):
        yield f" is {value!r}; give {_CALLED.get(kind, _CALLED['raw'])}"
        return
    if (choices := option.get("choices")) and str(value) not in map(str, choices):
        yield f" is {value!r}; give one of {', '.join(map(str, choices))}"
    elements = {"type": option.get("elements", "raw"), "options": option.get("options")}
    if kind == "list":
        for number, each in enumerate(value, start=1):
            yield from (f", entry {number}{fault}" for fault in _faults(each, elements))
    if kind == "dict" and option.get("options"):
        yield from _of_keys(value, option["options"])


def _of_keys(value: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for key in sorted(set(value) - set(options), key=str):
        [near] = difflib.get_close_matches(str(key), options, n=1) or [None]
        yield f": there is no key {key}" + (
            f"; did you mean {near}?" if near else f"; there are {', '.join(options)}"
        )
    for key, option in options.items():
        if key in value:
            yield from (f": {key}{fault}" for fault in _faults(value[key], option))
        elif option.get("required"):
            yield f": {key} is missing"


def _read(top: Path) -> dict[str, dict[str, Any] | None]:
    """Every variable that is read → the option it is judged by, or None."""
    known: dict[str, dict[str, Any] | None] = {}
    for role in sorted((top / "roles").glob("*/meta/argument_specs.yml")):
        for entry in _load(role)["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                known.setdefault(name, option)
        # Not for a site to set; nobody has misspelt them either.
        known |= dict.fromkeys(_load(role.parent.parent / "vars" / "main.yml"))
    for file in sorted((top / _DEFAULTS).glob("*.yml")):
        for name, default in _load(file).items():
            given = _strict(known.get(_LIKE.get(name, name))) or _KINDS.get(name) or _kind_of(default)
            known[name] = None if given is None else {**given, "derived": _is_template(default)}
    return known


def _strict(option: Any) -> Any:
    """The option with truths where words would do: templates take a quoted "no" for a yes."""
    if isinstance(option, Mapping):
        return {key: _strict(each) for key, each in option.items()}
    return "truth" if option == "bool" else option


def _kind_of(default: Any) -> dict[str, Any] | None:
    if _is_template(default) or (isinstance(default, dict) and any(map(_is_template, default.values()))):
        return None
    for kind, of in (("bool", bool), ("int", int), ("list", list), ("dict", dict)):
        if isinstance(default, of):
            return {"type": kind, "default": default}
    return {"type": "str"}


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return loaded


def _is_word(value: Any) -> bool:
    return value is not None and not isinstance(value, list | Mapping)


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "str": _is_word,
    "path": _is_word,
    "raw": lambda value: value is not None,
    "bool": lambda value: str(value).lower() in _WORDS,
    # A word would be taken for a yes by the templates, "no" too.
    "truth": lambda value: isinstance(value, bool),
    "int": lambda value: not isinstance(value, bool) and bool(re.fullmatch(r"-?\d+", str(value))),
    "float": lambda value: not isinstance(value, bool) and bool(re.fullmatch(r"-?\d+(\.\d+)?", str(value))),
    "list": lambda value: isinstance(value, list),
    "dict": lambda value: isinstance(value, Mapping),
}
_CALLED = {
    "str": "one word or line",
    "path": "a path",
    "raw": "a value",
    "bool": "true or false",
    "truth": "true or false, without quotes",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "a mapping",
}


def _site_problems(hostvars: Site, groups: Groups, checkout: str) -> Iterable[str]:
    # Without the defaults every variable would be one that nobody reads; tellerline_site_problems says so.
    hosts = groups.get("all", ())
    if not hosts or "tellerline_host_lanes" not in hostvars[hosts[0]]:
        return []
    return problems(hostvars, groups, checkout)


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by the names templates use."""
        return {"tellerline_shape_problems": _site_problems}
