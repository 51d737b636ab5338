// Which descriptors a child gets, and what actions do to them.
//
// SPDX-License-Identifier: Apache-2.0

#include <linux/close_range.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "support/launcher_test.h"
#include "support/temp_dir.h"
#include "support/without_stdio.h"

namespace launcher {
namespace {

class DescriptorsTest : public LauncherTest {
 protected:
  /// Number -> access and target of each descriptor of a child.
  using Fds = std::map<int, std::string>;

  static Fds Parse(const std::string& text) {
    Fds fds;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      size_t space = line.find(' ');
      fds[std::stoi(line)] = line.substr(space + 1);
    }
    return fds;
  }

  Fds FdsOf(Command command = {}) { return Parse(Output({"fds"}, command)); }

  static std::vector<int> Numbers(const Fds& fds) {
    std::vector<int> numbers;
    for (const auto& [fd, target] : fds)
      numbers.push_back(fd);
    return numbers;
  }

  /// The numbers of the descriptors of a child that ran these actions.
  std::vector<int> NumbersAfter(std::initializer_list<Action> actions) {
    Command command;
    command.actions = {actions.begin(), actions.end()};
    return Numbers(FdsOf(command));
  }

  Finished RunActions(std::initializer_list<Action> actions) {
    Command command;
    command.actions = {actions.begin(), actions.end()};
    return Run({"fds"}, command);
  }

  /// A number that is not open, far from what anybody will open next.
  static int Closed() {
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 700);
    close(fd);
    return fd;
  }

  static Fd OpenNull(int flags = O_CLOEXEC) {
    return Fd(open("/dev/null", O_RDWR | flags));
  }

  TempDir dir_;
};

using Ints = std::vector<int>;

LAUNCHER_TEST_ENGINES(DescriptorsTest);

// The standard three.

TEST_P(DescriptorsTest, DefaultsAreThoseOfABuildJob) {
  Fds fds = FdsOf();
  EXPECT_EQ((Ints{0, 1, 2}), Numbers(fds));
  EXPECT_EQ("r /dev/null", fds[0]);
  EXPECT_EQ(0u, fds[1].find("w pipe:"));
  EXPECT_EQ(fds[1], fds[2]);
}

TEST_P(DescriptorsTest, NullForAll) {
  Pipe pipe;
  Action actions[] = {Action::Dup2(pipe.write.get(), 3)};
  Command command;
  command.in = command.out = command.err = Stdio::Null();
  command.actions = actions;
  ASSERT_TRUE(Start({"/bin/sh", "-c", LAUNCHER_TEST_CHILD_DIR "/probe fds >&3"},
                    command)
                  .ok());
  Finished done = Finish();
  Expect(Cause::kExited, 0, done);
  EXPECT_TRUE(done.output_complete);
  Fds fds = Parse(pipe.Await());
  EXPECT_EQ("r /dev/null", fds[0]);
  EXPECT_EQ("w /dev/null", fds[2]);
}

TEST_P(DescriptorsTest, SeparatePipes) {
  Command command;
  command.err = Stdio::Capture();
  Fds fds = FdsOf(command);
  EXPECT_EQ(0u, fds[1].find("w pipe:"));
  EXPECT_EQ(0u, fds[2].find("w pipe:"));
  EXPECT_NE(fds[1], fds[2]);
}

TEST_P(DescriptorsTest, PipesOfTheChildBlock) {
  // O_NONBLOCK belongs to the open file, so a child would see ours.
  Action actions[] = {Action::Dup2(1, 3)};
  Command command;
  command.actions = actions;
  ASSERT_TRUE(
      Start({"/bin/sh", "-c", "cat /proc/self/fdinfo/3"}, command).ok());
  std::string text = Finish().output;
  unsigned flags = 0;
  ASSERT_EQ(1, sscanf(text.c_str(), "pos: %*d flags: %o", &flags)) << text;
  EXPECT_EQ(0u, flags & O_NONBLOCK);
}

TEST_P(DescriptorsTest, InheritedOnes) {
  InChild([&] {
    TempDir dir;
    Fd in(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    Fd err(open((dir / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(0, dup2(in.get(), 0));
    ASSERT_EQ(2, dup2(err.get(), 2));
    Make({});
    Command command;
    command.in = Stdio::Inherit();
    command.err = Stdio::Inherit();
    Fds fds = FdsOf(command);
    EXPECT_EQ((Ints{0, 1, 2}), Numbers(fds));
    EXPECT_EQ("r /dev/zero", fds[0]);
    EXPECT_EQ("w " + (dir / "err"), fds[2]);
  });
}

TEST_P(DescriptorsTest, GivenOnes) {
  Fd in(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Fd err(open((dir_ / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  Command command;
  command.in = Stdio::FromFd(in.get());
  command.err = Stdio::FromFd(err.get());
  Fds fds = FdsOf(command);
  EXPECT_EQ((Ints{0, 1, 2}), Numbers(fds));
  EXPECT_EQ("r /dev/zero", fds[0]);
  EXPECT_EQ("w " + (dir_ / "err"), fds[2]);
  EXPECT_EQ(FD_CLOEXEC, fcntl(in.get(), F_GETFD)) << "ours is left alone";
}

TEST_P(DescriptorsTest, ErrorsFollowAGivenOutput) {
  Fd out(open((dir_ / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  Command command;
  command.out = Stdio::FromFd(out.get());
  Finished done = Run({"write", "1", "a", "write", "2", "b"}, command);
  EXPECT_EQ("", done.output);
  EXPECT_EQ(0u, done.output_bytes);
  char text[8] = {};
  EXPECT_EQ(2, pread(out.get(), text, sizeof(text), 0));
  EXPECT_STREQ("ab", text);
}

TEST_P(DescriptorsTest, OneForTwo) {
  Fd both(open((dir_ / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  Command command;
  command.in = Stdio::FromFd(both.get());
  command.err = Stdio::FromFd(both.get());
  Fds fds = FdsOf(command);
  EXPECT_EQ("rw " + (dir_ / "out"), fds[0]);
  EXPECT_EQ(fds[0], fds[2]);
}

TEST_P(DescriptorsTest, SwappedOnes) {
  InChild([&] {
    TempDir dir;
    Fd files[3];
    for (int i = 0; i < 3; ++i) {
      files[i].Reset(open((dir / std::to_string(i)).c_str(),
                          O_RDWR | O_CREAT | O_CLOEXEC, 0600));
      ASSERT_EQ(i, dup2(files[i].get(), i));
    }
    Pipe pipe;
    Make({});
    Action actions[] = {Action::Dup2(pipe.write.get(), 3)};
    Command command;
    command.actions = actions;
    command.in = Stdio::FromFd(1);
    command.out = Stdio::FromFd(2);
    command.err = Stdio::FromFd(0);
    Run({"fds"}, command);
    char text[4096] = {};
    ASSERT_GT(pread(2, text, sizeof(text) - 1, 0), 0);
    Fds fds = Parse(text);
    EXPECT_EQ("rw " + (dir / "1"), fds[0]);
    EXPECT_EQ("rw " + (dir / "2"), fds[1]);
    EXPECT_EQ("rw " + (dir / "0"), fds[2]);
    EXPECT_EQ((Ints{0, 1, 2, 3}), Numbers(fds));
  });
}

TEST_P(DescriptorsTest, InAndOutExchanged) {
  InChild([&] {
    TempDir dir;
    for (int i = 0; i < 2; ++i) {
      Fd file(open((dir / std::to_string(i)).c_str(),
                   O_RDWR | O_CREAT | O_CLOEXEC, 0600));
      ASSERT_EQ(i, dup2(file.get(), i));
    }
    Make({});
    Command command;
    command.in = Stdio::FromFd(1);
    command.out = Stdio::FromFd(0);
    Run({"fds"}, command);
    char text[4096] = {};
    ASSERT_GT(pread(0, text, sizeof(text) - 1, 0), 0);
    Fds fds = Parse(text);
    EXPECT_EQ("rw " + (dir / "1"), fds[0]);
    EXPECT_EQ("rw " + (dir / "0"), fds[1]);
    EXPECT_EQ(fds[1], fds[2]);
  });
}

TEST_P(DescriptorsTest, WorksWithTheStandardOnesClosed) {
  InChild([&] {
    const WithoutStdio without;
    Make({});
    Fds fds = FdsOf();
    EXPECT_EQ((Ints{0, 1, 2}), Numbers(fds));
    EXPECT_EQ("r /dev/null", fds[0]);
    EXPECT_EQ(0u, fds[1].find("w pipe:"));
    EXPECT_EQ(fds[1], fds[2]);
    Command command;
    command.err = Stdio::Capture();
    fds = FdsOf(command);
    EXPECT_EQ((Ints{0, 1, 2}), Numbers(fds));
    launcher_.reset();
  });
}

TEST_P(DescriptorsTest, ClosedDescriptorIsAnError) {
  int closed = Closed();
  Command command;
  command.in = Stdio::FromFd(closed);
  Probe({"fds"}, command);
  ExpectNotStarted(EBADF, "dup2", std::to_string(closed), Finish());
}

// Beyond the standard three.

TEST_P(DescriptorsTest, NoneOfAHundredIsPassedOn) {
  std::vector<Fd> open;
  for (int i = 0; i < 100; ++i)
    open.push_back(OpenNull(i % 2 ? O_CLOEXEC : 0));
  EXPECT_EQ((Ints{0, 1, 2}), Numbers(FdsOf()));
}

TEST_P(DescriptorsTest, InheritingIsAChoice) {
  Fd passed = OpenNull(0);
  Fd kept = OpenNull(O_CLOEXEC);
  Ints expected;
  for (const auto& [fd, target] : OpenFds())
    if (fd <= 2 || fcntl(fd, F_GETFD) == 0)
      expected.push_back(fd);
  Command command;
  command.inherit_fds = true;
  EXPECT_EQ(expected, Numbers(FdsOf(command)));
  EXPECT_EQ(1, std::count(expected.begin(), expected.end(), passed.get()));
}

TEST_P(DescriptorsTest, PlacedOnesSurviveTheDefaultClose) {
  Fd fd = OpenNull();
  EXPECT_EQ((Ints{0, 1, 2, 50, 70}),
            NumbersAfter({Action::Dup2(fd.get(), 70),
                          Action::Open(50, "/dev/zero", O_RDONLY)}));
}

TEST_P(DescriptorsTest, PlacedHighUpLeavesNothingBetween) {
  Fd fd = OpenNull(0);
  Fd other = OpenNull(0);
  EXPECT_EQ((Ints{0, 1, 2, 500}), NumbersAfter({Action::Dup2(fd.get(), 500)}));
}

TEST_P(DescriptorsTest, Dup2OntoItselfKeepsIt) {
  Fd fd = OpenNull();
  EXPECT_EQ((Ints{0, 1, 2, fd.get()}),
            NumbersAfter({Action::Dup2(fd.get(), fd.get())}));
  EXPECT_EQ(FD_CLOEXEC, fcntl(fd.get(), F_GETFD)) << "ours is left alone";
  Command command;
  Action action = Action::Dup2(fd.get(), fd.get());
  command.actions = {&action, 1};
  command.inherit_fds = true;
  Fds fds = FdsOf(command);
  EXPECT_EQ(1u, fds.count(fd.get()));
}

TEST_P(DescriptorsTest, Dup2WithCloexecDoesNot) {
  Fd fd = OpenNull();
  EXPECT_EQ((Ints{0, 1, 2}),
            NumbersAfter({Action::Dup2(fd.get(), 90, O_CLOEXEC)}));
  EXPECT_EQ((Ints{0, 1, 2}),
            NumbersAfter({Action::Dup2(fd.get(), fd.get(), O_CLOEXEC)}));
}

TEST_P(DescriptorsTest, ActionsRunInOrder) {
  Fd fd = OpenNull();
  Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Action actions[] = {
      Action::Dup2(fd.get(), 70),   Action::Dup2(70, 80),
      Action::Dup2(zero.get(), 70), Action::Close(80),
      Action::Dup2(70, 90),         Action::Open(80, "/dev/full", O_WRONLY),
  };
  Command command;
  command.actions = actions;
  Fds fds = FdsOf(command);
  EXPECT_EQ((Ints{0, 1, 2, 70, 80, 90}), Numbers(fds));
  EXPECT_EQ("r /dev/zero", fds[70]);
  EXPECT_EQ("w /dev/full", fds[80]);
  EXPECT_EQ("r /dev/zero", fds[90]);
}

TEST_P(DescriptorsTest, ActionsMayReplaceTheStandardOnes) {
  Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Action actions[] = {Action::Dup2(zero.get(), 0), Action::Dup2(1, 2),
                      Action::Open(2, "/dev/null", O_WRONLY)};
  Command command;
  command.actions = actions;
  command.err = Stdio::Capture();
  Fds fds = FdsOf(command);
  EXPECT_EQ((Ints{0, 1, 2}), Numbers(fds));
  EXPECT_EQ("r /dev/zero", fds[0]);
  EXPECT_EQ("w /dev/null", fds[2]);
}

TEST_P(DescriptorsTest, CloseTakesAwayAStandardOne) {
  EXPECT_EQ((Ints{1, 2}), NumbersAfter({Action::Close(0)}));
}

TEST_P(DescriptorsTest, OpenTakesFlagsModeAndDirectory) {
  mode_t old_mask = umask(022);
  dir_.Dir("sub");
  Fd sub(open((dir_ / "sub").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Action actions[] = {
      Action::Open(50, "made", O_WRONLY | O_CREAT | O_EXCL, 0666, sub.get()),
      Action::Open(60, kProbe, O_RDONLY, 0, sub.get())};
  Command command;
  command.actions = actions;
  Fds fds = FdsOf(command);
  umask(old_mask);
  EXPECT_EQ("w " + (dir_ / "sub/made"), fds[50]);
  EXPECT_EQ(std::string("r ") + kProbe, fds[60]);
  struct stat file;
  ASSERT_EQ(0, stat((dir_ / "sub/made").c_str(), &file));
  EXPECT_EQ(0644u, file.st_mode & 07777);

  ExpectNotStarted(EEXIST, "open", "made", Run({"fds"}, command));
}

TEST_P(DescriptorsTest, OpenWithCloexecIsGoneAfterTheExec) {
  EXPECT_EQ(
      (Ints{0, 1, 2}),
      NumbersAfter({Action::Open(50, "/dev/null", O_RDONLY | O_CLOEXEC)}));
}

TEST_P(DescriptorsTest, OpenOfARelativePathFollowsFchdir) {
  dir_.Dir("sub");
  dir_.File("sub/file", "");
  Fd sub(open((dir_ / "sub").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Action actions[] = {Action::Open(50, "sub/file", O_RDONLY),
                      Action::Fchdir(sub.get()),
                      Action::Open(60, "file", O_RDONLY)};
  Command command;
  command.actions = actions;
  command.cwd = dir_.path().c_str();
  Fds fds = FdsOf(command);
  EXPECT_EQ("r " + (dir_ / "sub/file"), fds[50]);
  EXPECT_EQ(fds[50], fds[60]);
  EXPECT_EQ((dir_ / "sub") + "\n", Output({"cwd"}, command));
}

TEST_P(DescriptorsTest, FchdirDecidesOnARelativeProgram) {
  dir_.Program("cc");
  Fd fd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Action action = Action::Fchdir(fd.get());
  Command command;
  command.actions = {&action, 1};
  command.cwd = "/";
  ASSERT_TRUE(Start({"./cc"}, command).ok());
  EXPECT_EQ("./cc\n", Finish().output);
}

TEST_P(DescriptorsTest, CloseRangeClosesAtOnce) {
  Fd fd = OpenNull();
  EXPECT_EQ(
      (Ints{0, 1, 2, 90}),
      NumbersAfter({Action::Dup2(fd.get(), 70), Action::Dup2(fd.get(), 80),
                    Action::Dup2(fd.get(), 90), Action::CloseRange(70, 80)}));
  EXPECT_EQ((Ints{0, 1, 2}), NumbersAfter({Action::Dup2(fd.get(), 70),
                                           Action::Dup2(fd.get(), 900),
                                           Action::CloseRange(3, -1)}));
  EXPECT_EQ((Ints{0, 1, 2}),
            NumbersAfter({Action::CloseRange(700, 1'000'000)}));
}

TEST_P(DescriptorsTest, WhatCloseRangeTookIsGone) {
  Fd fd = OpenNull();
  Finished done =
      RunActions({Action::CloseRange(3, -1), Action::Dup2(fd.get(), 70)});
  ExpectNotStarted(EBADF, "dup2", std::to_string(fd.get()), done);
}

TEST_P(DescriptorsTest, CloseRangeCloexecLeavesThemUntilTheExec) {
  Fd fd = OpenNull();
  EXPECT_EQ((Ints{0, 1, 2, 90}),
            NumbersAfter({Action::Dup2(fd.get(), 70),
                          Action::CloseRange(3, -1, CLOSE_RANGE_CLOEXEC),
                          Action::Dup2(70, 90)}));
  EXPECT_EQ((Ints{0, 1, 2, 70}),
            NumbersAfter({Action::Dup2(fd.get(), 70),
                          Action::CloseRange(3, -1, CLOSE_RANGE_CLOEXEC),
                          Action::Dup2(70, 70)}));
  EXPECT_EQ(
      (Ints{0, 1, 2, 70, 90}),
      NumbersAfter({Action::Dup2(fd.get(), 70), Action::Dup2(fd.get(), 80),
                    Action::Dup2(fd.get(), 90),
                    Action::CloseRange(80, 80, CLOSE_RANGE_CLOEXEC)}));
}

TEST_P(DescriptorsTest, CloseRangeCloexecReachesTheStandardOnes) {
  EXPECT_EQ((Ints{1, 2}),
            NumbersAfter({Action::CloseRange(0, 0, CLOSE_RANGE_CLOEXEC)}));
}

TEST_P(DescriptorsTest, FailingActionEndsTheLaunch) {
  Fd fd = OpenNull();
  std::string missing = dir_ / "missing";
  std::string number = std::to_string(fd.get());
  int closed = Closed();
  ExpectNotStarted(ENOENT, "open", missing,
                   RunActions({Action::Open(50, missing.c_str(), O_RDONLY)}));
  ExpectNotStarted(EBADF, "dup2", std::to_string(closed),
                   RunActions({Action::Dup2(closed, 70)}));
  ExpectNotStarted(EBADF, "dup2", std::to_string(closed),
                   RunActions({Action::Dup2(closed, closed)}));
  ExpectNotStarted(ENOTDIR, "fchdir", number,
                   RunActions({Action::Fchdir(fd.get())}));
  // The first that fails is the one that is told.
  ExpectNotStarted(ENOTDIR, "fchdir", number,
                   RunActions({Action::Fchdir(fd.get()),
                               Action::Open(50, missing.c_str(), O_RDONLY)}));
  // Nothing after it has been done.
  std::string made = dir_ / "made";
  RunActions({Action::Fchdir(fd.get()),
              Action::Open(50, made.c_str(), O_WRONLY | O_CREAT, 0600)});
  EXPECT_NE(0, access(made.c_str(), F_OK));
}

TEST_P(DescriptorsTest, ClosingWhatIsNotOpenDoesNotMatter) {
  EXPECT_EQ((Ints{0, 1, 2}), NumbersAfter({Action::Close(Closed())}));
}

TEST_P(DescriptorsTest, OpenGivesUpItsTargetFirst) {
  // The write end goes before the read end is opened anew in its place: with
  // the old one still there the child would never see the end of file.
  Pipe pipe;
  Action actions[] = {Action::Dup2(pipe.write.get(), 90),
                      Action::Dup2(pipe.read.get(), 91),
                      Action::Open(90, "/proc/self/fd/91", O_RDONLY)};
  Command command;
  command.actions = actions;
  Probe({"wait", "90"}, command);
  pipe.write.Reset();
  Expect(Cause::kExited, 0, Finish());
}

// An engine that copies what the caller names must not take numbers for it that
// the actions are about to use: those that are free now, the lowest first.
TEST_P(DescriptorsTest, TargetsAreTheLowestFreeNumbers) {
  Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Fd full(open("/dev/full", O_RDONLY | O_CLOEXEC));
  int free[3];
  {
    Fd held[3];
    for (int i = 0; i < 3; ++i) {
      held[i].Reset(dup(zero.get()));
      free[i] = held[i].get();
    }
  }
  Action actions[] = {Action::Dup2(zero.get(), free[1]),
                      Action::Dup2(full.get(), free[2]),
                      Action::Close(free[0])};
  Command command;
  command.actions = actions;
  std::string fds = Output({"fds"}, command);
  auto line = [](int fd, const char* file) {
    return std::to_string(fd) + " r " + file + "\n";
  };
  EXPECT_NE(fds.npos, fds.find(line(free[1], "/dev/zero"))) << fds;
  EXPECT_NE(fds.npos, fds.find(line(free[2], "/dev/full"))) << fds;
}

TEST_P(DescriptorsTest, CloseRangeSparesWhatAnActionStillNeeds) {
  Fd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  Action actions[] = {Action::CloseRange(zero.get() + 1, -1),
                      Action::Dup2(zero.get(), 50), Action::CloseRange(51, -1)};
  for (bool inherit : {false, true}) {
    Command command;
    command.actions = actions;
    command.inherit_fds = inherit;
    std::string fds = Output({"fds"}, command);
    EXPECT_NE(fds.npos, fds.find("50 r /dev/zero\n")) << fds;
  }
}

TEST_P(DescriptorsTest, DescriptorsMayBeClosedRightAfterSpawn) {
  for (int i = 0; i < 100; ++i) {
    Fd in(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    Fd placed(open("/dev/full", O_RDONLY | O_CLOEXEC));
    Fd cwd(open(dir_.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    Action action = Action::Dup2(placed.get(), 50);
    Command command;
    command.in = Stdio::FromFd(in.get());
    command.actions = {&action, 1};
    command.cwd_fd = cwd.get();
    Probe({"fds", "cwd"}, command);
    in.Reset();
    placed.Reset();
    cwd.Reset();
    // Others take their numbers.
    Fd other = OpenNull(), another = OpenNull(), third = OpenNull();
    Finished done = Finish();
    ASSERT_EQ(Cause::kExited, done.cause) << done.error.ToString();
    EXPECT_EQ(0u, done.output.find("0 r /dev/zero\n")) << done.output;
    EXPECT_NE(std::string::npos, done.output.find("\n50 r /dev/full\n"));
    EXPECT_NE(std::string::npos, done.output.find("\n" + dir_.path() + "\n"));
    if (HasFailure())
      break;
  }
}

TEST_P(DescriptorsTest, TheLastTwoOfAllAreEnough) {
  InChild([&] {
    rlimit limit;
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 64;
    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
    Make({});
    std::vector<Fd> taken;
    do {
      taken.push_back(OpenNull());
    } while (taken.back().get() < 63);
    taken.resize(taken.size() - 2);
    Finished done = Run({"write", "1", "fine"});
    EXPECT_EQ("fine", done.output) << done.error.ToString();
  });
}

TEST_P(DescriptorsTest, ActionsAreCopied) {
  {
    std::string path = "/dev/zero";
    std::vector<Action> actions{Action::Open(50, path.c_str(), O_RDONLY)};
    Command command;
    command.actions = actions;
    Probe({"fds"}, command);
    path.assign(path.size(), '!');
    actions[0] = Action::Close(1);
  }
  EXPECT_EQ("r /dev/zero", Parse(Finish().output)[50]);
}

}  // namespace
}  // namespace launcher
