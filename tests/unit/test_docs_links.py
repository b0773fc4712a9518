"""Every link between the documents leads somewhere, and every file they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Where a path that a page names may begin.
BEGINNINGS = (ROOT, ROOT / "src" / "tellerline", ROOT / "src" / "tellerline" / "pipeline", ROOT / "tests")

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|proto|sql|yml|yaml|md|csv))`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names a page's headings have as link targets: lower case, words joined by hyphens."""
    headings = (re.sub(r"[^\w\s-]", "", heading).lower() for heading in _HEADING.findall(text_of(page)))
    return {heading.replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    dead = []
    for target in _LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_are_there(page: Path) -> None:
    begun = (page.parent, *BEGINNINGS)
    missing = [
        name for name in _NAMED.findall(text_of(page)) if not any((start / name).exists() for start in begun)
    ]
    assert missing == []


def test_every_page_is_reached_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in _LINK.findall(text_of(page))
    }
    assert [page for page in PAGES if page.parent != ROOT and page not in linked] == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n[a](page.md) [b](page.md#a-page) [c](https://x) [d](gone.md) [e](#nowhere)\n")
    assert dead_links(page) == ["gone.md", "#nowhere"]
