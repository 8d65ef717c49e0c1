import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Code, ConnectError } from "@connectrpc/connect";
import { Effect, ErrorReason, OutcomeSchema } from "@gigagate/client";
import { serveScript } from "./scripted-gateway.mjs";

const example = fileURLToPath(new URL("../example/buy.mjs", import.meta.url));

/** @type {[string, ErrorReason, Effect, RegExp][]} */
const advice = [
  [
    "what a send did not start, an earlier one may have bought",
    ErrorReason.OVERLOADED,
    Effect.NOT_STARTED,
    /^this send started nothing, an earlier one may have bought: /m,
  ],
  [
    "the effect of a request id of another order is not taken for this one's",
    ErrorReason.REQUEST_ID_REUSED,
    Effect.APPLIED,
    /^the request id stands for another order: this one was not bought$/m,
  ],
];

for (const [about, reason, effect, words] of advice) {
  test(`the example's advice: ${about}`, async (t) => {
    const refusal = new ConnectError("scripted", Code.ResourceExhausted, undefined, [
      { desc: OutcomeSchema, value: { reason, effect, purchaseId: "the-purchase" } },
    ]);
    const gateway = await serveScript(t, [refusal]);
    const env = { ...process.env, GIGAGATE_ADDRESS: new URL(gateway.baseUrl).host };
    /** @type {string} */
    const output = await new Promise((resolve) => {
      execFile(process.execPath, [example], { env }, (_, stdout) => resolve(stdout));
    });
    assert.match(output, words);
  });
}
