"""Which Debian packages the roles install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tellerline.bundle import wanted
from tellerline.errors import BundleError

ROLES = Path(__file__).resolve().parents[3] / "roles"


def _role(top: Path, tasks: str, defaults: str = "{}") -> Path:
    for name, content in (("tasks/main.yml", tasks), ("defaults/main.yml", defaults)):
        path = top / "roles" / "edge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return top / "roles"


def test_names_are_found_however_a_task_writes_them(tmp_path: Path) -> None:
    tasks = """
- ansible.builtin.apt: {name: "{{ edge_packages }}", state: present}
- when: true
  block:
    - ansible.builtin.apt: {name: [keepalived, "{{ edge_more }}"]}
    - ansible.builtin.apt: {pkg: "sngrep, tcpdump"}
  rescue:
    - ansible.builtin.apt: {name: strace}
- ansible.builtin.apt: {name: exim4, state: absent}
- ansible.builtin.apt: {update_cache: true}
"""
    roles = _role(tmp_path, tasks, "edge_packages: [opensips]\nedge_more: [ipset]\nsecret: !vault |\n  abc\n")
    found = ("ipset", "keepalived", "opensips", "sngrep", "strace", "tcpdump")
    assert wanted.packages(roles) == {"edge": found}


@pytest.mark.parametrize("name", ["{{ elsewhere_packages }}", "postgresql-{{ version }}", "{{ a + b }}"])
def test_a_package_that_cannot_be_known_is_an_error(tmp_path: Path, name: str) -> None:
    roles = _role(tmp_path, f'- ansible.builtin.apt: {{name: "{name}"}}')
    with pytest.raises(BundleError, match=r"tasks/main\.yml"):
        wanted.packages(roles)


def test_every_role_says_what_it_installs() -> None:
    found = wanted.packages(ROLES)
    assert {"minisign", "python3-venv"} <= set(found["release"])
