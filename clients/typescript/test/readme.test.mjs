import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkout, serveGateway, temporaryFolder } from "./gateway.mjs";

const ownFolder = fileURLToPath(new URL("..", import.meta.url));

test("the README's commands, from an empty folder", async (t) => {
  const [gateway, folder] = await Promise.all([serveGateway(t), temporaryFolder(t)]);
  const environment = callersEnvironment(gateway.address);
  const [purchase, lostAnswer, secured] = await shellBlocks();
  assert.ok(purchase && lostAnswer && secured);
  const [first, ...commands] = purchase.trim().split("\n");
  assert.match(first ?? "", /^gigagate=/);
  assert.ok(commands.length <= 5);

  await t.test("buy a package", async () => {
    const script = [`gigagate='${checkout}'`, ...commands].join("\n");
    const { status, stdout } = await run("sh", ["-ec", script], folder, environment);
    assert.equal(status, 0);
    assert.match(stdout, /^refused: PRICE_MISMATCH, NOT_APPLIED: /m);
    assert.match(stdout, /^sold [0-9a-f-]+ to customer [0-9a-f-]+$/m);
    assert.match(stdout, /^not started; starts by itself at \d{4}-\d\d-\d\dT/m);
    const stored = await readFile(join(folder, "sales.jsonl"), "utf8");
    assert.match(JSON.parse(stored).purchaseId, /^[0-9A-Z]{26}$/);
  });

  await t.test("install types that a strict program compiles with", async () => {
    await copyFile(join(ownFolder, "test/order.mts"), join(folder, "order.mts"));
    const compiler = await run(
      process.execPath,
      [
        join(ownFolder, "node_modules/typescript/bin/tsc"),
        "--strict",
        "--exactOptionalPropertyTypes",
        ...["--module", "nodenext", "--target", "es2023"],
        ...["--typeRoots", join(ownFolder, "node_modules/@types"), "--types", "node"],
        "order.mts",
      ],
      folder,
      environment,
    );
    assert.equal(compiler.stdout, "");
    const { stdout } = await run(process.execPath, ["order.mjs"], folder, environment);
    assert.match(stdout, /^PRICE_MISMATCH NOT_APPLIED /);
  });

  await t.test("learn what became of a purchase whose answer was lost", async () => {
    const script = lostAnswer.replaceAll("http://127.0.0.1:8089", gateway.sandbox);
    const { status, stdout } = await run("sh", ["-ec", script], folder, environment);
    assert.equal(status, 0);
    assert.match(stdout, /^ask again later with --request-id order-lost$/m);
    assert.match(stdout, /^request id order-lost\nsold [0-9a-f-]+ to customer [0-9a-f-]+$/m);
  });

  await t.test("buy over TLS with a key", async (t) => {
    const { address } = await serveGateway(t, folder);
    const script = secured.replaceAll("127.0.0.1:9190", address);
    const { status, stdout } = await run("sh", ["-ec", script], folder, environment);
    assert.equal(status, 0);
    assert.match(stdout, /^sold [0-9a-f-]+ to customer [0-9a-f-]+$/m);
  });
});

/** The shell blocks of the page. */
async function shellBlocks() {
  const page = await readFile(join(ownFolder, "README.md"), "utf8");
  const blocks = page.matchAll(/^```sh\n(.*?)^```/gms);
  return Array.from(blocks, ([, block]) => block);
}

/**
 * The environment without the variables that `npm test` adds. They would lead npm to this package's folder.
 * @param {string} address
 */
function callersEnvironment(address) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(INIT_CWD|npm_(?!config_(registry|cache|userconfig)$).*)$/i.test(name),
  );
  return { ...Object.fromEntries(inherited), GIGAGATE_ADDRESS: address };
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ status: number | string | null | undefined, stdout: string }>}
 */
function run(command, args, cwd, env) {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env }, (error, stdout, stderr) => {
      if (error) {
        process.stderr.write(stderr);
      }
      resolve({ status: error ? error.code : 0, stdout });
    });
  });
}
