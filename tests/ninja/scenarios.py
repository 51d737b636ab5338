"""The manifests that both ninjas must treat alike. One entry each; helpers first, then the table by subject.

Commands are plain shell with two variables of ninja, `$in` and `$out`; every other `$` is doubled for the manifest. Jobs wait for events (see harness.Scenario), they
never sleep.
"""

import re
import signal
from typing import List

from harness import Outcome, Run, Scenario


# --- manifests

def rule(name: str, command: str, *bindings: str) -> str:
    return f"rule {name}\n" + "".join(f"  {line}\n" for line in ("command = " + re.sub(r"\$(?!(in|out)\b)", "$$", command), *bindings))


def one(name: str, command: str, *bindings: str, **fields: object) -> Scenario:
    """A scenario with one edge that makes `out`."""
    return Scenario(name, rule("r", command, *bindings) + "build out: r\n", **fields)  # type: ignore[arg-type]


def edges(name: str, commands: str, **fields: object) -> Scenario:
    """A scenario with one edge for each line `output: command`."""
    text = ""
    for line in commands.strip().splitlines():
        output, _, command = line.strip().partition(": ")
        text += rule(f"r_{output}", command) + f"build {output}: r_{output}\n"
    return Scenario(name, text, **fields)  # type: ignore[arg-type]


# --- drivers: what happens to ninja while its jobs run

def interrupt(number: int):
    """Sends one signal to ninja once a job has told that it runs."""
    def drive(run: Run) -> None:
        run.job_waits()
        run.settle()
        run.signal(number)
    return drive


def interrupt_two(run: Run) -> None:
    run.job_waits()
    run.job_waits()
    run.settle()
    run.signal(signal.SIGINT)


def interrupt_then_release(run: Run) -> None:
    """The job gets the signal, tells so, and goes on for a while."""
    run.job_waits()
    run.settle()
    run.signal(signal.SIGINT)
    run.event("signalled")
    run.release("gate")


def interrupt_ninja_only(run: Run) -> None:
    """A console job is not signalled by ninja; ninja waits for its end."""
    run.job_waits()
    run.settle()
    run.signal(signal.SIGINT)
    run.release("gate")


def type_interrupt(run: Run) -> None:
    run.job_waits()
    run.settle()
    run.type(b"\x03")


def type_line(run: Run) -> None:
    run.event("started")
    run.type(b"hello\n")


def release(jobs: int):
    """Waits until `jobs` jobs run at the same time, then lets all go on."""
    def drive(run: Run) -> None:
        for _ in range(jobs):
            run.event("started")
        run.release("gate", jobs)
    return drive


def release_after_shell_ended(run: Run) -> None:
    """The job's shell has exited, a process that holds its output goes on."""
    shell = int(run.event("started"))
    run.wait_state(shell, "Z-")
    run.release("gate")


def release_after_other_ended(run: Run) -> None:
    """One job tells its pid; the other goes on when ninja has reaped it."""
    other = int(run.event("other"))
    run.event("started")
    run.wait_state(other, "-")
    run.release("gate")


def stop_and_continue(run: Run) -> None:
    run.event("started")
    run.signal(signal.SIGSTOP)
    run.wait_state(run.process.pid, "T")
    run.signal(signal.SIGCONT)
    run.release("gate")


# --- normalisation

def without_libc_signals(text: bytes) -> bytes:
    """Leaves out signals 32 and 33, which glibc's posix_spawn ignores in the child; see differences_test.py."""
    return re.sub(rb"(?<=SigIgn:[\t ])[0-9a-f]+", lambda mask: b"%016x" % (int(mask[0], 16) & ~(3 << 31)), text)


METRICS = b".ninja parse|canonicalize str|canonicalize path|lookup node|.ninja_log load|.ninja_deps load|node stat|StartEdge|FinishCommand|path->node hash load"


def metric_names(text: bytes) -> bytes:
    """Keeps the names of upstream's metrics; times and counts of calls vary, and more metrics may follow."""
    return b"\n".join(re.findall(b"^(?:" + METRICS + b")", text, flags=re.MULTILINE)) if b"metric" in text else text


# --- the table

def cannot_start(outcome: Outcome) -> None:
    assert outcome.status == [1], outcome.status
    assert re.search(rb"FAILED: .*big", outcome.stdout), outcome.stdout[:200]
    assert re.search(rb"ninja: cannot start .*: .*Argument list too long", outcome.stdout), outcome.stdout[-500:]
    assert b"\nother ran\n" in outcome.stdout, outcome.stdout[-500:]
    assert set(outcome.files) == {"build.ninja", ".ninja_log", "other"}, outcome.files.keys()


ALL_GOOD = "a: echo 1 > a\nb: echo 2 > b; echo said\nc: echo 3 > c; echo warned >&2"
SECOND_FAILS = "a: touch a\nb: echo partial > b; echo why; exit 9\nc: touch c\nd: echo again; exit 4\ne: touch e; echo said"

BUILDING = [
    edges("success", ALL_GOOD, args=["-j1"]),
    edges("nothing_to_do", ALL_GOOD, args=["-j1"], again=[":"]),
    edges("changed_target_only", ALL_GOOD, args=["-j1", "b", "c"]),
    edges("verbose", ALL_GOOD, args=["-j1", "-v"]),
    edges("quiet", ALL_GOOD, args=["-j1", "--quiet"]),
    edges("dry_run", ALL_GOOD, args=["-n"]),
    edges("status_format", ALL_GOOD, args=["-j1"], env={"NINJA_STATUS": "<%s %f %t %r %u %p %%> "}),
    edges("stats", ALL_GOOD, args=["-j1", "-d", "stats"], normalise=metric_names),
    edges("unknown_target", ALL_GOOD, args=["nothing"]),
    Scenario("version", "", args=["--version"]),
    Scenario("help", "", args=["-h"]),
    Scenario("description_and_directories", rule("r", "mkdir -p x; echo made > deep/er/out", "description = MAKING $out") +
             "build deep/er/out: r\n"),
    Scenario("several_outputs", rule("r", "touch one two three") + "build one two | three: r\n", again=["rm two"]),
    Scenario("empty_command", "rule r\n  command = \nbuild out: r\n"),
    one("command_with_every_quote", r"""printf '%s\n' "a b" 'c$d' e\ f "g'h" `echo i` $(echo j) $((6*7)) * ~ # comment"""),
    one("newline_from_the_shell", "printf 'a\\nb\\n' > out; echo \"a\tb\"; echo 'a\\tb'"),
    Scenario("file_name_with_space", rule("r", "cat in* > 'a b'") + "build a$ b: r in$ 1\n", files={"in 1": "text"}),
    Scenario("tool_commands", rule("r", "touch $x"), args=["-t", "commands"]),
    edges("tool_commands_all", ALL_GOOD, args=["-t", "commands"]),
    edges("tool_compdb", ALL_GOOD, args=["-t", "compdb"]),
    edges("tool_clean", ALL_GOOD, args=["-j1"], again=["rm a"]),
    Scenario("other_directory", "", args=["-C", "sub"],
             files={"sub/build.ninja": rule("r", "pwd; echo $PWD; pwd -P; readlink /proc/$$/cwd; echo made > out") + "build out: r\n"}),
    Scenario("other_directory_wrong_pwd", "", args=["-C", "sub"], env={"PWD": "/usr", "OLDPWD": "/bin"},
             files={"sub/build.ninja": rule("r", "echo $PWD $OLDPWD; env | grep PWD | sort") + "build out: r\n"}),
    Scenario("many_parallel", rule("r", "echo $(basename $out) > $out; echo said $out") +
             "".join(f"build d/o{n}: r\n" for n in range(300)), args=["-j64"], unordered=True),
    one("command_of_127_kib", f": {'x' * (127 * 1024 - 30)}; echo done"),
    Scenario("command_too_long", rule("r", f": {'x' * (129 * 1024)}") + "build big: r\n" + rule("o", "touch other; echo other ran") +
             "build other: o\n", args=["-j1", "-k0"], differs="One job that cannot be started fails alone", ours=cannot_start),
]

FAILING = [
    one("failure", "echo partial > out; echo why; exit 1"),
    edges("failure_stops_the_build", SECOND_FAILS, args=["-j1"]),
    edges("failure_k_0", SECOND_FAILS, args=["-j1", "-k0"]),
    edges("failure_k_2", SECOND_FAILS, args=["-j1", "-k2"]),
    edges("failure_k_3", SECOND_FAILS, args=["-j1", "-k3"]),
    Scenario("failure_of_an_input", rule("bad", "exit 5") + rule("good", "touch $out") + "build a: bad\nbuild b: good a\nbuild c: good\n",
             args=["-j1", "-k0"]),
    *(one(f"exit_code_{code}", f"echo partial > out; exit {code}") for code in (1, 2, 3, 126, 127, 128, 129, 130, 137, 143, 255)),
    edges("exit_code_130_ends_k_0", "a: exit 130\nb: touch b", args=["-j1", "-k0"]),
    *(one(f"shell_dies_of_sig{name}", f"echo partial > out; echo said; kill -{name} $$")
      for name in ("INT", "TERM", "HUP", "KILL", "PIPE", "SEGV", "QUIT", "USR1", "ALRM")),
    *(one(f"child_dies_of_sig{name}", f"echo partial > out; sh -c 'kill -{name} $$'")
      for name in ("INT", "TERM", "HUP", "KILL", "PIPE", "SEGV", "ABRT")),
    one("child_dies_and_shell_goes_on", "sh -c 'kill -KILL $$'; echo code $?; touch out"),
    edges("killed_job_with_k_0", "a: echo partial > a; kill -TERM $$\nb: touch b", args=["-j1", "-k0"]),
    edges("killed_child_with_k_0", "a: echo partial > a; sh -c 'kill -TERM $$'\nb: touch b", args=["-j1", "-k0"]),
    one("missing_programs", "no-such-program --flag"),
    one("missing_program_with_path", "./no/such/program"),
    one("not_executable", "./plain", files={"plain": "#!/bin/sh\n"}),
    one("directory_as_program", "./dir", files={"dir/file": ""}),
    one("missing_interpreter", "chmod +x script; ./script", files={"script": "#!/no/such/interpreter\n"}),
    one("script_without_interpreter", "chmod +x script; ./script", files={"script": "echo from script $0\n"}),
    one("syntax_error", "echo ("),
    one("unterminated_quote", "echo 'abc"),
    Scenario("output_is_not_made", rule("r", "true") + "build out: r\n", again=[":"]),
    Scenario("output_directory_cannot_be_made", rule("r", "touch $out") + "build file/sub/out: r\n", files={"file": ""}),
    edges("running_jobs_finish_after_a_failure", """
        slow: echo > started; read x < gate; echo slow; touch slow
        bad: echo $$ > other; exit 7
        never: touch never""", args=["-j2"], fifos=["started", "other", "gate"], driver=release_after_other_ended, unordered=True),
    Scenario("internal_error_waits_for_running_jobs", rule("slow", "echo > started; read x < gate; touch slow") + rule("r", "touch $out") +
             "build slow: slow\nbuild file/sub/out: r\n", args=["-j2"], files={"file": ""}, fifos=["started", "gate"], driver=release(1)),
]

DEPFILE = "depfile = $out.d"
IF_CHANGED = "cmp -s in out || cp in out"
DEPENDENCIES = [
    Scenario("restat_unchanged", rule("gen", IF_CHANGED, "restat = 1") + rule("r", "cat out > final") +
             "build out: gen in\nbuild final: r out\n", files={"in": "1"}, again=["touch -d '1 minute' in"]),
    Scenario("restat_changed", rule("gen", IF_CHANGED, "restat = 1") + rule("r", "cat out > final") +
             "build out: gen in\nbuild final: r out\n", files={"in": "1"}, again=["echo 2 > in; touch -d '1 minute' in"]),
    Scenario("generator", rule("gen", "touch out", "generator = 1") + "build out: gen in\n", files={"in": "1"},
             again=["touch -d '1 minute' in", "sed -i 's/touch out/touch  out/' build.ninja"]),
    Scenario("manifest_makes_itself", rule("gen", "cp template build.ninja", "generator = 1") + "build build.ninja: gen template\n" +
             rule("r", "touch out") + "build out: r\n",
             files={"template": rule("gen", "cp template build.ninja", "generator = 1") + "build build.ninja: gen template\n" +
                    rule("r", "echo second; touch out") + "build out: r\n"}, again=["touch -d '1 minute' template"]),
    Scenario("manifest_cannot_make_itself", rule("gen", "echo broken; exit 6", "generator = 1") + "build build.ninja: gen missing\n" +
             rule("r", "touch out") + "build out: r\nbuild missing: phony\n"),
    one("depfile", "echo 'out: header' > out.d; touch out", DEPFILE, files={"header": ""}, again=["touch -d '1 minute' header"]),
    one("deps_gcc", "echo 'out: header other' > out.d; touch out", DEPFILE, "deps = gcc", files={"header": "", "other": ""},
        again=["touch -d '1 minute' header"]),
    one("deps_gcc_missing_depfile", "touch out", DEPFILE, "deps = gcc"),
    one("deps_gcc_failing", "echo 'out: header' > out.d; echo why; exit 3", DEPFILE, "deps = gcc", files={"header": ""}),
    one("deps_gcc_bad_depfile", "echo 'no colon here' > out.d; echo said; touch out", DEPFILE, "deps = gcc"),
    one("deps_msvc", "echo 'Note: including file: header'; echo kept; touch out", "deps = msvc", files={"header": ""}),
    one("bad_depfile", "echo 'no colon here' > out.d; touch out", DEPFILE, again=[":"]),
    Scenario("dyndep", rule("scan", "cp dd.in dd") + rule("cc", "cat $(ls module 2>/dev/null) > $out.o; echo built") +
             rule("module", "echo module > module; touch mod") +
             "build dd: scan dd.in\nbuild out: cc || dd\n  dyndep = dd\nbuild mod | module: module\n",
             args=["-j1"], files={"dd.in": "ninja_dyndep_version = 1\nbuild out: dyndep | module\n"}),
    Scenario("bad_dyndep", rule("scan", "echo nonsense > dd") + rule("cc", "touch out") + "build dd: scan\nbuild out: cc || dd\n  dyndep = dd\n",
             args=["-j1"]),
    one("rspfile_success", "cat out.rsp; touch out", "rspfile = out.rsp", "rspfile_content = a 'b' c"),
    one("rspfile_failure", "cat out.rsp; exit 3", "rspfile = out.rsp", "rspfile_content = a 'b' c"),
    one("rspfile_kept_on_request", "cat out.rsp; touch out", "rspfile = out.rsp", "rspfile_content = a", args=["-d", "keeprsp"]),
    Scenario("validation", rule("r", "touch $out") +
             rule("bad", "echo invalid; exit 2") + "build out: r |@ check\nbuild check: bad\n", args=["-j1"]),
]

OUTPUT = [
    one("order_of_stdout_and_stderr", "echo 1; echo 2 >&2; echo 3; echo 4 >&2; sh -c 'echo 5; echo 6 >&2'"),
    one("output_without_newline", "printf abc"),
    edges("output_without_newline_then_more", "a: printf abc\nb: printf def\nc: echo ghi", args=["-j1"]),
    one("long_output", "head -c 5000000 /dev/zero | tr '\\0' x; echo; seq 100000; exit 1"),
    edges("long_output_of_many", "\n".join(f"o{n}: seq {n}000 4 {n}99999" for n in range(1, 9)), args=["-j8"], unordered=True),
    one("binary_output", r"printf 'a\000b\377\376\200c\303\050\r\n\001\177'; head -c 70000 /dev/zero"),
    one("escape_codes_to_a_file", r"printf '\033[31mred\033[0m plain \033[1;32mgreen\033[K\n'"),
    one("escape_codes_forced", r"printf '\033[31mred\033[0m\n'", env={"CLICOLOR_FORCE": "1"}),
    one("escape_codes_to_a_terminal", r"printf '\033[31mred\033[0m plain\n'; exit 3", terminal=True),
    edges("success_on_a_terminal", ALL_GOOD, args=["-j1"], terminal=True),
    edges("failure_on_a_terminal", SECOND_FAILS, args=["-j1", "-k0"], terminal=True),
    one("output_of_a_process_after_its_shell", "(read x < gate; echo late; echo later >&2) & echo early; echo $$ > started",
        fifos=["started", "gate"], driver=release_after_shell_ended),
    one("failed_shell_with_late_output", "(read x < gate; echo late) & echo early; echo $$ > started; exit 5",
        fifos=["started", "gate"], driver=release_after_shell_ended),
    one("background_process_with_own_output", "(read x < gate) > /dev/null 2>&1 & echo early; touch out", fifos=["gate"], leaves=["sh"]),
    one("output_closed_long_before_the_end", "echo early; exec >&- 2>&-; echo > started; read x < gate; touch out; exit 3",
        fifos=["started", "gate"], driver=release(1)),
    one("output_closed_then_killed", "exec >&- 2>&-; kill -KILL $$"),
]

CONSOLE = [
    one("console_without_terminal", "echo direct; echo warned >&2; touch out", "pool = console"),
    one("console_failure", "echo direct; exit 4", "pool = console"),
    one("console_missing_program", "no-such-program", "pool = console"),
    one("console_killed", "kill -SEGV $$", "pool = console"),
    one("console_killed_by_int", "echo partial > out; kill -INT $$", "pool = console"),
    one("console_leaves_a_process", "(read x < gate) & echo early", "pool = console", fifos=["gate"], leaves=["sh"]),
    one("console_on_a_terminal", "test -t 0 -a -t 1 -a -t 2 && echo is a terminal", "pool = console", terminal=True),
    one("console_reads_the_terminal", "echo > started; read line; echo got $line", "pool = console", terminal=True, fifos=["started"],
        driver=type_line),
    one("console_group_and_session", "read pid comm state ppid group session tty owner rest < /proc/$$/stat; "
        "read ppid2 comm2 state2 pppid2 group2 session2 tty2 rest2 < /proc/$PPID/stat; [ $group = $group2 ] && [ $session = $session2 ] && "
        "[ $tty = $tty2 ] && [ $owner = $group ] && echo in the foreground; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/$$/fd",
        "pool = console", terminal=True, normalise=without_libc_signals),
    Scenario("console_holds_back_other_output", rule("con", "echo > started; read x < gate; echo console", "pool = console") +
             rule("other", "echo said by other; touch other; echo $$ > other.pid") + "build con: con\nbuild other: other\n", args=["-j2"],
             fifos=["started", "gate", "other.pid"], driver=lambda run: (run.event("started"), run.wait_state(int(run.event("other.pid")), "-"),
                                                                         run.release("gate"))[0]),
    Scenario("console_jobs_run_one_by_one", "".join(rule(f"r{n}", f"echo begin {n}; echo end {n}", "pool = console") + f"build o{n}: r{n}\n"
                                                    for n in range(4)), args=["-j4"]),
    one("console_interrupted_from_the_terminal", "echo new > out; echo $$ > started; read x < gate", "pool = console", terminal=True,
        fifos=["started", "gate"], driver=type_interrupt),
    one("console_ends_well_after_interrupt", "trap 'echo trapped; touch out; exit 0' INT; echo $$ > started; while :; do read x < gate; done",
        "pool = console", terminal=True, fifos=["started", "gate"], driver=type_interrupt),
    one("console_is_not_signalled_by_ninja", "echo new > out; echo $$ > started; read x < gate; echo finished", "pool = console",
        fifos=["started", "gate"], driver=interrupt_ninja_only),
    Scenario("terminal_interrupt_reaches_other_jobs", rule("con", "echo new > con; echo $$ > started; read x < gate", "pool = console") +
             rule("other", "echo new > other; echo $$ > started; read x < gate") + "build con: con\nbuild other: other\n", args=["-j2"],
             terminal=True, fifos=["started", "gate"], driver=lambda run: (run.job_waits(), type_interrupt(run))[0]),
]

DEPTH_1 = "pool p\n  depth = 1\n"
BLOCK = "echo $$ > started; read x < gate"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = [
    *(one(f"{number.name.lower()}_deletes_the_output", f"echo new > out; echo said; {BLOCK}", fifos=["started", "gate"],
          driver=interrupt(number)) for number in SIGNALS),
    *(one(f"{number.name.lower()}_with_a_child", "echo new > out; sh -c 'echo $$ > started; read x < gate'; echo code $?", fifos=["started", "gate"],
          driver=interrupt(number)) for number in SIGNALS),
    one("interrupt_keeps_an_untouched_output", BLOCK, files={"out": "old"}, fifos=["started", "gate"], driver=interrupt(signal.SIGINT)),
    one("interrupt_with_depfile", f"echo 'out: x' > out.d; {BLOCK}", DEPFILE, files={"out": "old"}, fifos=["started", "gate"],
        driver=interrupt(signal.SIGINT)),
    one("interrupt_with_deps_gcc", f"echo 'out: x' > out.d; echo new > out; {BLOCK}", DEPFILE, "deps = gcc", fifos=["started", "gate"],
        driver=interrupt(signal.SIGTERM)),
    one("interrupt_keeps_the_rspfile", f"echo new > out; {BLOCK}", "rspfile = out.rsp", "rspfile_content = a", fifos=["started", "gate"],
        driver=interrupt(signal.SIGINT)),
    edges("interrupt_two_jobs", f"a: echo 1 > a; {BLOCK}\nb: {BLOCK}\nc: touch c", args=["-j2", "-k0"], fifos=["started", "gate"],
          driver=interrupt_two),
    edges("interrupt_after_finished_edges", f"a: echo 1 > a\nb: echo 2 > b; echo said\nc: echo 3 > c; {BLOCK}", args=["-j1"],
          fifos=["started", "gate"], driver=interrupt(signal.SIGINT)),
    one("interrupt_waits_for_a_job_that_ignores_it",
        "trap 'echo > signalled' INT; echo $$ > started; while ! read x < gate; do :; done; echo new > out; echo end > mark",
        fifos=["started", "signalled", "gate"], driver=interrupt_then_release),
    one("interrupt_of_a_job_that_cleans_up", f"trap 'echo cleaned > mark; exit 0' TERM; echo new > out; {BLOCK}", fifos=["started", "gate"],
        driver=interrupt(signal.SIGTERM)),
    one("interrupt_leaves_a_background_process", "(read x < gate) & echo $! > started; wait", fifos=["started", "gate"],
        driver=interrupt(signal.SIGINT), leaves=["sh"]),
    one("interrupt_on_a_terminal", f"echo new > out; {BLOCK}", terminal=True, fifos=["started", "gate"], driver=type_interrupt),
    one("interrupt_by_the_job", f"echo new > out; kill -INT $PPID; read x < gate", fifos=["gate"]),
    one("terminate_by_the_job", f"echo new > out; kill -TERM $PPID; read x < gate", fifos=["gate"]),
    one("interrupt_while_ignored_at_start", f"echo new > out; {BLOCK}", start="trap '' INT TERM HUP; exec \"$@\"", fifos=["started", "gate"],
        driver=interrupt(signal.SIGINT)),
    Scenario("interrupt_while_the_manifest_is_made", rule("gen", f"echo x >> build.ninja; {BLOCK}", "generator = 1") +
             "build build.ninja: gen missing\nbuild missing: phony\n", fifos=["started", "gate"], driver=interrupt(signal.SIGINT)),
    one("ninja_killed", f"echo new > out; {BLOCK}", fifos=["started", "gate"], driver=interrupt(signal.SIGKILL), leaves=["sh"]),
    one("ninja_quits", f"echo new > out; {BLOCK}", start="ulimit -c 0; exec \"$@\"", fifos=["started", "gate"],
        driver=interrupt(signal.SIGQUIT), leaves=["sh"]),
    one("ninja_stopped_and_continued", f"{BLOCK}; touch out; echo end", fifos=["started", "gate"], driver=stop_and_continue),
]



def signal_sets(name: str, start: str, *bindings: str, then: str = "") -> Scenario:
    # The shell's own state first and without a child: dash clears its signal mask when it starts one.
    own = "while read name set; do case $name in SigBlk:|SigIgn:|SigCgt:) echo $name $set;; esac; done < /proc/$$/status; "
    command = own + "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status" + then
    return one(name, command, *bindings, start=start, normalise=without_libc_signals)


CHILD_STATE = [
    one("stdin_is_dev_null", "cat -; readlink /proc/$$/fd/0; grep flags /proc/$$/fdinfo/0; echo end"),
    one("stdin_of_a_background_child", "(cat -; readlink /proc/self/fd/0) & wait; echo end"),
    one("output_is_one_pipe", "cd /proc/$$/fd; [ \"$(readlink 1)\" = \"$(readlink 2)\" ] && readlink 1 | sed 's/[0-9]//g'; "
        "grep flags /proc/$$/fdinfo/1 /proc/$$/fdinfo/2 | sed 's,/[0-9]*/,/,'"),
    one("descriptors", "ls /proc/$$/fd; ls /proc/self/fd"),
    one("descriptor_10_is_inherited", "ls /proc/$$/fd; cat <&10", start="exec 10< note; exec \"$@\"", files={"note": "kept\n"}),
    one("high_descriptor_is_inherited", "ls /proc/$$/fd", start="exec env sh -c 'exec 9< note; exec \"$@\"' sh \"$@\"",
        files={"note": "kept\n"}),
    edges("descriptors_with_other_jobs", "\n".join(f"{name}: echo > started; read x < gate; ls /proc/$$/fd" for name in "abcd"),
          args=["-j4"], fifos=["started", "gate"], driver=release(4), unordered=True),
    one("ninja_without_stdin", "ls /proc/$$/fd; readlink /proc/$$/fd/0; cat -", start="exec <&-; exec \"$@\""),
    one("ninja_without_stderr", "ls /proc/$$/fd; echo 1; echo 2 >&2", start="exec 2>&-; exec \"$@\""),
    one("own_process_group", "read pid comm state ppid group session tty owner rest < /proc/$$/stat; "
        "read pid2 comm2 state2 ppid2 group2 session2 tty2 rest2 < /proc/$PPID/stat; [ $group = $$ ] && echo leads its group; "
        "[ $session = $session2 ] && echo same session; [ $tty = $tty2 ] && echo same terminal; sh -c 'ps -o pgid= -p $$' | "
        "{ read g; [ $g = $group ] && echo child in the group; }"),
    one("own_process_group_on_a_terminal", "read pid comm state ppid group session tty owner rest < /proc/$$/stat; "
        "read pid2 comm2 state2 ppid2 group2 session2 tty2 owner2 rest2 < /proc/$PPID/stat; [ $group = $$ ] && echo leads its group; "
        "[ $session = $session2 ] && echo same session; [ $tty = $tty2 ] && echo same terminal; [ $owner = $group2 ] && echo in the background",
        terminal=True),
    one("writes_to_the_terminal", "echo to the terminal > /dev/tty; echo said", terminal=True),
    one("parent_is_ninja", "[ $PPID = $NINJA_PID ] && echo is parent", start="export NINJA_PID=$$; exec \"$@\""),
    one("name_and_arguments", "cat /proc/$$/comm; tr '\\0' '|' < /proc/$$/cmdline"),
    one("environment", "tr '\\0' '\\n' < /proc/$$/environ", env={"FOO-BAR": "1", "X y": "2", "EMPTY": "", "MULTI": "a\nb", "NINJA_STATUS": ""}),
    one("environment_after_the_shell", "/usr/bin/env | sort", env={"FOO-BAR": "1", "EMPTY": ""}),
    one("without_path", "echo ${PATH-unset}; /bin/ls; ls", start="unset PATH; exec \"$@\""),
    signal_sets("signals", ""),
    signal_sets("signals_hup_ignored", "trap '' HUP; exec \"$@\""),
    signal_sets("signals_chld_ignored", "exec env --ignore-signal=CHLD \"$@\"", then="; (exit 3); exit 5"),
    signal_sets("signals_usr1_blocked", "exec env --block-signal=USR1 \"$@\""),
    signal_sets("signals_interrupts_blocked", "exec env --block-signal=INT,TERM,CHLD \"$@\""),
    signal_sets("signals_many_ignored", "trap '' INT TERM HUP QUIT PIPE USR2 TSTP; exec \"$@\""),
    signal_sets("signals_of_a_console_job", "trap '' HUP; exec env --block-signal=USR1 \"$@\"", "pool = console"),
    one("limits", "cat /proc/self/limits"),
    one("limit_of_descriptors_soft", "ulimit -Sn; ulimit -Hn", start="ulimit -Sn 200; exec \"$@\""),
    one("limit_of_descriptors_hard", "ulimit -Sn; ulimit -Hn", start="ulimit -n 200; exec \"$@\""),
    one("limit_of_descriptors_console", "ulimit -Sn; ulimit -Hn", "pool = console", start="ulimit -Sn 200; exec \"$@\""),
    one("umask", "umask; touch out; mkdir dir", start="umask 027; exec \"$@\""),
    one("scheduling", "nice; cat /proc/self/oom_score_adj; grep -E '^(Cpus_allowed_list|NoNewPrivs|Seccomp|Uid|Gid|Groups|Cap)' "
        "/proc/self/status; cat /proc/self/personality /proc/self/timerslack_ns", start="exec nice -n 3 \"$@\""),
]

PARALLEL = [
    Scenario("pool_of_depth_1", DEPTH_1 + "".join(rule(f"r{n}", f"echo run {n}", "pool = p") + f"build o{n}: r{n}\n" for n in range(5)),
             args=["-j4"]),
    Scenario("two_pools_of_depth_1", DEPTH_1 + DEPTH_1.replace("p\n", "q\n", 1) +
             "".join(rule(f"r{n}", f"echo run {n}", f"pool = {'pq'[n % 2]}") + f"build o{n}: r{n}\n" for n in range(6)),
             args=["-j4"], unordered=True),
    edges("jobs_run_at_the_same_time", "\n".join(f"{name}: echo {name} > started; read x < gate; echo {name}" for name in "abcdef"),
          args=["-j6"], fifos=["started", "gate"], driver=release(6), unordered=True),
    edges("jobserver", "\n".join(f"{name}: echo > started; read x < gate; echo $MAKEFLAGS" for name in "abcdef"),
          env={"MAKEFLAGS": " -j3 --jobserver-auth=fifo:tokens"}, fifos=["tokens", "started", "gate"], feed={"tokens": "++"},
          driver=lambda run: (release(3)(run), release(3)(run))[0], unordered=True),
    edges("jobserver_returns_tokens_of_failures", "\n".join(f"{name}: echo > started; read x < gate; exit 1" for name in "abcd"),
          args=["-k0"], env={"MAKEFLAGS": " -j2 --jobserver-auth=fifo:tokens"}, fifos=["tokens", "started", "gate"], feed={"tokens": "+"},
          driver=lambda run: (release(2)(run), release(2)(run))[0], unordered=True),
    edges("jobserver_returns_tokens_when_interrupted", "\n".join(f"{name}: echo $$ > started; read x < gate" for name in "abc"),
          env={"MAKEFLAGS": " -j2 --jobserver-auth=fifo:tokens"}, fifos=["tokens", "started", "gate"], feed={"tokens": "+"},
          driver=interrupt_two),
    edges("jobserver_pipe_is_refused", ALL_GOOD, env={"MAKEFLAGS": " -j3 --jobserver-auth=3,4"}, unordered=True),
]

# Commands that need no shell. Those of the other lists need it nearly all, which is as good a test.
DIES = "python3 -c 'import os, resource, sys; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), int(sys.argv[1]))'"
WITHOUT_SHELL = [
    edges("plain_programs", "a: touch a\nb: cp a b\nc: ls -d a b", args=["-j1"]),
    edges("quotes", """a: python3 -c 'import sys; print(sys.argv[1:])' a"b c"d '$x' \\$y "\\"z" "" '' \\\\""", args=["-j1"]),
    edges("whole_environment", "a: env\nb: X=1 HOME=/nowhere env\nc: cd /usr/share && env", args=["-j1", "-k0"],
          env={"not-a-name": "1", "PWD": "/wrong", "OLDPWD": "/tmp"}),
    edges("cmake_idioms", """a: : && touch a && :
b: cd /usr/share && ls -d . ..
c: : && cmake -E rm -f c && touch c && :
d: cd / && cmake -E echo one && cmake -E echo two""", args=["-j1"]),
    edges("sequence_stops", "a: touch a && false && touch b\nc: touch c && ls nothing-there && touch d\ne: touch e && exit 7", args=["-j1", "-k0"]),
    edges("redirections", "a: ls -d . > a\nb: cat < a >> b\nc: ls nothing-there . > c 2>&1\nd: ls nothing-there 2> d && touch e", args=["-j1", "-k0"]),
    edges("cannot_redirect", "a: ls > no/a\nb: cat < nothing-there\nc: touch c && cat < nothing-there && touch d", args=["-j1", "-k0"]),
    edges("direct_missing_program", "a: nothing-there a\nb: ./nothing-there\nc: touch c && nothing-there 'x\ty' && touch d\nd: /usr\ne: 'not there'",
          args=["-j1", "-k0"]),
    Scenario("direct_script", rule("r", "./script $out") + "build a: r\n", files={"script": "touch $1; echo ran $0"},
             start="chmod 755 script; exec \"$@\"", args=["-j1"]),
    edges("missing_directory", "a: cd nothing-there && touch a\nb: touch b && cd nothing-there && touch c", args=["-j1", "-k0"]),
    edges("only_constants", "a: true\nb: :\nc: false\nd: exit 3\ne: exit 0", args=["-j1", "-k0"]),
    *(edges(f"direct_death_of_{number}", f"a: {DIES} {number}\nb: : && {DIES} {number} && :\nc: {DIES} {number} 2> log\nd: exec {DIES} {number}",
            args=["-j1", "-k0"]) for number in (6, 9, 11, 13, 14)),
    # What ends ninja's own jobs when it is interrupted is a failure when it comes from elsewhere.
    *(edges(f"direct_death_of_{number}", f"a: {DIES} {number}\nb: touch b && {DIES} {number}", args=["-j1", "-k0"]) for number in (1, 2, 15)),
    edges("exec_dies", "a: exec " + DIES + " 15\nb: touch b", args=["-j1", "-k0"]),
    one("console_without_shell", "ls -d . nothing-there", "pool = console"),
    one("empty_path", "ls -d .", env={"PATH": ""}),
]

SCENARIOS: List[Scenario] = BUILDING + FAILING + DEPENDENCIES + OUTPUT + CONSOLE + INTERRUPTED + CHILD_STATE + PARALLEL + WITHOUT_SHELL
