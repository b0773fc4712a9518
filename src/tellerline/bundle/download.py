"""Downloads that go on where they were interrupted, and say how far they are."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tellerline.errors import BundleError

Say = Callable[[str], None]

_READ_BYTES = 1 << 20
_TRIES = 5
# Longer than any mirror takes to answer, shorter than a person waits.
_QUIET_SECONDS = 60
_SAY_SECONDS = 5.0


def fetch(url: str, target: Path, say: Say, pause_seconds: float = 2.0) -> None:
    """Gets `url` into `target`, unless it is there; raises BundleError when it cannot be had whole.

    What has arrived stays in `target.part`: the next call, also of a later run, asks for the rest.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, _TRIES + 1):
        try:
            whole = _rest(url, part, target.name, say)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise BundleError(f"bundle: {url}: {error.code} {error.reason}") from error
            if attempt == _TRIES:
                raise BundleError(f"bundle: {url} cannot be had ({error}); run again to go on") from error
            say(f"  {target.name}: {error}; attempt {attempt + 1} of {_TRIES}")
            time.sleep(pause_seconds)
            continue
        if whole:
            part.replace(target)
            return
    raise BundleError(f"bundle: {url} breaks off again and again; run again to go on")


def _rest(url: str, part: Path, name: str, say: Say) -> bool:
    """Asks for what is missing, and returns whether nothing is missing any more."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_QUIET_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Either it is whole, or it is something else than the server has now.
        if error.headers.get("Content-Range", "").endswith(f"/{have}"):
            return True
        part.unlink()
        return False
    with answer, part.open("ab" if answer.status == http.HTTPStatus.PARTIAL_CONTENT else "wb") as out:
        size = out.tell() + int(answer.headers.get("Content-Length") or 0)
        said = time.monotonic()
        while content := answer.read(_READ_BYTES):
            out.write(content)
            if time.monotonic() - said > _SAY_SECONDS:
                said = time.monotonic()
                say(f"  {name}: {out.tell() >> 20} of {size >> 20} MB")
        return out.tell() >= size
