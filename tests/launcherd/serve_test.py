#!/usr/bin/env python3
"""launcherd serve: what it answers, and that nothing a client sends or leaves
undone costs more than that message.
"""

import base64
import json
import os
import random
import signal
import unittest
from typing import Any, List

from serve_support import (
    BAD_PARAMS,
    FAILED,
    INVALID,
    NO_LAUNCH,
    NO_METHOD,
    PARSE,
    PLAIN,
    TOO_MANY,
    Message,
    Server,
    ServeTest,
)
from support import HANG, PROBE, state, until, warm_is_possible


def group(pid: str) -> int:
    try:
        return os.getpgid(int(pid))
    except ProcessLookupError:
        return -1


class Launches(ServeTest):
    def test_the_result_is_that_of_exec(self) -> None:
        words = [PROBE, "write", "1", "out", "write", "2", "err", "exit", "3"]
        done = self.launcherd("exec", "--json", *words, environment=PLAIN)
        ours = self.server().ask("launch", argv=words)
        plain = json.loads(done.stdout)
        self.assertEqual(list(ours), list(plain))
        for varies in ("usage", "timing_us", "engine"):
            self.assertEqual(type(ours.pop(varies)), type(plain.pop(varies)))
        self.assertEqual(ours, plain)

    def test_ids_are_told_apart(self) -> None:
        server = self.server()
        gate = self.fifo("gate")
        for id in (1, "1", -5, 2**63, ""):
            server.send("launch", id, argv=["sh", "-c", "read x <gate; echo $x"])
            with gate.open("w") as file:
                self.assertEqual(server.refuse("kill", launch=[id])["code"], NO_LAUNCH)
                server.send("launch", id, argv=[PROBE])
                self.assertEqual(server.read()["error"]["code"], INVALID)
                file.write("x\n")
            message = server.read()
            self.assertEqual((message["id"], type(message["id"])), (id, type(id)))
            self.assertEqual(message["result"]["stdout"]["data"], "x\n")

    def test_many_at_once_are_answered_as_they_end(self) -> None:
        server = self.server()
        order = list(range(64))
        for i in order:
            self.fifo(f"gate{i}")
            server.send("launch", i, argv=["sh", "-c", f"read x <gate{i}; echo $x"])
        random.Random(3).shuffle(order)
        self.assertEqual(server.ask("statistics")["running"], 64)
        for i in order:
            (self.area / f"gate{i}").write_text(f"of {i}\n")
            message = server.read()
            self.assertEqual(message["id"], i)
            self.assertEqual(message["result"]["stdout"]["data"], f"of {i}\n")

    def test_without_waiting(self) -> None:
        server = self.server()
        gate = self.fifo("gate")
        result = server.answer(
            server.send("launch", 7, wait=False, argv=["sh", "-c", "read x <gate; exit 5"])
        )
        self.assertEqual(result["result"], {"launch": 7})
        gate.write_text("\n")
        message = server.read()
        self.assertEqual((message["method"], "id" in message), ("ended", False))
        self.assertEqual(message["params"]["launch"], 7)
        self.assertEqual(message["params"]["result"]["code"], 5)
        # One that cannot be started comes to an end in the same way.
        server.send("launch", 8, wait=False, argv=["nonexistent"])
        self.assertEqual(server.read()["result"], {"launch": 8})
        self.assertEqual(server.read()["params"]["result"]["error"]["name"], "ENOENT")

    def test_lines(self) -> None:
        server = self.server()
        env = {"P": PROBE}
        result = server.ask("launch", line=f"{PROBE} argv 'a  b' && {PROBE} exit 4")
        self.assertEqual((result["code"], result["shell"]), (4, None))
        self.assertEqual(result["stdout"]["data"], f"{PROBE}\na  b\n")
        result = server.ask("launch", line='"$P" argv "$P" | cat', env=env)
        self.assertEqual(result["stdout"]["data"], f"{PROBE}\n{PROBE}\n")
        self.assertIn("$", result["shell"])
        result = server.ask("launch", line=f"{PROBE} echo 0", stdin="in")
        self.assertEqual(result["stdout"]["data"], "in")
        result = server.ask("launch", line="nonexistent")
        self.assertEqual((result["cause"], result["code"]), ("exited", 127))
        self.assertIn("not found", result["stderr"]["data"])
        (left,) = server.ask("launch", line="sleep 1000 & exit")["survivors"]
        until(lambda: state(left["pid"]) in ("", "Z"))
        server.send("launch", 1, line=f"sleep 1000 && {PROBE}")
        self.assertIsNone(server.ask("kill", launch=1))
        self.assertEqual(server.answer(1)["result"]["signal"], "SIGKILL")

    def test_input(self) -> None:
        server = self.server()
        big = "\u00e4" * 300_000
        for given, text in (
            ("", ""),
            ("text \0 \u20ac", "text \0 \u20ac"),
            ({"data": "text", "encoding": "utf-8"}, "text"),
            (big, big),
        ):
            out = server.ask("launch", argv=[PROBE, "echo", "0"], stdin=given)["stdout"]
            self.assertEqual((out["data"], out["encoding"]), (text, "utf-8"))
        self.assertEqual(server.ask("launch", argv=[PROBE, "echo", "0"])["stdout"]["bytes"], 0)
        for size in (*range(1, 10), 100_000):
            data = base64.b64encode(os.urandom(size - 1) + b"\xff").decode()
            out = server.ask(
                "launch", argv=[PROBE, "echo", "0"], stdin={"data": data, "encoding": "base64"}
            )["stdout"]
            self.assertEqual((out["data"], out["encoding"]), (data, "base64"))

    def test_surroundings(self) -> None:
        server = self.server(A="a", B="b")
        env = {"A": None, "B": "", "C": "x=y"}
        out = server.ask("launch", argv=[PROBE, "env"], env=env)["stdout"]["data"]
        self.assertEqual(
            dict(line.split("=", 1) for line in out.splitlines()), {**PLAIN, "B": "", "C": "x=y"}
        )
        out = server.ask("launch", argv=[PROBE, "env"], env={"A": "1"}, clear_env=True)
        self.assertEqual(out["stdout"]["data"], "A=1\n")
        out = server.ask("launch", argv=[PROBE, "cwd"], cwd="/usr")
        self.assertEqual(out["stdout"]["data"], "/usr\n")
        out = server.ask("launch", argv=[PROBE, "fds"])["stdout"]["data"]
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["0", "1", "2"])
        out = server.ask("launch", argv=[PROBE, "sig"])["stdout"]["data"]
        self.assertRegex(out, r"SigBlk:\s0{16}\nSigIgn:\s0{16}\nSigCgt:\s0{16}\n")

    def test_output(self) -> None:
        server = self.server()
        result = server.ask("launch", argv=[PROBE, "fill", "1", "5000"], cap=10)
        out = result["stdout"]
        self.assertEqual((out["data"], out["bytes"], out["truncated"]), ("x" * 10, 5000, True))
        words = [PROBE, "write", "2", "a", "write", "1", "b"]
        self.assertEqual(server.ask("launch", argv=words, merge=True)["stdout"]["data"], "ab")

    def test_not_started(self) -> None:
        server = self.server()
        for params, step in (
            ({"argv": ["nonexistent"]}, "lookup"),
            ({"argv": [""]}, "lookup"),
            ({"argv": [PROBE], "cwd": "gone"}, "chdir"),
        ):
            result = server.ask("launch", **params)
            self.assertEqual((result["cause"], result["error"]["step"]), ("not_started", step))

    def test_time_is_up(self) -> None:
        result = self.server().ask("launch", argv=["sleep", "1000"], timeout_ms=20)
        self.assertEqual((result["cause"], result["signal"]), ("timed_out", "SIGKILL"))

    def test_survivors(self) -> None:
        gate = self.fifo("gate")
        for keep in (False, True):
            # The shell has opened the gate when its child has it.
            words = ["sh", "-c", "exec 3<>gate; read x <&3 >/dev/null 2>&1 & echo $!"]
            result = self.server().ask("launch", argv=words, keep=keep)
            (left,) = result["survivors"]
            self.assertEqual(f"{left['pid']}\n", result["stdout"]["data"])
            if keep:
                self.assertNotIn(state(left["pid"]), ("", "Z"))
                gate.write_text("\n")
            until(lambda: state(left["pid"]) in ("", "Z"))

    def test_kill(self) -> None:
        server = self.server()
        for given, name in (
            ({}, "SIGKILL"),
            ({"signal": "SIGTERM"}, "SIGTERM"),
            ({"signal": 1}, "SIGHUP"),
            ({"signal": "SIGRTMIN+1"}, "SIGRTMIN+1"),
        ):
            server.send("launch", "it", argv=["sleep", "1000"])
            self.assertIsNone(server.ask("kill", launch="it", **given))
            self.assertEqual(server.answer("it")["result"]["signal"], name)
            self.assertEqual(server.refuse("kill", launch="it")["code"], NO_LAUNCH)

    def test_kill_reaches_other_sessions_or_keeps_them(self) -> None:
        gate, told = self.fifo("gate"), self.fifo("told")
        inner = "exec 3<>gate >/dev/null 2>&1; echo $$ >told; read x <&3"
        for keep in (False, True):
            server = self.server()
            server.send("launch", "it", argv=["sh", "-c", f"setsid sh -c '{inner}'; :"], keep=keep)
            pid = int(told.read_text())
            self.assertIsNone(server.ask("kill", launch="it"))
            self.assertEqual(server.answer("it")["result"]["signal"], "SIGKILL")
            if keep:
                self.assertNotIn(state(pid), ("", "Z"))
                gate.write_text("\n")
            until(lambda: state(pid) in ("", "Z"))

    def test_prepare(self) -> None:
        server = self.server(LAUNCHER_ENGINE="warm")
        prepared = server.ask("prepare", argv=[PROBE])
        self.assertEqual(server.ask("statistics")["launches"], 0)
        if warm_is_possible():
            self.assertEqual(prepared, {"warm": True, "reason": None})
            self.assertEqual(server.ask("statistics")["warm_processes"] >= 1, True)
            self.assertEqual(server.ask("launch", argv=[PROBE])["engine"], "warm")
        else:
            self.assertFalse(prepared["warm"])
        off = self.server(LAUNCHER_ENGINE="clone3").ask("prepare", argv=[PROBE])
        self.assertFalse(off["warm"])
        self.assertNotEqual(off["reason"], "")
        error = server.refuse("prepare", argv=["nonexistent"])
        self.assertEqual((error["code"], error["data"]["step"]), (FAILED, "lookup"))

    def test_statistics(self) -> None:
        server = self.server()
        for _ in range(3):
            server.ask("launch", argv=[PROBE])
        server.ask("launch", argv=[PROBE], cwd="gone")
        counts = server.ask("statistics")
        found = {name: counts[name] for name in ("launches", "running", "failed")}
        self.assertEqual(found, {"launches": 4, "running": 0, "failed": 1})


class Refuses(ServeTest):
    def expect(self, line: bytes, code: int, id: Any = None) -> None:
        self.shared.write(line + b"\n")
        message = self.shared.read()
        self.assertEqual((message["id"], message["error"]["code"]), (id, code), line)

    def test_what_is_no_request(self) -> None:
        self.shared = self.server()
        for line in (b"{", b"x", b"\xff", b'"\xc3"', b'{"id":1', b"\0", b'"\\ud800"', b"[1,]"):
            self.expect(line, PARSE)
        for line in (b"[]", b"1", b'"launch"', b"null", b"{}", b'{"id":null}', b'{"id":1.5}'):
            self.expect(line, INVALID)
        self.expect(b'[{"jsonrpc":"2.0","id":1,"method":"statistics"}]', INVALID)
        self.expect(b'{"id":1,"method":"statistics"}', INVALID, 1)
        self.expect(b'{"jsonrpc":"1.0","id":"a","method":"statistics"}', INVALID, "a")
        self.expect(b'{"jsonrpc":"2.0","id":1}', INVALID, 1)
        self.expect(b'{"jsonrpc":"2.0","id":1,"method":"statistics","params":[]}', INVALID, 1)
        self.expect(b'{"jsonrpc":"2.0","id":1,"method":"run"}', NO_METHOD, 1)
        self.expect(b"[" * 5000 + b"]" * 5000, INVALID)
        self.expect(b'{"a":' * 5000 + b"1" + b"}" * 5000, INVALID)
        self.expect(b"[" * 1_000_000, INVALID)
        # Without an id: no name for the launch.
        self.expect(b'{"jsonrpc":"2.0","method":"launch","params":{"argv":["true"]}}', INVALID)
        self.assertEqual(self.shared.ask("launch", argv=[PROBE, "exit", "2"])["code"], 2)
        self.assertEqual(self.shared.end(), 0)

    def test_parameters(self) -> None:
        server = self.server()
        for method, params in (
            ("launch", {}),
            ("launch", {"argv": []}),
            ("launch", {"argv": ["a"], "line": "a"}),
            ("launch", {"line": "a\0"}),
            ("prepare", {"line": "a"}),
            ("launch", {"argv": "true"}),
            ("launch", {"argv": ["a", 1]}),
            ("launch", {"argv": ["a\0b"]}),
            ("launch", {"argv": ["a"], "timeout": 3}),
            ("launch", {"argv": ["a"], "timeout_ms": 0}),
            ("launch", {"argv": ["a"], "timeout_ms": 2**64 - 1}),
            ("launch", {"argv": ["a"], "timeout_ms": 1.5}),
            ("launch", {"argv": ["a"], "cap": -1}),
            ("launch", {"argv": ["a"], "cap": "1"}),
            ("launch", {"argv": ["a"], "cwd": ""}),
            ("launch", {"argv": ["a"], "cwd": "a\0"}),
            ("launch", {"argv": ["a"], "env": ["A=1"]}),
            ("launch", {"argv": ["a"], "env": {"": "1"}}),
            ("launch", {"argv": ["a"], "env": {"A=": "1"}}),
            ("launch", {"argv": ["a"], "env": {"A": 1}}),
            ("launch", {"argv": ["a"], "wait": 1}),
            ("launch", {"argv": ["a"], "merge": None}),
            ("launch", {"argv": ["a"], "stdin": 1}),
            ("launch", {"argv": ["a"], "stdin": {"data": "x"}}),
            ("launch", {"argv": ["a"], "stdin": {"data": "x", "encoding": "latin1"}}),
            *(
                ("launch", {"argv": ["a"], "stdin": {"data": bad, "encoding": "base64"}})
                for bad in ("A", "AB=", "AB=C", "====", "AAA\n", "AB==AAAA", "AAB=", "-_AA")
            ),
            ("kill", {}),
            ("kill", {"launch": 1, "signal": 0}),
            ("kill", {"launch": 1, "signal": 65}),
            ("kill", {"launch": 1, "signal": "TERM"}),
            ("kill", {"launch": 1, "group": True}),
            ("prepare", {}),
            ("prepare", {"argv": ["a"], "stdin": ""}),
            ("statistics", {"all": True}),
        ):
            self.assertEqual(server.refuse(method, **params)["code"], BAD_PARAMS, params)
        self.assertEqual(server.ask("statistics")["launches"], 0)

    def test_notifications_are_not_answered(self) -> None:
        server = self.server()
        server.write(b'{"jsonrpc":"2.0","method":"kill","params":{"launch":1}}\n')
        server.write(b'{"jsonrpc":"2.0","method":"nonsense"}\n \t\r\n\n')
        server.send("statistics", 5)
        self.assertEqual(server.read()["id"], 5)

    def test_limits(self) -> None:
        server = self.server("--message-limit", "300", "--launch-limit", "2")
        for size in (301, 1000, 500_000):
            server.write(b'{"a":"' + b"x" * size + b'"}\n')
            message = server.read()
            self.assertEqual((message["id"], message["error"]["code"]), (None, INVALID))
            self.assertIn("300", message["error"]["message"])
            server.ask("statistics")
        for name in ("a", "b"):
            server.send("launch", name, argv=["sleep", "1000"])
        self.assertEqual(server.refuse("launch", argv=[PROBE])["code"], TOO_MANY)
        server.ask("kill", launch="a")
        server.answer("a")
        self.assertEqual(server.ask("launch", argv=[PROBE])["code"], 0)

    def test_usage(self) -> None:
        for words in (["x"], ["--launch-limit", "0"], ["--message-limit", "-1"]):
            done = self.launcherd("serve", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)


class Ends(ServeTest):
    def started(self, server: Server) -> int:
        """The pid of a program that stays, and has a child."""
        gate = self.fifo("pid")
        server.send("launch", "stays", argv=["sh", "-c", "echo $$ >pid; sleep 1000; :"])
        pid = int(gate.read_text())
        gate.unlink()
        return pid

    def gone(self, pid: int) -> None:
        """All of its process group; zombies may wait for who has adopted them."""

        def members() -> List[str]:
            pids = [name for name in os.listdir("/proc") if name.isdigit()]
            return [p for p in pids if group(p) == pid and state(int(p)) not in ("", "Z")]

        until(lambda: not members())

    def test_end_of_input(self) -> None:
        server = self.server()
        pid = self.started(server)
        server.write(b'{"jsonrpc":"2.0"')
        self.assertEqual(server.end(), 0)
        self.gone(pid)

    def test_nobody_reads(self) -> None:
        for sockets in (False, True):
            server = self.server(sockets=sockets)
            pid = self.started(server)
            server.stdout.close()
            self.assertEqual(server.process.wait(HANG), 0)
            self.gone(pid)

    def test_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            server = self.server()
            pid = self.started(server)
            server.process.send_signal(number)
            self.assertEqual(server.process.wait(HANG), -number)
            self.gone(pid)

    def test_a_client_that_does_not_read(self) -> None:
        """Time limits are kept, and nothing is lost when it reads at last."""
        gate = self.fifo("pid")
        for sockets in (False, True):
            server = self.server(sockets=sockets)
            words = ["sh", "-c", "echo $$ >pid; exec sleep 1000"]
            server.send("launch", "late", argv=words, timeout_ms=500)
            pid = int(gate.read_text())
            for i in range(100):
                server.send("launch", i, argv=[PROBE, "fill", "1", "200000"])
            until(lambda: state(pid) in ("", "Z"))
            answers = [server.read() for _ in range(101)]
            self.assertEqual({m["id"] for m in answers}, {"late", *range(100)})
            for message in answers:
                if message["id"] != "late":
                    self.assertEqual(len(message["result"]["stdout"]["data"]), 200_000)
            self.assertEqual(server.ask("statistics")["running"], 0)
            self.assertEqual(server.end(), 0)

    def test_its_end_while_a_client_does_not_read(self) -> None:
        for sockets in (False, True):
            server = self.server(sockets=sockets)
            pid = self.started(server)
            for i in range(100):
                server.send("launch", i, argv=[PROBE, "fill", "1", "200000"])
            self.assertEqual(server.end(), 0)
            self.gone(pid)

    def test_no_descriptor_is_left(self) -> None:
        server = self.server(LAUNCHER_ENGINE="clone3")

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        def launch() -> None:
            server.ask("launch", argv=[PROBE, "echo", "0"], stdin="x")
            server.ask("launch", argv=["nonexistent"], stdin="x")

        launch()
        before = descriptors()
        for _ in range(50):
            launch()
        # A template may hold its executable.
        self.assertLessEqual(descriptors(), before + 2)


class Fuzz(ServeTest):
    """Spoiled requests, in pieces of any size, between good ones."""

    SEED, ROUNDS, LINES = 20, 60, 25

    def spoil(self, rng: random.Random, line: bytes) -> bytes:
        data = bytearray(line)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            kind = rng.randrange(5)
            if kind == 0 and at < len(data):
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randint(1, 20)]
            elif kind == 2:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
            elif kind == 3:
                data[at:at] = data[at : at + rng.randint(1, 40)]
            else:
                data[at:at] = rng.choice([b"{", b"]", b'"', b"\\u0000", b"null", b"1e999", b",", b"-"])
        return bytes(data).replace(b"\n", b" ")

    def replace(self, rng: random.Random, value: Any) -> Any:
        """Puts something else in a place of a JSON value."""
        others = [None, True, -1, 2**64, 1.5, "", "x" * 3000, "\0", [], {}, [[[]]], {"data": "=="}]
        if rng.random() < 0.3 or not isinstance(value, (dict, list)) or not value:
            return rng.choice(others)
        if isinstance(value, dict):
            name = rng.choice(list(value))
            return {**value, name: self.replace(rng, value[name])}
        at = rng.randrange(len(value))
        return [*value[:at], self.replace(rng, value[at]), *value[at + 1 :]]

    def request(self, rng: random.Random, number: int) -> Message:
        method, params = rng.choice(
            [
                ("launch", {"argv": [PROBE, "exit", "3"], "wait": rng.random() < 0.5}),
                ("launch", {"argv": [PROBE, "echo", "0"], "stdin": "in", "cap": 5, "merge": True}),
                (
                    "launch",
                    {
                        "argv": [PROBE, "env"],
                        "env": {"A": "1", "B": None},
                        "clear_env": True,
                        "cwd": "/",
                        "timeout_ms": 1000,
                        "stdin": {"data": "AAAA", "encoding": "base64"},
                    },
                ),
                # Spoiled, it may write a file: here, and nowhere else.
                ("launch", {"line": "cd . && true 'a' && exit 1"}),
                ("kill", {"launch": number - 1, "signal": "SIGTERM"}),
                ("prepare", {"argv": [PROBE], "env": {"A": "1"}}),
                ("statistics", {}),
            ]
        )
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}

    def test_fuzz(self) -> None:
        rng = random.Random(self.SEED)
        server = self.server("--message-limit", "20000", "--launch-limit", "10")
        kinds = set()
        number = 0
        for done in range(self.ROUNDS):
            stream = b""
            for _ in range(self.LINES):
                number += 1
                request = self.request(rng, number)
                if rng.random() < 0.5:
                    request = self.replace(rng, request)
                line = json.dumps(request).encode()
                if rng.random() < 0.5:
                    line = self.spoil(rng, line)
                if rng.random() < 0.02:
                    line *= 100
                stream += line + b"\n"
            while stream:
                size = rng.choice([1, 7, 100, 4096, 60000])
                server.write(stream[:size])
                stream = stream[size:]
            # Whatever that was, what comes now is served.
            marker = f"marker {done}"
            result = {"error": {"code": TOO_MANY}}
            while result.get("error", {}).get("code") == TOO_MANY:
                result = server.answer(server.send("launch", marker, argv=[PROBE, "exit", "9"]))
            self.assertEqual(result["result"]["code"], 9)
            for message in server.others:
                kinds.add(message["error"]["code"] if "error" in message else "fine")
                self.assertTrue({"id", "method"} & set(message), message)
            server.others.clear()
        # It has come to all that there is to be answered.
        self.assertLessEqual({"fine", PARSE, INVALID, NO_METHOD, BAD_PARAMS, NO_LAUNCH}, kinds)
        until(lambda: server.ask("statistics")["running"] == 0)
        self.assertEqual(server.end(), 0)
        self.assertEqual(server.process.stderr.read(), b"")

if __name__ == "__main__":
    unittest.main()
