"""Archives of corpora, unpacked once and whole."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from madg_speech.cache import atomic_path
from madg_speech.errors import DataError

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


def is_archive(path: Path) -> bool:
    """Whether ``path`` is a file that ``unpack`` can unpack, judged by its name."""
    return path.is_file() and path.name.endswith(ENDINGS)


def unpack(archive: Path, into: Path) -> Path:
    """Unpack ``archive`` into a folder of its name below ``into``, unless that was done before.

    Links and members that point outside the folder are not unpacked.

    Raises:
        DataError: the archive breaks off or is damaged; says after how many files.
    """
    target = into / archive.name.split(".tar")[0].removesuffix(".tgz").removesuffix(".zip")
    if target.is_dir():
        return target
    done = 0
    with atomic_path(target) as draft:
        draft.mkdir()
        try:
            files = _unpacked(archive, draft)
            for _ in track(files, f"unpacking {archive.name}", None, console=Console(stderr=True)):
                done += 1
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
            raise DataError(
                f"{archive}: breaks off or is damaged after {done} files ({error}); fetch it again, or "
                "unpack it yourself and give the folder"
            ) from None
    return target


def _unpacked(archive: Path, folder: Path) -> Iterator[None]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                zipped.extract(name, folder)
                yield
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() or member.isdir():
                tar.extract(member, folder, filter="data")
                yield
