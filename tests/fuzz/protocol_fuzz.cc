// The server of `launcherd make`, given any message: it answers in messages of
// the protocol or not at all, hangs up, and keeps nothing.
//
// The first byte of an input: how many descriptors go with the message (6
// bits), whether it is to have the right cookie (64), and be of a client that
// differs in nothing (128). The second: above 240, the message is made too
// long. The rest is the message.
//
// Nothing is ever launched: no program is parked, and others are not asked for.
//
// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fuzz.h"
#include "server.h"

namespace {

using launcher::Answer;
using launcher::Fd;
using launcher::Hello;
using launcher::Launcher;

constexpr uint8_t kRightCookie = 64, kRightState = 128;
constexpr uint8_t kTooLong = 240;
constexpr int kMostSent = 63;

void Require(bool holds, const char* what) {
  if (holds)
    return;
  fprintf(stderr, "protocol_fuzz: %s\n", what);
  abort();
}

int LowestFree() { return Fd(open("/dev/null", O_PATH | O_CLOEXEC)).get(); }

/// A server, and what clients of it need.
class Fixture {
 public:
  Fixture() {
    Launcher::Options options;
    options.warm_after = ~uint64_t{0};
    launcher_ = std::move(Launcher::Create(std::move(options)).value());
    server_.emplace(launcher_.get(),
                    std::move(launcherd::Endpoint::Create().value()));
    const std::string name = server_->endpoint().Name();
    address_.sun_family = AF_UNIX;
    memcpy(address_.sun_path, name.data(), name.find(','));
  }

  void Run(const uint8_t* data, size_t size);

 private:
  std::vector<char> MakeMessage(const uint8_t* data, size_t size) const;
  void Send(int client, const std::vector<char>& message, int count) const;
  void Serve();

  std::unique_ptr<Launcher> launcher_;
  std::optional<launcherd::Server> server_;
  sockaddr_un address_ = {};
  std::vector<pollfd> table_;
};

std::vector<char> Fixture::MakeMessage(const uint8_t* data, size_t size) const {
  std::vector<char> message(data + 2, data + size);
  if (data[1] > kTooLong)
    message.resize(launcher::kMostMessage + data[1] - kTooLong);
  auto put = [&](size_t at, const void* value, size_t length) {
    if (message.size() >= at + length)
      memcpy(message.data() + at, value, length);
  };
  const Hello right = {.magic = launcher::kProtocolMagic,
                       .version = launcher::kProtocolVersion};
  if (data[0] & kRightCookie) {
    put(0, &right, offsetof(Hello, cookie));
    put(offsetof(Hello, cookie), server_->endpoint().cookie.data(),
        launcher::kCookieSize);
  }
  if (data[0] & kRightState) {
    uint64_t own[launcher::kOwnStates];
    launcher::ReadOwnState(own);
    put(offsetof(Hello, own), own, sizeof(own));
  }
  return message;
}

void Fixture::Send(int client, const std::vector<char>& message,
                   int count) const {
  alignas(cmsghdr) char control[CMSG_SPACE(kMostSent * sizeof(int))] = {};
  iovec data = {const_cast<char*>(message.data()), message.size()};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (count > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (int i = 0; i < count; ++i) {
      const int fd = table_[0].fd;  // Any one that is open.
      memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(fd));
    }
  }
  (void)sendmsg(client, &header, MSG_NOSIGNAL);
}

void Fixture::Serve() {
  table_.clear();
  server_->Watch(&table_);
  if (poll(table_.data(), table_.size(), 0) > 0)
    server_->Serve(table_.data());
}

void Fixture::Run(const uint8_t* data, size_t size) {
  Serve();
  Fd client(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  Require(client && connect(client.get(),
                            reinterpret_cast<const sockaddr*>(&address_),
                            sizeof(address_)) == 0,
          "the server cannot be reached");
  Send(client.get(), MakeMessage(data, size), data[0] & kMostSent);
  Serve();  // Accepts it.
  Serve();  // Reads it.
  for (bool launching = false;;) {
    char answer[sizeof(Answer) + 1];
    ssize_t got = recv(client.get(), answer, sizeof(answer), MSG_DONTWAIT);
    // With descriptors that it has not read it is as if it had been reset.
    if (got == 0 || (got < 0 && errno == ECONNRESET))
      break;
    Require(got == sizeof(Answer), "an answer that is none");
    uint32_t kind;
    memcpy(&kind, answer, sizeof(kind));
    Require(
        kind == Answer::kInPlace || (kind == Answer::kLaunching && !launching),
        "an answer out of place");
    launching = true;
  }
  table_.clear();
  server_->Watch(&table_);
  Require(table_.size() == 1, "a connection is left");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2)
    return 0;
  // The reasons that it counts would fill the memory.
  constexpr int kRunsOfOne = 4096;
  // It opens some descriptors when it first needs them.
  constexpr int kOpenedLate = 4;
  static std::unique_ptr<Fixture> fixture;
  static int runs = 0, first = 0;
  if (runs++ % kRunsOfOne == 0) {
    fixture.reset();
    fixture = std::make_unique<Fixture>();
    first = LowestFree();
  }
  fixture->Run(data, size);
  Require(LowestFree() <= first + kOpenedLate, "descriptors are left");
  return 0;
}
