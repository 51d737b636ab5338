// Does for node what launch_bench.cc does for C: see there.
//
//   node launch_worker.js RESIDENT_MIB DESCRIPTORS PROGRAM [ARG...]
//
// Method: node (child_process.spawn). node cannot tell what its children used:
// CPU time and page faults are read from /proc, CPU time in steps of 10 ms.
//
// SPDX-License-Identifier: Apache-2.0
"use strict";

const { spawn } = require("child_process");
const fs = require("fs");
const readline = require("readline");

const [resident, descriptors, ...words] = process.argv.slice(2);
const ballast = Buffer.alloc(Number(resident) * 1048576, 1);
while (fs.openSync("/dev/null", "r") < Number(descriptors) - 1);
// A FIFO, as node makes no pipe that it lets one see the descriptors of.
const fifo = fs.mkdtempSync("/tmp/launch-") + "/clock";
require("child_process").execFileSync("mkfifo", [fifo]);
const clock = fs.openSync(fifo, "r+");
fs.rmSync(fifo.slice(0, -"/clock".length), { recursive: true });

const now = () => Number(process.hrtime.bigint()) / 1000;

// [parent CPU, child CPU in us, faults of both]
function usage() {
  const fields = fs.readFileSync("/proc/self/stat", "latin1").split(") ")[1].split(" ");
  const [minor, ofChildren, major, majorOfChildren] = fields.slice(7, 11).map(Number);
  const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number);
  const tick = 10000;
  return [(user + system) * tick, (childUser + childSystem) * tick,
          minor + ofChildren + major + majorOfChildren];
}

function once(send) {
  return new Promise((resolve, reject) => {
    const before = now();
    const child = spawn(words[0], words.slice(1),
                        { stdio: ["ignore", send ? clock : "ignore", "ignore"] });
    child.on("error", reject);
    child.on("exit", (code) => {
      if (code !== 0) reject(new Error(words[0] + " failed"));
      if (!send) return resolve(0);
      const bytes = Buffer.alloc(16);
      fs.readSync(clock, bytes, 0, 16, null);
      const sent = Number(bytes.readBigInt64LE(0)) * 1e6 + Number(bytes.readBigInt64LE(8)) / 1000;
      resolve(sent - before);
    });
  });
}

async function answer(request) {
  const [, launches, microseconds, send] = request.split(" ");
  const first = [];
  const before = usage(), begin = now();
  while (first.length < launches && (first.length < 3 || now() - begin < microseconds))
    first.push(await once(send === "1"));
  const wall = now() - begin, after = usage(), made = first.length;
  const spent = [wall, ...after.map((value, i) => value - before[i])].map((v) => v / made);
  first.sort((a, b) => a - b);
  console.log([made, ...spent.map((v) => v.toFixed(3)), 0, first[made >> 1].toFixed(3)].join(" "));
}

(async () => {
  for await (const request of readline.createInterface({ input: process.stdin }))
    await answer(request);
  process.exitCode = ballast.length < 0 ? 1 : 0;  // Memory that is used stays.
})();
