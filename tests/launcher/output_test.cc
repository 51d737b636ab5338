// What is collected of a child's output, and when that ends.
//
// SPDX-License-Identifier: Apache-2.0

#include <fcntl.h>

#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"

namespace launcher {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class OutputTest : public LauncherTest {
 protected:
  /// A command whose input ends when gate_.write is closed.
  Command Gated() {
    Command command;
    command.in = Stdio::FromFd(gate_.read.get());
    return command;
  }
  void OpenGate() {
    gate_.write.Reset();
    gate_.read.Reset();
  }

  /// Starts a child that exits at once and leaves behind a process that does
  /// `words` with its output.
  ChildId LeaveBehind(std::vector<const char*> words, Command command) {
    std::vector<const char*> argv{kProbe, "fork-exit"};
    argv.insert(argv.end(), words.begin(), words.end());
    argv.push_back("end");
    command.argv = argv;
    auto started = launcher_->Spawn(command);
    EXPECT_TRUE(started.ok()) << started.error().ToString();
    return started.ok() ? started.value() : ChildId{};
  }

  void ExpectTimeout(milliseconds timeout) {
    auto none = Wait(timeout);
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(ETIMEDOUT, none.error().code);
  }

  /// Waits, with no child ending, until Launcher::Options::on_held is called.
  void AwaitHeld(const int* calls) {
    auto guard = steady_clock::now() + kHang;
    while (*calls == 0 && steady_clock::now() < guard) {
      auto none = Wait(milliseconds(10));
      ASSERT_FALSE(none.ok());
      ASSERT_EQ(ETIMEDOUT, none.error().code);
    }
    EXPECT_EQ(1, *calls);
  }

  Pipe gate_;
};

LAUNCHER_TEST_ENGINES(OutputTest);

// Collecting.

TEST_P(OutputTest, BothStreamsInTheOrderOfWriting) {
  Finished done = Run({"write", "1", "a", "write", "2", "b", "write", "1", "c",
                       "write", "2", "d"});
  EXPECT_EQ("abcd", done.output);
  EXPECT_EQ("", done.error_output);
  EXPECT_EQ(4u, done.output_bytes);
  EXPECT_EQ(0u, done.error_output_bytes);
  EXPECT_TRUE(done.output_complete);
}

TEST_P(OutputTest, SeparateStreams) {
  Command command;
  command.err = Stdio::Capture();
  Finished done =
      Run({"write", "1", "a", "write", "2", "bb", "write", "1", "c"}, command);
  EXPECT_EQ("ac", done.output);
  EXPECT_EQ("bb", done.error_output);
  EXPECT_EQ(2u, done.output_bytes);
  EXPECT_EQ(2u, done.error_output_bytes);
}

TEST_P(OutputTest, ErrorsAlone) {
  Command command;
  command.out = Stdio::Null();
  command.err = Stdio::Capture();
  Finished done = Run({"write", "1", "a", "write", "2", "b"}, command);
  EXPECT_EQ("", done.output);
  EXPECT_EQ("b", done.error_output);
}

TEST_P(OutputTest, NothingCaptured) {
  Command command;
  command.out = Stdio::Null();
  Finished done = Run({"write", "1", "a", "exit", "3"}, command);
  Expect(Cause::kExited, 3, done);
  EXPECT_EQ("", done.output);
  EXPECT_TRUE(done.output_complete);
}

TEST_P(OutputTest, NoOutputAtAll) {
  Finished done = Run({});
  EXPECT_EQ("", done.output);
  EXPECT_TRUE(done.output_complete);
  EXPECT_EQ(Timeline::TimePoint(), done.times.first_output);
}

TEST_P(OutputTest, BinaryOutput) {
  TempDir dir;
  std::string bytes;
  for (int i = 0; i < 1024; ++i)
    bytes.push_back(static_cast<char>(i));
  std::string path = dir.File("bytes", bytes);
  Fd in(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Command command;
  command.in = Stdio::FromFd(in.get());
  EXPECT_EQ(bytes, Output({"echo", "0"}, command));
}

TEST_P(OutputTest, EightMebibytes) {
  Finished done = Run({"fill", "1", "8388608", "write", "1", "end"});
  EXPECT_EQ(8388608u + 3, done.output_bytes);
  EXPECT_EQ(8388608u + 3, done.output.size());
  EXPECT_EQ("xend", done.output.substr(8388607));
}

TEST_P(OutputTest, CapKeepsTheBeginningAndCountsTheRest) {
  Command command;
  command.output_cap = 10;
  Finished done = Run({"write", "1", "begin", "fill", "1", "1000000"}, command);
  Expect(Cause::kExited, 0, done);
  EXPECT_EQ("beginxxxxx", done.output);
  EXPECT_EQ(1000005u, done.output_bytes);
  EXPECT_TRUE(done.output_complete);
}

TEST_P(OutputTest, CapIsForEachStream) {
  Command command;
  command.output_cap = 3;
  command.err = Stdio::Capture();
  Finished done = Run({"write", "1", "abcdef", "write", "2", "gh"}, command);
  EXPECT_EQ("abc", done.output);
  EXPECT_EQ(6u, done.output_bytes);
  EXPECT_EQ("gh", done.error_output);
}

TEST_P(OutputTest, CapOfNothing) {
  Command command;
  command.output_cap = 0;
  Finished done = Run({"fill", "1", "100000"}, command);
  EXPECT_EQ("", done.output);
  EXPECT_EQ(100000u, done.output_bytes);
}

TEST_P(OutputTest, OutputOfManyChildrenIsKeptApart) {
  for (int i = 0; i < 50; ++i) {
    std::string text(1000 + i, static_cast<char>('0' + i));
    Command command;
    command.tag = reinterpret_cast<void*>(intptr_t{i});
    Probe({"write", "1", text.c_str()}, command);
  }
  for (int i = 0; i < 50; ++i) {
    Finished done = Finish();
    auto n = reinterpret_cast<intptr_t>(done.tag);
    EXPECT_EQ(std::string(1000 + n, static_cast<char>('0' + n)), done.output);
  }
}

// The end: process and output.

TEST_P(OutputTest, ChildThatClosesItsOutputIsWaitedFor) {
  Pipe ready;
  Action action = Action::Dup2(ready.write.get(), 3);
  Command command = Gated();
  command.actions = {&action, 1};
  ChildId silent = Probe({"write", "1", "bye", "close", "1", "close", "2",
                          "close", "3", "wait", "0"},
                         command);
  ready.write.Reset();
  EXPECT_EQ("", ready.Await());
  // It does not block another one.
  EXPECT_EQ("fine", Output({"write", "1", "fine"}));
  EXPECT_EQ(1u, launcher_->children());
  ExpectTimeout(milliseconds(0));
  OpenGate();
  Finished done = Finish();
  EXPECT_EQ(silent, done.id);
  EXPECT_EQ("bye", done.output);
  EXPECT_TRUE(done.output_complete);
}

TEST_P(OutputTest, HeldPipeIsWaitedForByDefault) {
  ChildId id = LeaveBehind({"wait", "0", "write", "1", "late"}, Gated());
  // Another child comes and goes meanwhile.
  EXPECT_EQ("fine", Output({"write", "1", "fine"}));
  ExpectTimeout(milliseconds(50));
  OpenGate();
  Finished done = Finish();
  EXPECT_EQ(id, done.id);
  Expect(Cause::kExited, 0, done);
  EXPECT_EQ("late", done.output);
  EXPECT_TRUE(done.output_complete);
  ExpectOrphans(1);
}

TEST_P(OutputTest, DrainEndsTheWaitForAHeldPipe) {
  Make({.drain = milliseconds(50)});
  LeaveBehind({"wait", "0"}, Gated());
  Finished done = Finish();
  Expect(Cause::kExited, 0, done);
  EXPECT_FALSE(done.output_complete);
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(OutputTest, DrainOfZeroKeepsWhatTheChildWrote) {
  Make({.drain = milliseconds(0)});
  std::string text(60'000, 'x');
  for (int i = 0; i < 20; ++i) {
    Finished done = Run({"write", "1", text.c_str()});
    EXPECT_EQ(text, done.output);
    EXPECT_TRUE(done.output_complete);
  }
}

TEST_P(OutputTest, DrainDoesNotCutOffTheChildItself) {
  Make({.drain = milliseconds(1)});
  Finished done = Run({"write", "1", "a", "burn", "50", "write", "1", "b"});
  EXPECT_EQ("ab", done.output);
  EXPECT_TRUE(done.output_complete);
}

TEST_P(OutputTest, ATalkerLeftBehindIsCutOff) {
  Make({.drain = milliseconds(100)});
  // It goes on until its pipe is closed, and then gets SIGPIPE.
  LeaveBehind({"fill", "1", "1000000000000"}, {.output_cap = 10});
  Finished done = Finish();
  Expect(Cause::kExited, 0, done);
  EXPECT_FALSE(done.output_complete);
  EXPECT_EQ("xxxxxxxxxx", done.output);
  EXPECT_LT(done.times.drained - done.times.exited, kHang);
  ExpectOrphans(1);
}

TEST_P(OutputTest, HolderIsNamedOnce) {
  int calls = 0, tag = 0;
  Held held;
  Make({.on_held =
            [&](const Held& seen) {
              ++calls;
              held = seen;
            },
        .held_after = milliseconds(10)});
  Pipe pids;
  Action action = Action::Dup2(pids.write.get(), 3);
  Command command = Gated();
  command.actions = {&action, 1};
  command.tag = &tag;
  // The one left behind prints its pid before anything else.
  ChildId id = LeaveBehind({"ids", "wait", "0"}, command);
  pids.write.Reset();
  AwaitHeld(&calls);
  ExpectTimeout(milliseconds(50));
  EXPECT_EQ(id, held.id);
  EXPECT_EQ(&tag, held.tag);
  EXPECT_EQ("probe", held.comm);
  OpenGate();
  Finished done = Finish();
  EXPECT_EQ(atoi(done.output.c_str()), held.pid);
  EXPECT_EQ(1, calls);
  ExpectOrphans(1);
}

TEST_P(OutputTest, HolderOfASeparateErrorStreamIsNamed) {
  int calls = 0;
  Held held;
  Make({.on_held =
            [&](const Held& seen) {
              ++calls;
              held = seen;
            },
        .held_after = milliseconds(1)});
  // The child ends when the one it leaves behind has closed all but its
  // standard error.
  Pipe closed;
  Action actions[] = {Action::Dup2(closed.read.get(), 4),
                      Action::Dup2(closed.write.get(), 5)};
  Command command = Gated();
  command.err = Stdio::Capture();
  command.actions = actions;
  Probe({"fork", "ids", "close", "1", "close", "5", "wait", "0", "end", "close",
         "5", "wait", "4"},
        command);
  closed.write.Reset();
  AwaitHeld(&calls);
  OpenGate();
  EXPECT_EQ(atoi(Finish().output.c_str()), held.pid);
  EXPECT_EQ(1, calls);
  ExpectOrphans(1);
}

TEST_P(OutputTest, NobodyIsNamedWhileTheChildItselfRuns) {
  int calls = 0;
  Make({.on_held = [&](const Held&) { ++calls; },
        .held_after = milliseconds(1)});
  Probe({"wait", "0"}, Gated());
  ExpectTimeout(milliseconds(50));
  OpenGate();
  Finish();
  EXPECT_EQ(0, calls);
}

TEST_P(OutputTest, HolderWithoutADescriptorOfOursIsNotWaitedFor) {
  Command command = Gated();
  ChildId id = LeaveBehind({"close", "1", "close", "2", "wait", "0"}, command);
  Finished done = Finish();
  EXPECT_EQ(id, done.id);
  EXPECT_TRUE(done.output_complete);
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(OutputTest, DropOutputEndsTheWaitForAHeldPipe) {
  ChildId id = LeaveBehind({"write", "1", "x", "wait", "0"}, Gated());
  ExpectTimeout(milliseconds(50));
  ASSERT_TRUE(launcher_->DropOutput(id).ok());
  Finished done = Finish();
  EXPECT_EQ(id, done.id);
  Expect(Cause::kExited, 0, done);
  EXPECT_FALSE(done.output_complete);
  OpenGate();
  ExpectOrphans(1);
}

TEST_P(OutputTest, DropOutputBreaksThePipe) {
  ChildId id = Probe({"wait", "0", "fill", "1", "1"}, Gated());
  ASSERT_TRUE(launcher_->DropOutput(id).ok());
  OpenGate();
  Finished done = Finish();
  Expect(Cause::kSignaled, SIGPIPE, done);
  EXPECT_FALSE(done.output_complete);
}

TEST_P(OutputTest, DropOutputKnowsItsChildren) {
  EXPECT_EQ(ESRCH, launcher_->DropOutput(ChildId{12345}).error().code);
  ChildId id = Run({}).id;
  auto dropped = launcher_->DropOutput(id);
  ASSERT_FALSE(dropped.ok());
  EXPECT_EQ(ESRCH, dropped.error().code);
}

TEST_P(OutputTest, DropOutputWithoutAnyIsHarmless) {
  Command command = Gated();
  command.out = Stdio::Null();
  ChildId id = Probe({"wait", "0", "exit", "3"}, command);
  ASSERT_TRUE(launcher_->DropOutput(id).ok());
  OpenGate();
  Finished done = Finish();
  Expect(Cause::kExited, 3, done);
  EXPECT_TRUE(done.output_complete);
}

}  // namespace
}  // namespace launcher
