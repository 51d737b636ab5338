#!/usr/bin/env python3
"""Messages to the server of `launcherd COMMAND`: right ones, all at once, and
wrong ones.
"""

import ctypes
import os
import random
import socket
import struct
import subprocess
import unittest
from typing import List

from support import ENVIRONMENT, HANG, LAUNCHERD, PROBE, Test, Told, until, warm_is_possible

WARM = warm_is_possible()


class Many(Test):
    def test_many_at_once(self) -> None:
        count = 500
        # The jobs wait for each other: all of them are there at the same time.
        os.mkfifo(self.area / "gate")
        script = (
            f"exec 3<>gate; for i in $(seq {count}); do "
            f'"$S" -c "{PROBE} wait 0 argv $i" <gate 3<&- & done; '
            f"until [ $(pgrep -xc probe) -ge {count} ]; do :; done; exec 3<&-; wait"
        )
        told = self.with_statistics(script)
        self.assertEqual(told.status, 0)
        numbers = sorted(int(n) for n in told.stdout.split() if n.isdigit())
        self.assertEqual(numbers, list(range(1, count + 1)))
        self.assertEqual(told.lines - told.shell, count, told.all)


class Protocol(Test):
    MAGIC, VERSION = 0x684C7253, 2
    # So that those which are well-formed are launched: prctl(PR_GET_TIMERSLACK),
    # keyctl(2) for the session keyring.
    SLACK = ctypes.CDLL(None).prctl(30)
    LIBC = ctypes.CDLL(None, use_errno=True)
    KEYRING = LIBC.syscall(250, 0, -3, 0)
    if KEYRING == -1:
        KEYRING = -ctypes.get_errno()

    def hello(self, cookie: bytes, **change) -> bytes:
        fields = {"magic": self.MAGIC, "version": self.VERSION, "descriptors": 3, "steps": 0, "arguments": 1, "environment": 0}
        fields.update(change)
        return (
            struct.pack("<II", fields["magic"], fields["version"])
            + cookie
            + struct.pack("<7Qq", self.SLACK, 0, 2, 0, 0, 0, 0, self.KEYRING)
            + struct.pack("<QIIII", 0, fields["descriptors"], fields["steps"], fields["arguments"], fields["environment"])
            + struct.pack("<iii", 0, 1, 2) + PROBE.encode() + b"\0probe\0"
        )

    def server(self) -> "subprocess.Popen[bytes]":
        """One that says its name, and waits for a line."""
        process = subprocess.Popen(
            [LAUNCHERD, "--stats", "sh", "-c", 'echo "$LAUNCHER_SERVER"; read x; "$S" -c "$P argv end"; "$S" -c "' + PROBE + ' argv end"'],
            env=ENVIRONMENT, cwd=self.area, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.stop, process)
        return process

    @staticmethod
    def stop(process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    def converse(self, path: str, message: bytes, fds: List[int]) -> List[int]:
        """The kinds of the answers, up to the end of the connection."""
        kinds = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(HANG)
            client.connect(path)
            socket.send_fds(client, [message], fds)
            while True:
                try:
                    answer = client.recv(100)
                except ConnectionResetError:
                    return kinds
                if not answer:
                    return kinds
                self.assertEqual(len(answer), 12)
                kinds.append(struct.unpack("<I", answer[:4])[0])

    def test_an_error_and_the_end(self) -> None:
        process = self.server()
        name, cookie = process.stdout.readline().decode().split(":")[:2]
        path = name.split(",")[0]
        directory = os.open(self.area, os.O_PATH)
        self.addCleanup(os.close, directory)
        fds = [directory, 0, 1, 2]
        right = self.hello(cookie.encode())
        in_place = [0]  # Answer::kInPlace, after which the client goes on.
        for what, message, sent, answers in (
            ("of another version", self.hello(cookie.encode(), version=3), fds, in_place),
            ("of another kind", self.hello(cookie.encode(), magic=1), fds, in_place),
            ("of a stranger", self.hello(b"0" * 32), fds, in_place),
            ("truncated in its head", right[:50], fds, in_place),
            ("truncated in its texts", right[:-1], fds, in_place),
            ("with something behind it", right + b"x", fds, in_place),
            ("with too few descriptors", right, fds[:3], in_place),
            ("with too many descriptors", right, fds + [0], in_place),
            ("with as many descriptors as there can be", right, fds + [0] * 100, []),
            ("of one byte", b"x", [], in_place),
            ("too long", right + bytes(128 * 1024), fds, []),
        ):
            self.assertEqual(self.converse(path, message, sent), answers, what)
        out, err = process.communicate(b"\n", timeout=HANG)
        self.assertEqual((process.returncode, out), (0, f"{PROBE}\nend\n".encode() * 2))
        told = Told(subprocess.CompletedProcess([], 0, "", err.decode()))
        self.assertEqual(told.reasons["another version of launcher-sh"], 1)
        self.assertEqual(told.reasons["a message of another kind"], 3)
        self.assertEqual(told.reasons["a message of a stranger"], 1)
        self.assertEqual(told.reasons["a malformed message"], 4)

    def test_malformed_messages(self) -> None:
        """Every one is answered or hung up on, and the server lives."""
        dice = random.Random(6)
        reader, writer = os.pipe()
        directory = os.open(self.area, os.O_PATH)
        process = self.server()
        try:
            name, cookie = process.stdout.readline().decode().split(":")[:2]
            path = name.split(",")[0]
            for number in range(1500):
                message = bytearray(self.hello(cookie.encode()))
                how = number % 6
                if how == 0:
                    message = bytearray(dice.randbytes(dice.randrange(1, 400)))
                elif how == 1:
                    message = message[: dice.randrange(1, len(message))]
                elif how == 2:
                    for _ in range(dice.randrange(1, 4)):
                        message[dice.randrange(len(message))] = dice.randrange(256)
                elif how == 3:
                    message = bytearray(self.hello(cookie.encode(), **{
                        dice.choice(["descriptors", "steps", "arguments", "environment", "version", "magic"]):
                        dice.choice([0, 1, 2, 4, 60, 61, 64, 65, 2**31, 2**32 - 1])}))
                elif how == 4:
                    message += dice.randbytes(dice.choice([1, 12, 1000, 150_000]))
                else:
                    message = bytearray(self.hello(b"0" * 32))
                fds = [dice.choice([0, reader, writer]) for _ in range(dice.choice([0, 1, 3, 4, 4, 4, 5, 61, 100]))]
                if fds and dice.randrange(4):
                    fds[0] = directory
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                    client.connect(path)
                    try:
                        socket.send_fds(client, [bytes(message)], fds)
                    except OSError:
                        continue  # Too long for the socket.
                    if dice.randrange(8) == 0:
                        continue
                    client.settimeout(HANG)
                    while True:
                        answer = client.recv(100)
                        if not answer:
                            break
                        self.assertEqual(len(answer), 12)
                        kind = struct.unpack("<I", answer[:4])[0]
                        self.assertIn(kind, range(5))
            # Parked processes have some too; a leak would be a thousand.
            until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")) < 150)
            out, err = process.communicate(b"\n", timeout=HANG)
            self.assertEqual((process.returncode, out), (0, f"{PROBE}\nend\n".encode() * 2))
            told = Told(subprocess.CompletedProcess([], 0, "", err.decode(errors="replace")))
            self.assertGreater(told.reasons["a malformed message"], 100)
            self.assertGreater(told.reasons["a message of a stranger"], 100)
            self.assertGreater(told.reasons["another version of launcher-sh"], 5)
            if WARM:
                self.assertGreater(told.warm, 2, told.all)
        finally:
            os.close(reader)
            os.close(directory)
            os.close(writer)


if __name__ == "__main__":
    unittest.main()
