"""Sources of others that tests build: obtained as configure.py obtains Ninja's.

Environment: DOWNLOADS, where they are kept.
"""

import os
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "ninja-patch"))
import fetch  # noqa: E402

SKIP = 77


def obtain(name: str) -> Path:
    """The verified tarball; ends this program as skipped if it cannot be had."""
    source = fetch.read_source(ROOT / "bench" / "REPOSITORIES", name)
    try:
        return fetch.fetch(source, Path(os.environ["DOWNLOADS"]), print, Path("/etc/apt"))
    except fetch.SourceError as error:
        print(f"skipped: {error}")
        sys.exit(SKIP)


def unpack(tarball: Path, directory: Path) -> Path:
    """Returns the one directory in it, moved to `directory`."""
    parent = directory.with_name(directory.name + ".unpacked")
    with tarfile.open(tarball) as archive:
        archive.extractall(parent)
    (top,) = parent.iterdir()
    top.rename(directory)
    parent.rmdir()
    return directory
