"""A bundle is installed as it was signed, or not at all."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from small_bundle import CONTENT, VERSION, Signed


def test_a_bundle_is_taken_as_it_was_signed(signed: Signed, verification: ModuleType) -> None:
    digest, files = verification.check_bundle(signed.folder, signed.key, VERSION)
    assert set(files) == {*CONTENT, "minisign.pub"}
    assert verification.named(signed.folder, digest) == files


def test_minisign_and_sha256sum_say_the_same(signed: Signed) -> None:
    # What an operator can do by hand, with the tools of any distribution.
    asked = ["minisign", "-V", "-q", "-P", signed.key, "-m", "MANIFEST.sha256"]
    subprocess.run(asked, cwd=signed.folder, check=True)
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "MANIFEST.sha256"], cwd=signed.folder, check=True
    )


@pytest.mark.parametrize("name", [*CONTENT, "minisign.pub", "MANIFEST.sha256", "MANIFEST.sha256.minisig"])
def test_a_flipped_bit_is_refused_by_the_files_name(
    signed: Signed, verification: ModuleType, name: str
) -> None:
    signed.flip(name)
    with pytest.raises(verification.Refused, match=name.replace(".", r"\.")):
        verification.check_bundle(signed.folder, signed.key, VERSION)


def test_any_flipped_bit_of_the_signature_is_refused(signed: Signed, verification: ModuleType) -> None:
    path = signed.folder / "MANIFEST.sha256.minisig"
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(verification.Refused):
            verification.check_signature(signed.folder, signed.key, VERSION)


def test_all_that_is_wrong_is_said_at_once(signed: Signed, verification: ModuleType) -> None:
    signed.flip("release.tar.gz")
    (signed.folder / "wheels/six-1-py3-none-any.whl").unlink()
    (signed.folder / "debs/extra.deb").write_text("nobody signed this")
    with pytest.raises(verification.Refused) as refused:
        verification.check_bundle(signed.folder, signed.key, VERSION)
    said = str(refused.value)
    assert "release.tar.gz: changed" in said
    assert "six-1-py3-none-any.whl: missing" in said
    assert "debs/extra.deb: nobody signed it" in said


def test_a_link_is_no_file_of_a_bundle(signed: Signed, verification: ModuleType, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (signed.folder / "release.tar.gz").rename(outside)
    (signed.folder / "release.tar.gz").symlink_to(outside)
    with pytest.raises(verification.Refused, match=r"release\.tar\.gz: no plain file"):
        verification.check_bundle(signed.folder, signed.key, VERSION)


def test_another_builders_key_is_refused(signed: Signed, verification: ModuleType, tmp_path: Path) -> None:
    public = tmp_path / "other.pub"
    subprocess.run(
        ["minisign", "-G", "-W", "-s", tmp_path / "other.key", "-p", public], check=True, capture_output=True
    )
    with pytest.raises(verification.Refused, match="another key than tellerline_bundle_key"):
        verification.check_bundle(signed.folder, public.read_text().splitlines()[1], VERSION)


@pytest.mark.parametrize("key", ["", "RWQ", "untrusted comment: minisign public key"])
def test_what_is_no_key_is_refused(signed: Signed, verification: ModuleType, key: str) -> None:
    with pytest.raises(verification.Refused, match="tellerline_bundle_key"):
        verification.check_bundle(signed.folder, key, VERSION)


def test_a_bundle_of_another_release_is_refused(signed: Signed, verification: ModuleType) -> None:
    with pytest.raises(verification.Refused, match=r"signed for 'tellerline 1\.2\.3'.*9\.9\.9"):
        verification.check_bundle(signed.folder, signed.key, "9.9.9")


def test_an_unfinished_bundle_is_refused(signed: Signed, verification: ModuleType) -> None:
    (signed.folder / "MANIFEST.sha256.minisig").unlink()
    with pytest.raises(verification.Refused, match=r"MANIFEST\.sha256\.minisig.*no \(whole\) bundle"):
        verification.check_bundle(signed.folder, signed.key, VERSION)


def test_a_manifest_cannot_name_files_elsewhere(signed: Signed, verification: ModuleType) -> None:
    (signed.folder / "MANIFEST.sha256").write_text("0" * 64 + "  ../outside\n")
    with pytest.raises(verification.Refused, match="cannot be read"):
        verification.named(signed.folder)
