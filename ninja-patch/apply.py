#!/usr/bin/env python3
"""Makes a Ninja source tree: upstream, plus overlay/ and patches/ of this directory.

usage: apply.py --source TARBALL_OR_DIRECTORY --out DIRECTORY [--pristine]

The tree appears at --out complete or not at all. When nothing has changed
since the last run nothing is done; otherwise files whose content stays the
same keep their time stamps, so that only what changed is compiled again.
"""

import argparse
import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Iterator, List

HERE = Path(__file__).resolve().parent
KEY_FILE = ".made-from"


def files_under(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and ".git" not in path.parts:
            yield path


def patch_series(patches: Path) -> List[Path]:
    series = patches / "series"
    if not series.is_file():
        return []
    lines = (line.split("#")[0].strip() for line in series.read_text().splitlines())
    return [patches / line for line in lines if line]


def key_of(source: Path, overlay: Path, patches: List[Path]) -> str:
    """Identifies everything that the tree is made from."""
    digest = hashlib.sha256()
    inputs = [source] if source.is_file() else list(files_under(source))
    for path in [Path(__file__), *inputs, *files_under(overlay), *patches]:
        digest.update(str(path).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def unpack(source: Path, tree: Path) -> None:
    """Puts the content of the tarball's or directory's one root into `tree`."""
    if source.is_dir():
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns(".git"))
        return
    unpacked = tree.with_name(tree.name + ".unpacked")
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(source) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(unpacked)
    (root,) = unpacked.iterdir()
    root.rename(tree)
    unpacked.rmdir()


def copy_overlay(overlay: Path, tree: Path) -> None:
    for path in files_under(overlay):
        target = tree / path.relative_to(overlay)
        print(f"overlay: {'replaces' if target.exists() else 'adds'} {path.relative_to(overlay)}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def apply_patches(patches: List[Path], tree: Path) -> None:
    for patch in patches:
        done = subprocess.run(
            # No fuzz: a patch that does not fit exactly is to be looked at.
            ["patch", "-p1", "-F0", "--no-backup-if-mismatch", "-i", str(patch)],
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"apply.py: {patch.name} does not apply:\n{done.stdout}")
        print(f"patch: {patch.name}")


def keep_times(tree: Path, previous: Path) -> None:
    for path in files_under(tree):
        old = previous / path.relative_to(tree)
        if old.is_file() and filecmp.cmp(path, old, shallow=False):
            stat = old.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        else:
            # With the time it was written upstream it would look older than
            # an object made from its former content.
            os.utime(path)


def replace(out: Path, tree: Path) -> None:
    previous = out.with_name(out.name + ".previous")
    shutil.rmtree(previous, ignore_errors=True)
    if out.exists():
        out.rename(previous)
    tree.rename(out)
    shutil.rmtree(previous, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pristine", action="store_true", help="upstream as it is")
    args = parser.parse_args()

    source, out = args.source.resolve(), args.out.resolve()
    overlay = HERE / ("no-overlay" if args.pristine else "overlay")
    patches = [] if args.pristine else patch_series(HERE / "patches")
    key = key_of(source, overlay, patches)
    key_file = out / KEY_FILE
    if key_file.is_file() and key_file.read_text() == key:
        return

    print(f"making {out.name} from {source.name}", flush=True)
    tree = out.with_name(out.name + ".new")
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    unpack(source, tree)
    copy_overlay(overlay, tree)
    apply_patches(patches, tree)
    keep_times(tree, out)
    (tree / KEY_FILE).write_text(key)
    replace(out, tree)


if __name__ == "__main__":
    main()
