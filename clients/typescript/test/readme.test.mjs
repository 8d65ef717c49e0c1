import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkout, serveGateway, temporaryFolder } from "./gateway.mjs";

const ownFolder = fileURLToPath(new URL("..", import.meta.url));

test("the README's commands, from an empty folder", async (t) => {
  const [gateway, folder] = await Promise.all([serveGateway(t), temporaryFolder(t)]);
  const environment = callersEnvironment(gateway.address);
  const [purchase, refusal] = await blocksOf("sh");
  const [program] = await blocksOf("ts");
  assert.ok(purchase && refusal && program);
  assert.ok(purchase.trim().split("\n").length <= 5);

  await t.test("buy a package", async () => {
    const { status, stdout } = await run("sh", ["-ec", purchase], folder, environment);
    assert.equal(status, 0);
    assert.match(stdout, /^sold [0-9a-f-]+ to customer [0-9a-f-]+$/m);
    assert.match(stdout, /^not started; starts by itself at \d{4}-\d\d-\d\dT/m);
  });

  await t.test("are refused with another price", async () => {
    const { stdout } = await run("sh", ["-ec", refusal], folder, environment);
    assert.match(stdout, /^nothing was bought: PRICE_MISMATCH$/m);
    assert.match(stdout, /^exit status 1$/m);
  });

  await t.test("compile and run the page's TypeScript", async () => {
    await writeFile(join(folder, "order.mts"), program);
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
    assert.equal(stdout, "NOT_APPLIED PRICE_MISMATCH\n");
  });

  await t.test("wait for a purchase that is not settled at once", async () => {
    // The sale happens, its answer is lost, and for a while the vendor's list cannot be read.
    for (const fault of [
      { path: "/gigastore/activations/register", fault: "commit_then_reset" },
      { path: "/gigastore/activations/activated-items", fault: "list_fail", count: 3 },
    ]) {
      const { status } = await fetch(`${gateway.sandbox}/_sandbox/faults`, {
        method: "POST",
        body: JSON.stringify(fault),
      });
      assert.equal(status, 200);
    }
    const { stdout } = await run(
      process.execPath,
      ["buy.mjs", "--patience", "3"],
      folder,
      environment,
    );
    assert.match(stdout, /^not settled yet, waiting for purchase [0-9A-Z]{26}$/m);
    assert.match(stdout, /^now it is SUCCEEDED$/m);
    assert.match(stdout, /^sold [0-9a-f-]+ to customer [0-9a-f-]+$/m);
  });
});

/**
 * What stands between the fences of one language.
 * @param {string} language
 */
async function blocksOf(language) {
  const page = await readFile(join(ownFolder, "README.md"), "utf8");
  const blocks = page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"));
  return Array.from(blocks, ([, block]) => block);
}

/**
 * A shell's own environment: `npm test` adds variables that would lead npm to this package's folder.
 * @param {string} address
 */
function callersEnvironment(address) {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(INIT_CWD|npm_(?!config_(registry|cache|userconfig)$).*)$/i.test(name),
  );
  return { ...Object.fromEntries(inherited), GIGAGATE: checkout, GIGAGATE_ADDRESS: address };
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
