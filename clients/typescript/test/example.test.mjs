import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Code, ConnectError } from "@connectrpc/connect";
import { Effect, ErrorReason, OutcomeSchema } from "@gigagate/client";
import { temporaryFolder } from "./gateway.mjs";
import { serveScript } from "./scripted-gateway.mjs";

const example = fileURLToPath(new URL("../examples/buy.mjs", import.meta.url));

const invalid = new ConnectError("scripted", Code.InvalidArgument, undefined, [
  {
    desc: OutcomeSchema,
    value: {
      reason: ErrorReason.INVALID_FIELD,
      effect: Effect.NOT_STARTED,
      fieldViolations: [{ field: "metatag", description: "is too long" }],
    },
  },
]);

for (const { about, answer, output } of [
  {
    about: "a refusal with its fields",
    answer: invalid,
    output:
      /^refused: INVALID_FIELD, NOT_STARTED: scripted\nmetatag: is too long\nnothing was started: /m,
  },
  {
    about: "what to do if it is not known yet",
    answer: new ConnectError("a proxy's page", Code.PermissionDenied),
    output: /^ask again later with --request-id the-order$/m,
  },
]) {
  test(`the example shows ${about}`, async (t) => {
    const [gateway, cwd] = await Promise.all([serveScript(t, [answer]), temporaryFolder(t)]);
    const env = { ...process.env, GIGAGATE_ADDRESS: new URL(gateway.baseUrl).host };
    const child = execFile(
      process.execPath,
      [example, "--request-id", "the-order", "--item", "the-item", "--price", "1.50"],
      { env, cwd },
    );
    let shown = "";
    child.stdout?.on("data", (text) => {
      shown += text;
    });
    await new Promise((resolve) => child.on("close", resolve));

    assert.match(shown, output);
    assert.equal(child.exitCode, 1);
    assert.deepEqual(await readdir(cwd), []);
    const { request } = gateway.attempts[0] ?? {};
    assert.ok(request);
    assert.equal(request.requestId, "the-order");
    assert.equal(request.inventoryItemId, "the-item");
    assert.equal(request.expectedPrice?.amount, "1.50");
  });
}
