"""`tellerline certificates`: until when the certificates of this host are good."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509

from tellerline.errors import HostError

FOLDER = Path("/etc/tellerline/pki")

_ENDED = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Certificate:
    """One file: whose, and until when; `fault` where it is none."""

    file: Path
    subject: str = ""
    until: datetime = _ENDED
    fault: str = ""

    def days(self, now: datetime) -> int:
        """Whole days left; negative once it has ended."""
        return (self.until - now).days


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, show_default=True)
@click.option("--warn-days", type=click.IntRange(min=0), default=30, show_default=True)
@click.option("--fail-days", type=click.IntRange(min=0), default=7, show_default=True)
def certificates(folder: Path, warn_days: int, fail_days: int) -> None:
    """Lists the certificates in FOLDER; exit status 1 when one ends within --fail-days, or is none."""
    now = datetime.now(UTC)
    found = tuple(read(folder))
    if not found:
        raise HostError(f"no certificate (*.pem) in {folder}")
    bad = False
    for one in found:
        days = one.days(now)
        failing = bool(one.fault) or days < fail_days
        bad |= failing
        word = "RENEW NOW" if failing else "renew" if days < warn_days else "good"
        about = one.fault or f"{one.subject}, until {one.until:%Y-%m-%d %H:%M} UTC, {days} days"
        click.echo(f"{word:>9}  {one.file.name}: {about}")
    sys.exit(1 if bad else 0)


def read(folder: Path) -> Iterator[Certificate]:
    """The certificates in `folder`, each file's first that ends."""
    for file in sorted(folder.glob("*.pem")):
        try:
            chain = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError) as error:
            yield Certificate(file, fault=f"cannot be read as a certificate ({type(error).__name__})")
            continue
        first = min(chain, key=lambda one: one.not_valid_after_utc)
        yield Certificate(file, first.subject.rfc4514_string(), first.not_valid_after_utc)
