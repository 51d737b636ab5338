// Lines that end by a signal, and what the shell says of it.
//
// SPDX-License-Identifier: Apache-2.0

#include <sys/resource.h>

#include <string>

#include "support/line_test.h"

namespace launcher {
namespace {

class ShellLineDeathTest : public LineTest {
 protected:
  ShellLineDeathTest() {
    getrlimit(RLIMIT_CORE, &limit_);
    rlimit none = {0, limit_.rlim_max};
    setrlimit(RLIMIT_CORE, &none);
  }
  ~ShellLineDeathTest() override { setrlimit(RLIMIT_CORE, &limit_); }

 private:
  rlimit limit_;
};

LINE_TEST_ENGINES(ShellLineDeathTest);

TEST_P(ShellLineDeathTest, EachPosition) {
  for (const char* form :
       {"%", "exec %", "% && act write 1 never", "act write 1 a && %",
        "act write 1 a && % && act write 1 never", "act write 1 a && exec %",
        "true && %", "% && true", "% && exit 3", "cd sub && %",
        "cd sub && % && act write 1 never", "A=1 %", "A=1 % && true"}) {
    for (const char* signal : {"2", "9", "11", "13", "15"}) {
      std::string line = form;
      line.replace(line.find('%'), 1,
                   "act write 1 before raise " + std::string(signal));
      ExpectSame(line);
    }
  }
}

TEST_P(ShellLineDeathTest, Redirected) {
  for (const char* form : {"% >f",
                           "% 2>f",
                           "% 2>&1",
                           "% >f 2>&1",
                           "% 2>&1 >f",
                           "% 2>>f",
                           "% <sub/../f2 ",
                           "% >&2",
                           "% 2>/dev/null",
                           "exec % 2>f",
                           "% 2>f && true",
                           "% >f && true",
                           "act write 1 a && % 2>f",
                           "act write 1 a >f && % 2>>f",
                           "act write 1 a && % 2>f && true",
                           "cd sub && % 2>f",
                           "cd sub && % 2>f && true",
                           "% 2>f >&2",
                           "% >f 2>g",
                           "% 0>f 2>&0 && true",
                           "% 2>f 2>g && true",
                           "cd sub && act && % 2>../f && true"}) {
    for (const char* program :
         {"act write 2 e raise 9", "act raise 11", "act raise 13"}) {
      prepare_ = [this] { dir_.File("here/f2", "input"); };
      std::string line = form;
      line.replace(line.find('%'), 1, program);
      ExpectSame(line);
    }
  }
}

TEST_P(ShellLineDeathTest, ErrorsThatGoElsewhere) {
  for (Stdio out : {Stdio::Capture(), Stdio::Null()}) {
    for (Stdio err : {Stdio::Capture(), Stdio::Merge(), Stdio::Null()}) {
      Command command;
      command.out = out;
      command.err = err;
      for (const char* line :
           {"act write 1 a write 2 b raise 11", "act raise 11 && true",
            "act raise 11 2>&1 && true", "act raise 11 >&2 && true",
            "act raise 11 2>f && true"})
        ExpectSame(line, "", command);
    }
  }
  for (const char* line :
       {"act raise 11 && true", "act write 2 a raise 9 >f"}) {
    std::string seen[2];
    for (ShellUse use : kUses) {
      Pipe pipe;
      Command command;
      command.err = Stdio::FromFd(pipe.write.get());
      RunAnew(line, use, command);
      command = {};
      pipe.write.Reset();
      for (std::string part; !(part = pipe.Await()).empty();)
        seen[use == ShellUse::kAuto] += part;
    }
    EXPECT_EQ(seen[0], seen[1]) << line;
  }
}

TEST_P(ShellLineDeathTest, EverySignal) {
  for (int signal = 1; signal <= 64; ++signal) {
    if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
        signal == SIGTTOU || signal == 32 || signal == 33)
      continue;
    const std::string program = "act raise " + std::to_string(signal);
    ExpectSame(program + " && true");
    ExpectSame(program);
  }
}

TEST_P(ShellLineDeathTest, NoticeComesInOrder) {
  // After all that the program has written, before what it left behind.
  std::string expected = "0123456789";
  Finished done =
      ExpectSame("act fill 1 100000 write 1 0123456789 raise 11 && true");
  EXPECT_EQ(100000u, done.output.find(expected));
  ExpectSame("act fill 1 8000000 raise 11 && true");
  Command command;
  command.output_cap = 15;
  ExpectSame("act write 1 0123456789 raise 11 && true", "", command);
}

TEST_P(ShellLineDeathTest, WhatIsLeftBehindWritesAfterTheNotice) {
  std::string outputs[2];
  for (ShellUse use : kUses) {
    Make({.shell = use});
    Fifo gate(dir_ / "gate"), ready(dir_ / "ready");
    Start("act fork-exit wait 0 write 1 late end <" + gate.path() +
          " && act write 1 a write 2 x raise 11 2>" + ready.path() +
          " && true");
    Await(ready);
    gate.End();
    outputs[use == ShellUse::kAuto] = Finish().output;
    ExpectOrphans(1);
  }
  EXPECT_NE(std::string::npos, outputs[0].find("late")) << outputs[0];
  EXPECT_NE(std::string::npos, outputs[1].find("late")) << outputs[1];
  EXPECT_EQ(outputs[0].size(), outputs[1].size());
}

TEST_P(ShellLineDeathTest, StatusOfAShellThatIsAProgram) {
  ExpectSame("/bin/sh -c 'exit 137' && true");
  ExpectSame("/bin/sh -c 'kill -9 $$'");
  ExpectSame("/bin/sh -c 'kill -9 $$' && true");
}

}  // namespace
}  // namespace launcher
