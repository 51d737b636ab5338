// What a client asks for: read from its message, and never trusted.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef LAUNCHERD_DAEMON_REQUEST_H_
#define LAUNCHERD_DAEMON_REQUEST_H_

#include <string>
#include <vector>

#include "launcher/command.h"
#include "launcher/fd.h"
#include "protocol.h"

namespace launcherd {

/// A message of a client, with the descriptors that came with it.
struct Message {
  std::vector<char> bytes;
  std::vector<launcher::Fd> descriptors;
};

/// Takes the next one off a socket that does not block. 1: there it is; 0: not
/// yet; -1: the client is gone, or what it sends is no message of ours.
int ReceiveMessage(int socket, Message* message);

/// A launch that refers to the message it was read from.
struct Request {
  launcher::Hello hello;
  const char* path = nullptr;
  std::vector<const char*> argv;  ///< No null at the end.
  std::vector<const char*> envp;  ///< A null at the end.
  std::vector<launcher::Action> actions;
  launcher::Command command;  ///< All but group, tag and `actions`.
};

/// A set of the kernel's: bit n - 1 is signal n.
sigset_t ToSigset(uint64_t signals);

/// Whether it is a Note, and why its line is for the shell: printable ASCII.
bool ReadNote(const Message& message, const std::string& cookie,
              std::string* reason);

/// Makes a request of a message. Returns what is wrong, or an empty text. The
/// descriptors may be moved to other numbers.
std::string ReadRequest(Message* message, const std::string& cookie,
                        Request* request);

}  // namespace launcherd

#endif  // LAUNCHERD_DAEMON_REQUEST_H_
