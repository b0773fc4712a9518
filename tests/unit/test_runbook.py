"""What the runbook tells an operator to type exists: commands, options, playbooks, variables, units."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from tellerline.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
_PAGES = ("operations.md", "edge.md", "backup.md", "certificates.md", "bundle.md", "inventory.md", "units.md")
# Neither in a minimal Debian 12 nor in what the roles install.
_LACKING = ("curl", "iostat", "lsof", "rtpengine-ctl", "sudo")
# Tags of roles, and a key of a setting that is a mapping.
_NO_VARIABLES = re.compile(r"\w+_(preflight|install|configure|run)|base_url")


def _code(page: str) -> Iterator[str]:
    """Every piece of code of a page: between backticks, and lines set in."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    text = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (line.strip() for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE))
    yield from re.findall(r"`([^`\n]+)`", text)


def _typed(program: str) -> list[str]:
    found = {
        re.split(r"\s{2,}|\s#|;|,| \|", piece[piece.index(program) :])[0]
        for page in _PAGES
        for piece in _code(page)
        if re.search(rf"(^|\s){re.escape(program)} [a-z]", piece)
    }
    return sorted(found)


@pytest.mark.parametrize("line", _typed("tellerline"))
def test_a_command_exists_with_its_options(line: str) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    words = shlex.split(line.replace("…", "x"))[1:]
    while isinstance(command, click.Group) and words and command.get_command(context, words[0]):
        command = command.get_command(context, words.pop(0))  # type: ignore[assignment]
    assert command is not cli, line
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    if isinstance(command, click.Group):
        options |= {name for one in command.list_commands(context) for name in _options(command, one)}
        # `calls CALL` shows one.
        assert command.name == "calls" or not words or words[0].startswith("-"), line
    assert {word.partition("=")[0].strip("[]") for word in words if word.startswith(("--", "[--"))} <= options


def _options(group: click.Group, name: str) -> set[str]:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("line", _typed("tellerline-edge"))
def test_a_command_of_the_edge_exists(line: str) -> None:
    path = ROOT / "roles" / "opensips" / "files" / "tellerline_edge.py"
    spec = importlib.util.spec_from_file_location("tellerline_edge", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = [word.strip("[]") for word in shlex.split(line)[1:]]
    # Wrong ones end it.
    module.arguments().parse_args(words)


@pytest.mark.parametrize("page", _PAGES)
def test_playbooks_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"playbooks/([\w-]+)\.yml", text))
    assert named - {path.stem for path in (ROOT / "playbooks").glob("*.yml")} == set()


def _variables() -> set[str]:
    known: set[str] = set()
    for path in (*ROOT.glob("roles/*/defaults/main.yml"), *ROOT.glob("inventory/group_vars/all/*.yml")):
        known |= set(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            known |= set(entry.get("options", {}))
    return known


@pytest.mark.parametrize("page", _PAGES)
def test_variables_exist(page: str) -> None:
    roles = "|".join(path.name for path in (ROOT / "roles").iterdir())
    known = _variables()
    # A playbook's own, given with -e.
    for path in (ROOT / "playbooks").glob("*.yml"):
        known |= set(re.findall(r"\b([a-z]+_[a-z_]+)\b", path.read_text(encoding="utf-8")))
    named = set()
    for piece in _code(page):
        named |= set(
            re.findall(rf"(?<![\w./-])((?:tellerline|{roles})_[a-z][a-z_]*)(?=$|[\s:=,}}\]])", piece)
        )
    # Metrics have the same prefix; those of alerts and dashboards are tried elsewhere.
    metrics = (ROOT / "src/tellerline/monitoring/metrics.py").read_text(encoding="utf-8")
    unknown = {name for name in named - known if not _NO_VARIABLES.fullmatch(name)}
    assert {name for name in unknown if f'"{name}' not in metrics} == set()


def test_units_exist() -> None:
    units = {path.name for path in (ROOT / "systemd").iterdir()}
    units |= {
        path.name.removesuffix(".j2") for path in ROOT.glob("roles/*/templates/etc/systemd/system/*.j2")
    }
    stems = {re.sub(r"@?\.(service|timer|target|path|slice)$", "", name) for name in units}
    for page in _PAGES:
        for piece in _code(page):
            for name in re.findall(r"\b(tellerline-[a-z-]+)(?=@|\.service|\.timer|\.target)", piece):
                assert name.rstrip("-") in stems, (page, name)


@pytest.mark.parametrize("program", _LACKING)
def test_no_program_is_named_that_a_host_has_not(program: str) -> None:
    for page in ("operations.md", "edge.md", "backup.md", "units.md"):
        for piece in _code(page):
            assert not re.search(rf"(^|[|;]\s*){re.escape(program)}(\s|$)", piece), (page, piece)
