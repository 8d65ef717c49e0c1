import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The repository's root. */
export const checkout = fileURLToPath(new URL("../../..", import.meta.url));

/**
 * Makes a folder that goes when the test ends.
 * @param {import("node:test").TestContext} t
 */
export async function temporaryFolder(t) {
  const folder = await mkdtemp(join(tmpdir(), "gigagate-typescript-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/**
 * Builds this checkout's gateway and serves it with a sandbox until the test ends.
 * @param {import("node:test").TestContext} t
 * @returns {Promise<{ address: string, sandbox: string }>} where gRPC and the sandbox listen
 */
export async function serveGateway(t) {
  const folder = await mkdtemp(join(tmpdir(), "gigagate-typescript-"));
  const binary = join(folder, "gigagate");
  await promisify(execFile)("go", ["build", "-o", binary, "./cmd/gigagate"], { cwd: checkout });
  const gateway = spawn(
    binary,
    [
      "serve",
      "--sandbox",
      "--grpc-listen=127.0.0.1:0",
      "--http-listen=127.0.0.1:0",
      "--admin-listen=127.0.0.1:0",
      "--sandbox-listen=127.0.0.1:0",
      `--journal=sqlite:${join(folder, "gigagate.db")}`,
    ],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const exited = once(gateway, "exit");
  t.after(async () => {
    gateway.kill();
    await exited;
    await rm(folder, { recursive: true });
  });
  return new Promise((resolve, reject) => {
    const found = { address: "", sandbox: "" };
    // It reads on after both are found: a full pipe would stop the gateway.
    createInterface({ input: gateway.stdout })
      .on("line", (line) => {
        found.address ||= /^ +gRPC +(\S+)/.exec(line)?.[1] ?? "";
        found.sandbox ||= /^ +sandbox +(http:\/\/[^/]+)/.exec(line)?.[1] ?? "";
        if (found.address && found.sandbox) {
          resolve(found);
        }
      })
      .on("close", () => reject(new Error("the gateway ended before it served")));
  });
}
