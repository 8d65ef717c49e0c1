import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ActivationService,
  AuditService,
  BudgetService,
  CustomerService,
  createGigagate,
  Effect,
  FreezeService,
  InventoryService,
  OutcomeSchema,
  outcomeOf,
  PurchaseService,
} from "@gigagate/client";
import { callPolicy } from "../dist/call-policy.js";
import { serveScript } from "./scripted-gateway.mjs";

const request = { requestId: "order-1" };

/**
 * An error as the gateway makes it.
 * @param {Code} code
 * @param {Record<string, string>} trailer
 */
function refusal(code, trailer = {}) {
  return new ConnectError("scripted", code, trailer, [
    { desc: OutcomeSchema, value: { effect: Effect.INDETERMINATE, purchaseId: "the-purchase" } },
  ]);
}

/**
 * @param {number | undefined} milliseconds
 * @param {number} least
 * @param {number} most
 */
function assertBetween(milliseconds, least, most) {
  assert.ok(
    milliseconds !== undefined && milliseconds >= least && milliseconds <= most,
    `${milliseconds} ms, want ${least} to ${most}`,
  );
}

test("UNAVAILABLE is repeated with the same request id, after a growing pause", async (t) => {
  const gateway = await serveScript(t, [refusal(Code.Unavailable), refusal(Code.Unavailable)]);
  await createGigagate(gateway).activations.register(request);

  assert.deepEqual(
    gateway.attempts.map(({ requestId }) => requestId),
    ["order-1", "order-1", "order-1"],
  );
  const [first = 0, second = 0, third = 0] = gateway.attempts.map(({ at }) => at);
  assertBetween(second - first, 155, 5_000);
  assertBetween(third - second, 315, 5_000);
});

test("it is repeated as often as the policy says", async (t) => {
  const gateway = await serveScript(
    t,
    Array.from({ length: 9 }, () => refusal(Code.Unavailable, { "grpc-retry-pushback-ms": "0" })),
  );
  await assert.rejects(
    createGigagate(gateway).activations.register(request),
    (error) => outcomeOf(error)?.purchaseId === "the-purchase",
  );
  assert.equal(gateway.attempts.length, 5);
});

test("all attempts share one deadline, and each tells the gateway what is left", async (t) => {
  const gateway = await serveScript(t, [
    refusal(Code.Unavailable),
    "success",
    "success",
    "success",
  ]);
  const { activations } = createGigagate(gateway);
  await activations.register(request, { timeoutMs: 5_000 });
  await activations.register(request);
  await activations.register(request, { timeoutMs: 500_000 });

  const [first, second, unset, long] = gateway.attempts.map(({ timeoutMs }) => timeoutMs ?? 0);
  assertBetween(first, 4_500, 5_000);
  assertBetween(second, 3_000, 4_850);
  assertBetween(unset, 99_500, 100_000);
  assertBetween(long, 99_500, 100_000);
});

for (const code of [Code.FailedPrecondition, Code.Aborted, Code.Canceled, Code.Internal]) {
  test(`${Code[code]} from the gateway is thrown at once`, async (t) => {
    const gateway = await serveScript(t, [refusal(code)]);
    await assert.rejects(
      createGigagate(gateway).activations.register(request),
      (error) =>
        error instanceof ConnectError &&
        error.code === code &&
        outcomeOf(error)?.purchaseId === "the-purchase",
    );
    assert.equal(gateway.attempts.length, 1);
  });
}

test("the gateway's pause goes before the policy's", async (t) => {
  const gateway = await serveScript(t, [
    refusal(Code.Unavailable, { "grpc-retry-pushback-ms": "600" }),
    refusal(Code.Unavailable, { "grpc-retry-pushback-ms": "-1" }),
  ]);
  await assert.rejects(createGigagate(gateway).activations.register(request));
  const [first = 0, second = 0] = gateway.attempts.map(({ at }) => at);
  assertBetween(second - first, 595, 5_000);
  assert.equal(gateway.attempts.length, 2);
});

test("a pause that would outlast the deadline is not begun", async (t) => {
  const gateway = await serveScript(t, [
    refusal(Code.Unavailable, { "grpc-retry-pushback-ms": "60000" }),
  ]);
  const begun = performance.now();
  await assert.rejects(
    createGigagate(gateway).activations.register(request, { timeoutMs: 10_000 }),
    (error) => outcomeOf(error)?.effect === Effect.INDETERMINATE,
  );
  assertBetween(performance.now() - begun, 0, 5_000);
  assert.equal(gateway.attempts.length, 1);
});

test("an abort ends the pause", async (t) => {
  const gateway = await serveScript(t, [
    refusal(Code.Unavailable, { "grpc-retry-pushback-ms": "60000" }),
  ]);
  const controller = new AbortController();
  const { activations } = createGigagate({
    ...gateway,
    interceptors: [
      (next) => async (req) => {
        try {
          return await next(req);
        } finally {
          // Once this attempt's error has reached the policy, which then pauses.
          setImmediate(() => controller.abort());
        }
      },
    ],
  });
  const begun = performance.now();
  await assert.rejects(activations.register(request, { signal: controller.signal }), isCanceled);
  assertBetween(performance.now() - begun, 0, 5_000);
  assert.equal(gateway.attempts.length, 1);
});

test("an abort is not taken for a broken connection", async (t) => {
  const controller = new AbortController();
  const gateway = await serveScript(t, [
    // The last attempt's error is the one that the caller sees.
    ...Array.from({ length: 4 }, () =>
      refusal(Code.Unavailable, { "grpc-retry-pushback-ms": "0" }),
    ),
    () => controller.abort(),
  ]);
  await assert.rejects(
    createGigagate(gateway).activations.register(request, { signal: controller.signal }),
    isCanceled,
  );
});

/**
 * @param {unknown} error
 */
function isCanceled(error) {
  return error instanceof ConnectError && error.code === Code.Canceled;
}

test("a connection that breaks under a call is UNAVAILABLE, and the call is repeated", async (t) => {
  const gateway = await serveScript(t, ["disconnect", "refuse the stream", "success"]);
  await createGigagate(gateway).activations.register(request);
  assert.equal(gateway.attempts.length, 2);
  assert.equal(gateway.refusedStreams, 1);
});

test("a connection that the gateway ends with an error is UNAVAILABLE, too", async (t) => {
  const gateway = await serveScript(t, ["enhance your calm", "success"]);
  await createGigagate(gateway).activations.register(request);
  assert.equal(gateway.attempts.length, 2);
});

test("a gateway that does not answer is UNAVAILABLE, without an Outcome", async (t) => {
  const gateway = await serveScript(t, []);
  await gateway.stop();
  await assert.rejects(
    createGigagate(gateway).activations.register(request, { timeoutMs: 300 }),
    (error) =>
      error instanceof ConnectError &&
      error.code === Code.Unavailable &&
      outcomeOf(error) === undefined,
  );
});

test("an error without an Outcome has none", () => {
  for (const error of [undefined, "text", new Error("text"), new ConnectError("a proxy's page")]) {
    assert.equal(outcomeOf(error), undefined);
  }
});

test("the call policy is the contract's service config", async () => {
  const contract = new URL("../../../proto/gigagate/v1/service_config.json", import.meta.url);
  assert.deepEqual(JSON.parse(await readFile(contract, "utf8")), {
    methodConfig: [
      {
        name: [
          ActivationService,
          BudgetService,
          CustomerService,
          InventoryService,
          PurchaseService,
          FreezeService,
          AuditService,
        ].map(({ typeName }) => ({ service: typeName })),
        waitForReady: false,
        timeout: `${callPolicy.timeoutMs / 1000}s`,
        retryPolicy: {
          maxAttempts: callPolicy.maxAttempts,
          initialBackoff: `${callPolicy.initialBackoffMs / 1000}s`,
          maxBackoff: `${callPolicy.maxBackoffMs / 1000}s`,
          backoffMultiplier: callPolicy.backoffMultiplier,
          retryableStatusCodes: callPolicy.retryableCodes.map((code) => Code[code].toUpperCase()),
        },
      },
    ],
  });
});
