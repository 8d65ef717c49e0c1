import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
 * Builds this checkout's gateway and serves it with a sandbox until the test ends. With a folder, it
 * speaks TLS and knows one caller, and the folder gets ca.pem and shop.key.
 * @param {import("node:test").TestContext} t
 * @param {string} [secrets]
 * @returns {Promise<{ address: string, sandbox: string }>} where gRPC and the sandbox listen
 */
export async function serveGateway(t, secrets) {
  const folder = await mkdtemp(join(tmpdir(), "gigagate-typescript-"));
  const binary = join(folder, "gigagate");
  await promisify(execFile)("go", ["build", "-o", binary, "./cmd/gigagate"], { cwd: checkout });
  const security = secrets ? await makeSecrets(binary, secrets) : [];
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
      ...security,
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

/**
 * Makes certificates, a key and a callers file, and returns the gateway's flags.
 * @param {string} binary
 * @param {string} folder
 */
async function makeSecrets(binary, folder) {
  const run = promisify(execFile);
  const certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
  const name = "-subj /CN=gateway -addext subjectAltName=IP:127.0.0.1 -extensions usr_cert";
  for (const how of [
    "-subj /CN=ca -keyout ca-key.pem -out ca.pem",
    `${name} -CA ca.pem -CAkey ca-key.pem -keyout tls-key.pem -out tls.pem`,
  ]) {
    await run("openssl", `${certificate} ${how}`.split(" "), { cwd: folder });
  }
  const { stdout: key, stderr: lines } = await run(binary, ["keys", "new", "--caller=shop"]);
  await writeFile(join(folder, "shop.key"), key);
  const callers = `callers:
  - name: shop
    identities: [{key: ${/- key: (.+)/.exec(lines)?.[1]}}]
    may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all]}
`;
  await writeFile(join(folder, "callers.yaml"), callers);
  return [
    `--tls-cert=${join(folder, "tls.pem")}`,
    `--tls-key=${join(folder, "tls-key.pem")}`,
    `--callers-file=${join(folder, "callers.yaml")}`,
  ];
}
