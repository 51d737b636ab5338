#!/usr/bin/env python3
"""Tests of the set-up: packages, obtaining sources, making the source tree.

No test needs a network, root or an installed package.
"""

import contextlib
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List, Optional
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[:0] = [str(ROOT), str(ROOT / "ninja-patch")]
import apply  # noqa: E402
import configure  # noqa: E402
import fetch  # noqa: E402

DEB822 = """\
Types: deb
# A comment between fields.
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: https://other.example/tool
Suites: bookworm
Components: stable
"""

INLINE_KEY = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""

ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/key.gpg] http://mirror.example/debian bookworm main contrib # x
deb http://mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
deb https://flat.example/ ./
"""


class Scratch(unittest.TestCase):
    """Gives each test an empty directory and a cache of its own in it."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = Path(directory.name).resolve()
        self.apt_dir = self.dir / "apt"
        (self.apt_dir / "sources.list.d").mkdir(parents=True)
        patch = mock.patch.dict(os.environ, XDG_CACHE_HOME=str(self.dir / "cache"))
        patch.start()
        self.addCleanup(patch.stop)
        self.said: List[str] = []

    def write(self, name: str, text: str) -> Path:
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def tarball(self, name: str, files: Dict[str, str]) -> Path:
        with tarfile.open(self.dir / name, "w:gz") as tar:
            for member, text in files.items():
                info = tarfile.TarInfo(f"ninja-9.9/{member}")
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        return self.dir / name

    def source(self, content: bytes, url: str = "") -> fetch.Source:
        digest = hashlib.sha256(content).hexdigest()
        return fetch.Source("ninja", "9.9", digest, "ninja-build", ["sid", "forky"], url)

    def fetch(self, source: fetch.Source) -> Path:
        return fetch.fetch(source, self.dir / "downloads", self.said.append, self.apt_dir)

    def files(self) -> List[str]:
        return sorted(
            str(p.relative_to(self.dir)) for p in self.dir.rglob("*") if p.is_file()
        )


class SourcesListTest(Scratch):
    def entries(self) -> List[fetch.Paragraph]:
        return fetch.archive_entries(self.apt_dir, "bookworm")

    def test_deb822_takes_enabled_archive_entries_of_this_release(self) -> None:
        self.write("apt/sources.list.d/debian.sources", DEB822)
        (entry,) = self.entries()
        self.assertEqual("http://mirror.example/debian", entry["uris"])
        self.assertEqual("/usr/share/keyrings/debian-archive-keyring.gpg", entry["signed-by"])

    def test_deb822_key_in_place_reaches_the_private_configuration(self) -> None:
        self.write("apt/sources.list.d/debian.sources", INLINE_KEY)
        (entry,) = self.entries()
        fetch.apt_configuration(self.dir / "area", entry, "sid")
        written = (self.dir / "area/sources/upstream.sources").read_text()
        self.assertIn("Suites: sid\n", written)
        self.assertIn("\n .\n abc\n", written)

    def test_one_line_format_with_options_and_comments(self) -> None:
        self.write("apt/sources.list", ONE_LINE)
        entries = self.entries()
        self.assertEqual({"http://mirror.example/debian"}, {e["uris"] for e in entries})
        self.assertEqual("/etc/apt/key.gpg", entries[0]["signed-by"])
        self.assertEqual("main contrib", entries[0]["components"])

    def test_private_configuration_keeps_everything_in_its_area(self) -> None:
        area = self.dir / "area"
        configuration = fetch.apt_configuration(area, {"uris": "http://m.example"}, "sid")
        text = configuration.read_text()
        for setting in ("Dir::State::Lists", "Dir::Cache", "Dir::Etc::SourceParts"):
            self.assertIn(f'{setting} "{area}/', text)
        self.assertIn('Dir::Etc::SourceList "/dev/null"', text)

    def test_codename(self) -> None:
        path = self.write("os-release", 'NAME="X Y"\nVERSION_CODENAME="trixie"\n')
        self.assertEqual("trixie", fetch.machine_codename(path))
        self.assertEqual("", fetch.machine_codename(self.dir / "absent"))


class FetchTest(Scratch):
    def test_release_tarball_is_kept_and_cached(self) -> None:
        served = self.write("served", "good")
        path = self.fetch(self.source(b"good", served.as_uri()))
        self.assertEqual(b"good", path.read_bytes())
        self.assertIn("cache/launcherd/ninja-9.9.tar.gz", self.files())
        served.unlink()
        self.assertEqual(path, self.fetch(self.source(b"good", served.as_uri())))

    def test_cache_serves_another_build_directory(self) -> None:
        self.write("cache/launcherd/ninja-9.9.tar.gz", "good")
        path = self.fetch(self.source(b"good", "file:///nonexistent"))
        self.assertEqual(self.dir / "downloads/ninja-9.9.tar.gz", path)

    def test_wrong_hash_names_both_and_leaves_nothing(self) -> None:
        served = self.write("served", "evil")
        source = self.source(b"good", served.as_uri())
        with self.assertRaises(fetch.SourceError) as caught:
            self.fetch(source)
        self.assertIn(f"expected {source.sha256}", str(caught.exception))
        self.assertIn(hashlib.sha256(b"evil").hexdigest(), str(caught.exception))
        self.assertEqual(["served"], self.files())

    def test_damaged_cache_is_an_error_and_is_removed(self) -> None:
        self.write("cache/launcherd/ninja-9.9.tar.gz", "evil")
        with self.assertRaisesRegex(fetch.SourceError, "wrong sha256"):
            self.fetch(self.source(b"good"))
        self.assertEqual([], self.files())

    def test_nothing_reachable_lists_every_way_and_why(self) -> None:
        self.write("apt/sources.list.d/debian.sources", DEB822)
        refuse = mock.Mock(side_effect=fetch.Unavailable("refused by test"))
        with mock.patch.multiple(
            fetch, run_apt=refuse, machine_codename=lambda: "bookworm"
        ), self.assertRaises(fetch.SourceError) as caught:
            self.fetch(self.source(b"good", (self.dir / "absent").as_uri()))
        text = str(caught.exception)
        self.assertIn("ninja-9.9.tar.gz: not there", text)
        for suite in ("sid", "forky"):
            self.assertRegex(text, f"from {suite} at http://mirror.*: refused by test")
        self.assertRegex(text, "file://.*absent: .*No such file")

    def test_no_archive_configured_is_said(self) -> None:
        with self.assertRaisesRegex(fetch.SourceError, "no Debian archive is configured"):
            self.fetch(self.source(b"good", (self.dir / "absent").as_uri()))

    def test_suite_with_another_version_is_not_downloaded(self) -> None:
        records = "Package: ninja-build\nVersion: 1.14.0-1\n"
        with mock.patch.object(fetch, "run_apt", return_value=records) as apt:
            with self.assertRaisesRegex(fetch.Unavailable, "sid has 1.14.0-1, not 9.9"):
                fetch.from_apt(self.source(b""), {"uris": "u"}, "sid", self.dir / "area")
        self.assertFalse([c for c in apt.call_args_list if "source" in c.args[0]])


class GivenSourceTest(Scratch):
    def given(self, path: Path) -> Path:
        return fetch.use_given(path, self.source(b"good"), self.said.append)

    def test_tarball_with_wrong_hash_is_refused_and_left_alone(self) -> None:
        path = self.write("mine.tar.gz", "evil")
        with self.assertRaisesRegex(fetch.SourceError, "wrong sha256"):
            self.given(path)
        self.assertTrue(path.exists())

    def test_directory_of_another_version_is_refused(self) -> None:
        self.write("tree/src/version.cc", 'const char* kNinjaVersion = "1.11.1";\n')
        with self.assertRaisesRegex(fetch.SourceError, "is ninja 1.11.1; 9.9 is needed"):
            self.given(self.dir / "tree")

    def test_directory_is_used_with_a_note(self) -> None:
        self.write("tree/src/version.cc", 'const char* kNinjaVersion = "9.9";\n')
        self.assertEqual(self.dir / "tree", self.given(self.dir / "tree"))
        self.assertRegex(self.said[0], "only its version was checked")

    def test_anything_else_is_refused(self) -> None:
        with self.assertRaisesRegex(fetch.SourceError, "neither a tarball nor"):
            self.given(self.dir / "absent")


class ApplyTest(Scratch):
    PATCH = "--- a/src/b.cc\n+++ b/src/b.cc\n@@ -1 +1 @@\n-b\n+patched\n"

    def setUp(self) -> None:
        super().setUp()
        self.here = self.dir / "ninja-patch"
        self.out = self.dir / "out"
        self.upstream = self.tarball(
            "n.tar.gz", {"src/a.cc": "a\n", "src/b.cc": "b\n", "src/c.cc": "c\n"}
        )
        self.write("ninja-patch/overlay/src/a.cc", "ours\n")
        self.write("ninja-patch/patches/series", "b.patch # why\n")
        self.write("ninja-patch/patches/b.patch", self.PATCH)

    def apply(self, *more: str, source: Optional[Path] = None) -> str:
        arguments = ["apply.py", "--source", str(source or self.upstream)]
        arguments += ["--out", str(self.out), *more]
        output = io.StringIO()
        with mock.patch.object(apply, "HERE", self.here), mock.patch.object(
            sys, "argv", arguments
        ), contextlib.redirect_stdout(output):
            apply.main()
        return output.getvalue()

    def text(self, name: str) -> str:
        return (self.out / name).read_text()

    def test_overlay_and_patches_are_applied_and_said(self) -> None:
        said = self.apply()
        self.assertEqual("ours\n", self.text("src/a.cc"))
        self.assertEqual("patched\n", self.text("src/b.cc"))
        self.assertIn("overlay: replaces src/a.cc", said)
        self.assertIn("patch: b.patch", said)

    def test_pristine_is_upstream(self) -> None:
        self.apply("--pristine")
        self.assertEqual("a\n", self.text("src/a.cc"))
        self.assertEqual("b\n", self.text("src/b.cc"))

    def test_second_run_does_nothing(self) -> None:
        self.apply()
        before = (self.out / "src").stat()
        self.assertEqual("", self.apply())
        self.assertEqual(before.st_ino, (self.out / "src").stat().st_ino)

    def test_only_what_changed_gets_a_new_time(self) -> None:
        self.apply()
        old = 1_000_000_000
        for name in ("src/a.cc", "src/b.cc", "src/c.cc"):
            os.utime(self.out / name, (old, old))
        changed = self.write("ninja-patch/overlay/src/a.cc", "ours again\n")
        os.utime(changed, (old, old))
        self.apply()
        self.assertGreater((self.out / "src/a.cc").stat().st_mtime, old)
        self.assertEqual(old, (self.out / "src/b.cc").stat().st_mtime)
        self.assertEqual(old, (self.out / "src/c.cc").stat().st_mtime)

    def test_removed_overlay_file_brings_upstream_back(self) -> None:
        self.apply()
        (self.here / "overlay/src/a.cc").unlink()
        self.apply()
        self.assertEqual("a\n", self.text("src/a.cc"))

    def test_patch_that_does_not_fit_keeps_the_tree_as_it_was(self) -> None:
        self.apply()
        self.write("ninja-patch/patches/b.patch", self.PATCH.replace("-b", "-other"))
        with self.assertRaisesRegex(SystemExit, "b.patch does not apply"):
            self.apply()
        self.assertEqual("patched\n", self.text("src/b.cc"))

    def test_directory_as_source_is_not_written_to(self) -> None:
        self.write("tree/src/a.cc", "a\n")
        self.write("tree/src/b.cc", "b\n")
        self.apply(source=self.dir / "tree")
        self.assertEqual("patched\n", self.text("src/b.cc"))
        self.assertEqual("b\n", (self.dir / "tree/src/b.cc").read_text())


class PackagesTest(Scratch):
    MISSING = [configure.Package("libre2-dev", "patterns", ""), configure.Package("cmake", "", "")]

    def install(self, **replaced: object) -> str:
        with mock.patch.multiple(configure, **replaced), contextlib.redirect_stdout(io.StringIO()):
            with self.assertRaises(configure.Failed) as caught:
                configure.install(self.MISSING, self.dir)
        return str(caught.exception)

    def test_without_root_and_sudo_the_exact_command_is_given(self) -> None:
        run = mock.Mock()
        text = self.install(privilege=lambda: None, run=run)
        self.assertIn("apt-get install -y --no-install-recommends libre2-dev cmake", text)
        run.assert_not_called()

    def test_failed_install_updates_the_lists_once_then_gives_the_command(self) -> None:
        run = mock.Mock(side_effect=[configure.Failed("no"), None, configure.Failed("still")])
        text = self.install(privilege=lambda: ["sudo"], run=run)
        commands = [call.args[0] for call in run.call_args_list]
        self.assertEqual(["install", "update", "install"], [c[4] for c in commands])
        self.assertTrue(all(c[0] == "sudo" for c in commands))
        self.assertIn("still", text)
        self.assertIn("libre2-dev cmake", text)

    def test_only_what_the_command_needs_is_missing(self) -> None:
        answer = subprocess.CompletedProcess([], 1, stdout="g++ installed\ncmake config-files\n")
        with mock.patch.object(subprocess, "run", return_value=answer), mock.patch.object(
            configure.shutil, "which", return_value="/usr/bin/dpkg-query"
        ):
            build = {p.name for p in configure.missing_packages("build")}
            test = {p.name for p in configure.missing_packages("test")}
        self.assertNotIn("g++", build)
        self.assertIn("cmake", build)
        self.assertNotIn("libgtest-dev", build)
        self.assertIn("libgtest-dev", test)


class DriverTest(Scratch):
    def run_driver(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, str(ROOT / "configure.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def test_help_fits_a_screen(self) -> None:
        done = self.run_driver("--help")
        self.assertEqual(0, done.returncode)
        self.assertLess(len(done.stdout.splitlines()), 24)
        for command in configure.COMMANDS:
            if command != "build":
                self.assertIn(f"\n  {command} ", done.stdout)

    def test_unknown_command_is_a_usage_error(self) -> None:
        self.assertEqual(2, self.run_driver("frobnicate").returncode)

    def test_clean_removes_a_build_directory_and_nothing_else(self) -> None:
        self.write("build/CMakeCache.txt", "")
        self.write("photos/1.jpg", "")
        self.assertEqual(0, self.run_driver("clean", f"--build-dir={self.dir}/build").returncode)
        self.assertFalse((self.dir / "build").exists())
        done = self.run_driver("clean", f"--build-dir={self.dir}/photos")
        self.assertEqual(1, done.returncode)
        self.assertEqual(["photos/1.jpg"], self.files())

    def test_failure_shows_the_end_of_the_output(self) -> None:
        log = self.dir / "log"
        with self.assertRaises(configure.Failed) as caught:
            configure.run(["sh", "-c", "echo the reason; exit 3"], log)
        self.assertIn("the reason", str(caught.exception))
        self.assertIn("status 3", str(caught.exception))
        self.assertEqual("the reason\n", log.read_text())

    def test_pinned_sources_are_complete(self) -> None:
        names = {"ninja-patch/UPSTREAM": ["ninja"], "bench/REPOSITORIES": ["musl", "lua", "zlib"]}
        for path, each in names.items():
            for name in each:
                source = fetch.read_source(ROOT / path, name)
                self.assertRegex(source.sha256, "^[0-9a-f]{64}$")
                self.assertTrue(source.suites and source.package)


class FailuresTest(unittest.TestCase):
    def test_what_a_failed_check_says(self):
        check = ["tests/a_test.cc:7: Failure", "Expected equality of these values:", "  1"]
        around = [f"[       OK ] Suite.Test{number}" for number in range(100)]
        log = "\n".join(["[ RUN      ] Suite.Test", *check, *around])
        lines = configure.failures_in(log)
        self.assertEqual(check, lines[:3])
        self.assertEqual(configure.FAILURE_LINES, len(lines))

    def test_nothing_of_what_has_passed(self):
        self.assertEqual([], configure.failures_in("[  PASSED  ] 3 tests.\nFailure is tested"))

    def test_sanitizers(self):
        for line in (
            "WARNING: ThreadSanitizer: data race (pid=1)",
            "==1==ERROR: AddressSanitizer: heap-use-after-free",
            "a.cc:1:2: runtime error: signed integer overflow",
        ):
            self.assertEqual([line], configure.failures_in(line))


if __name__ == "__main__":
    unittest.main()
