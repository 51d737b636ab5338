#!/usr/bin/env python3
"""launcherd serve --socket: several clients, and none that costs another one more
than its share.
"""

import os
import resource
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any, List

from serve_support import NO_LAUNCH, PARSE, PLAIN, TOO_MANY, Message, Server, ServeTest
from support import HANG, LAUNCHERD, Test, state, until


class Client(Server):
    """One of those that are connected to a server's socket."""

    def __init__(self, test: Test, path: Path) -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(path))
        self.stdin = self.stdout = self.connection
        self.buffer = b""
        self.others: List[Message] = []
        self.last = 0
        test.addCleanup(self.connection.close)


class Sockets(ServeTest):
    def listening(self, *options: str, path: str = "", **more: Any) -> Server:
        self.path = self.area / "socket"
        server = self.server("--socket", path or str(self.path), *options, **more)
        message = server.read()
        self.assertEqual(message["method"], "listening")
        self.assertEqual(message["params"], {"socket": path or str(self.path)})
        return server

    def client(self) -> Client:
        return Client(self, self.path)

    def failed(self, path: Path) -> str:
        server = self.server("--socket", str(path))
        self.assertEqual(server.process.wait(HANG), 1)
        return server.process.stderr.read().decode()

    def test_clients_have_one_launcher(self) -> None:
        server = self.listening()
        one, two = self.client(), self.client()
        for client, word in ((one, "one"), (two, "two")):
            client.send("launch", 1, argv=["echo", word])
        self.assertEqual(two.answer(1)["result"]["stdout"]["data"], "two\n")
        self.assertEqual(one.answer(1)["result"]["stdout"]["data"], "one\n")
        self.assertEqual(one.ask("statistics")["launches"], 2)
        self.assertEqual(server.end(), 0)
        self.assertFalse(self.path.exists())

    def test_what_a_client_leaves_is_killed(self) -> None:
        self.listening()
        one, two = self.client(), self.client()
        leaving, staying = self.fifo("leaving"), self.fifo("staying")
        one.send("launch", 1, line=f"echo $$ >{leaving}; exec sleep 1000")
        two.send("launch", 1, line=f"echo $$ >{staying}; exec sleep 1000")
        left, stayed = (int(fifo.read_text()) for fifo in (leaving, staying))
        one.connection.close()
        until(lambda: not state(left))
        until(lambda: two.ask("statistics")["running"] == 1)
        self.assertNotEqual(state(stayed), "")
        self.assertEqual(two.refuse("kill", launch=2)["code"], NO_LAUNCH)
        two.ask("kill", launch=1)
        self.assertEqual(two.answer(1)["result"]["cause"], "signaled")

    def test_limits_are_for_all(self) -> None:
        self.listening("--launch-limit", "1")
        one, two = self.client(), self.client()
        one.ask("launch", argv=["sleep", "1000"], wait=False)
        self.assertEqual(two.refuse("launch", argv=["true"])["code"], TOO_MANY)
        one.connection.close()
        until(lambda: two.ask("statistics")["running"] == 0)
        self.assertEqual(two.ask("launch", argv=["true"])["code"], 0)

    def test_nonsense_of_one_client(self) -> None:
        self.listening("--message-limit", "1000")
        one, two = self.client(), self.client()
        one.write(b"nonsense\n" + b"x" * 5000)
        self.assertEqual(one.read()["error"]["code"], PARSE)
        self.assertEqual(two.ask("launch", argv=["true"])["code"], 0)

    def test_more_clients_than_descriptors(self) -> None:
        server = self.listening()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (30, 30))
        clients = [self.client() for _ in range(60)]
        served = clients[0].ask("statistics")["launches"]
        self.assertEqual(served, 0)
        for client in clients[:40]:
            client.connection.close()
        for client in clients[40:]:
            self.assertEqual(client.ask("statistics")["running"], 0)

    def test_life_line(self) -> None:
        server = self.listening()
        client = self.client()
        ready = self.fifo("ready")
        client.send("launch", 1, line=f"echo $$ >{ready}; exec sleep 1000")
        pid = int(ready.read_text())
        self.assertEqual(server.end(), 0)
        until(lambda: not state(pid))
        self.assertFalse(self.path.exists())

    def test_without_a_life_line(self) -> None:
        path = self.area / "socket"
        process = subprocess.Popen(
            [LAUNCHERD, "serve", "--socket", path],
            env=PLAIN,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self.assertIn(b"listening", process.stdout.readline())
        self.path = path
        self.assertEqual(self.client().ask("launch", argv=["true"])["code"], 0)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(HANG), -signal.SIGTERM)
        process.stdout.close()
        self.assertFalse(path.exists())

    def test_places(self) -> None:
        self.listening()
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertIn("Address already in use", self.failed(self.path))
        self.assertEqual(self.client().ask("statistics")["launches"], 0)
        file = self.area / "file"
        file.write_text("kept")
        self.assertIn("Address already in use", self.failed(file))
        self.assertEqual(file.read_text(), "kept")
        self.assertIn("File name too long", self.failed(self.area / ("x" * 200)))
        self.assertIn("No such file", self.failed(self.area / "missing" / "socket"))
        for mode in (0o770, 0o1777):
            shared = self.area / f"shared{mode}"
            shared.mkdir()
            shared.chmod(mode)
            self.assertIn("not a private directory", self.failed(shared / "socket"))

    def test_a_socket_that_was_left_behind(self) -> None:
        server = self.listening()
        server.process.kill()
        server.process.wait(HANG)
        self.assertTrue(self.path.exists())
        self.listening()
        self.assertEqual(self.client().ask("launch", argv=["true"])["code"], 0)

    @unittest.skipIf(os.getuid() != 0, "needs two users")
    def test_other_users(self) -> None:
        self.listening()
        self.path.chmod(0o666)
        self.area.chmod(0o755)
        client = self.client()
        self.assertEqual(client.ask("statistics")["launches"], 0)
        script = (
            "import os, socket, sys; os.setuid(65534);"
            "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
            "print(s.recv(1))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, self.path], stdout=subprocess.PIPE, check=True
        )
        self.assertEqual(done.stdout, b"b''\n")


if __name__ == "__main__":
    unittest.main()


if __name__ == "__main__":
    unittest.main()
