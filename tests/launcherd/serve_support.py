"""A server that tests of `launcherd serve` talk to."""

import json
import os
import select
import socket
import subprocess
from pathlib import Path
from typing import Any, Dict, List

from support import ENVIRONMENT, HANG, LAUNCHERD, Test

PLAIN = {**ENVIRONMENT, "LAUNCHER_ENGINE": "auto"}
Message = Dict[str, Any]

PARSE, INVALID, NO_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602
TOO_MANY, NO_LAUNCH, FAILED = -32000, -32001, -32002


class Server:
    def __init__(
        self, test: Test, *options: str, sockets: bool = False, **environment: str
    ) -> None:
        theirs: List[Any] = [subprocess.PIPE, subprocess.PIPE]
        if sockets:  # As Node.js has them.
            (self.stdin, theirs[0]), (self.stdout, theirs[1]) = (
                socket.socketpair() for _ in range(2)
            )
        self.process = subprocess.Popen(
            [LAUNCHERD, "serve", *options],
            cwd=test.area,
            env={**PLAIN, **environment},
            stdin=theirs[0],
            stdout=theirs[1],
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        if sockets:
            for end in theirs:
                end.close()
        else:
            self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.buffer = b""
        self.others: List[Message] = []
        self.last = 0
        test.addCleanup(self.close)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(HANG)
        for stream in (self.stdin, self.stdout, self.process.stderr):
            stream.close()

    def end(self) -> int:
        """Its input ends."""
        self.stdin.close()
        return self.process.wait(HANG)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.stdin.fileno(), data) :]

    def send(self, method: str, id: Any, **params: Any) -> Any:
        message = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")
        return id

    def read(self) -> Message:
        """The next message."""
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.stdout], [], [], HANG)
            if not ready:
                raise AssertionError("nothing came")
            data = os.read(self.stdout.fileno(), 1 << 20)
            if not data:
                raise AssertionError(f"it has ended: {self.process.stderr.read()!r}")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        message = json.loads(line.decode())
        if message["jsonrpc"] != "2.0":
            raise AssertionError(message)
        return message

    def answer(self, id: Any) -> Message:
        """The answer to this request; what comes before it goes to `others`."""
        while True:
            message = self.read()
            if message.get("id") == id and "method" not in message:
                return message
            self.others.append(message)

    def ask(self, method: str, **params: Any) -> Any:
        """The result of a request."""
        self.last += 1
        message = self.answer(self.send(method, f"ask {self.last}", **params))
        if "result" not in message:
            raise AssertionError(message)
        return message["result"]

    def refuse(self, method: str, **params: Any) -> Message:
        """The error of a request."""
        self.last += 1
        return self.answer(self.send(method, f"ask {self.last}", **params))["error"]


class ServeTest(Test):
    def server(self, *options: str, **more: Any) -> Server:
        return Server(self, *options, **more)

    def fifo(self, name: str) -> Path:
        os.mkfifo(self.area / name)
        return self.area / name
