// Written by peer, and loaded into a pi that runs under it (`pi -e`). It says in which conversation this pi is: pi begins
// another one with `/new` or `/fork` and goes back to one with `/resume`, and keeps no file open that would tell.
import { renameSync, writeFileSync } from "node:fs";

export default function (pi) {
  pi.on("session_start", (_event, context) => {
    const file = process.env.PEER_CONVERSATION_FILE;
    const transcript = context.sessionManager.getSessionFile();
    if (!file || !transcript) return;
    try {
      const beside = `${file}.tmp.${process.pid}`;
      writeFileSync(beside, JSON.stringify({ transcript }) + "\n", { mode: 0o600 });
      renameSync(beside, file);
    } catch {
      // Nothing is said; peer keeps to what it knew.
    }
  });
}
