// Written by peer, and loaded into a pi that runs under it (`pi -e`). It says in which conversation this pi is: pi begins
// another one with `/new` or `/fork` and goes back to one with `/resume`, and keeps no file open that would tell. And it
// reports when a turn begins and ends.
import { spawn } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";

// Nothing of it is waited for.
function report(what) {
  const peer = process.env.PEER_EXECUTABLE;
  if (!peer) return;
  try {
    const hook = spawn(peer, ["agent-hook", what], { stdio: "ignore", detached: true });
    hook.on("error", () => {});
    hook.unref();
  } catch {
    // Nothing is reported; peer finds it out at its next look.
  }
}

export default function (pi) {
  pi.on("session_start", (_event, context) => {
    const file = process.env.PEER_CONVERSATION_FILE;
    const transcript = context.sessionManager.getSessionFile();
    if (!file || !transcript) return;
    try {
      const beside = `${file}.tmp.${process.pid}`;
      writeFileSync(beside, JSON.stringify({ transcript }) + "\n", { mode: 0o600 });
      renameSync(beside, file);
      report("conversation");
    } catch {
      // Nothing is said; peer keeps to what it knew.
    }
  });
  pi.on("agent_start", () => report("turn-started"));
  pi.on("agent_end", () => report("turn-finished"));
}
