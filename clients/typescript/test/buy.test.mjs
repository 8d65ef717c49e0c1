import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { suite, test } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  ActivationService,
  createGigagate,
  Effect,
  ErrorReason,
  OutcomeSchema,
  outcomeOf,
  PurchaseService,
  PurchaseState,
  register,
  topUp,
} from "@gigagate/client";
import { serveScript, soldPurchaseId } from "./scripted-gateway.mjs";

const request = { requestId: "order-1", metatag: "a text of yours" };

/**
 * An error as the gateway makes it. Only the reason and the effect matter to the helper, so most
 * errors here have a code that the call policy does not repeat.
 * @param {ErrorReason} reason
 * @param {Effect} effect
 * @param {{ purchaseId?: string, retryMs?: number, code?: Code, trailer?: Record<string, string> }} more
 */
function answer(reason, effect, { purchaseId = "", retryMs, code, trailer } = {}) {
  const fieldViolations =
    reason === ErrorReason.INVALID_FIELD ? [{ field: "metatag", description: "is too long" }] : [];
  const pause = retryMs === undefined ? {} : { retryDelay: durationFromMs(retryMs) };
  return new ConnectError("scripted", code ?? Code.FailedPrecondition, trailer, [
    { desc: OutcomeSchema, value: { reason, effect, purchaseId, fieldViolations, ...pause } },
  ]);
}

const { NOT_STARTED, NOT_APPLIED, APPLIED, INDETERMINATE } = Effect;
const unknown = answer(ErrorReason.OUTCOME_UNKNOWN, INDETERMINATE, { purchaseId: "the-purchase" });
const unreadable = answer(ErrorReason.JOURNAL_UNAVAILABLE, INDETERMINATE, { retryMs: 10 });
const overloaded = answer(ErrorReason.OVERLOADED, NOT_STARTED, { retryMs: 10 });
const notNow = answer(ErrorReason.OVERLOADED, NOT_STARTED, { retryMs: 60_000 });
const invalid = answer(ErrorReason.INVALID_FIELD, NOT_STARTED);
const broken = new ConnectError("no Outcome", Code.Internal);

/**
 * @template {{ kind: string }} Result
 * @template {Result["kind"]} Kind
 * @param {Result} result
 * @param {Kind} kind
 * @returns {asserts result is Extract<Result, { kind: Kind }>}
 */
function assertKind(result, kind) {
  assert.equal(result.kind, kind, JSON.stringify(result, ["kind", "reason", "effect"]));
}

// Most of these tests wait for a pause, so they run at the same time.
suite("register and topUp", { concurrency: true }, () => {
  test("a sale", async (t) => {
    const gateway = await serveScript(t, []);
    const gigagate = createGigagate(gateway);
    const first = await register(gigagate, request);
    const second = await topUp(gigagate, { ...request, customerUid: "a-customer" });

    for (const result of [first, second]) {
      assertKind(result, "sold");
      assert.equal(result.response.purchaseId, soldPurchaseId);
    }
    const calls = gateway.attempts.map(({ call }) => call);
    assert.deepEqual(calls, ["register", "topUp"]);
    for (const { timeoutMs = 0 } of gateway.attempts) {
      assert.ok(timeoutMs > 95_000 && timeoutMs <= 100_000, `${timeoutMs} ms`);
    }
  });

  test("a usage error is thrown before anything is sent", async (t) => {
    const gateway = await serveScript(t, []);
    const gigagate = createGigagate(gateway);
    await assert.rejects(register(gigagate, { requestId: "" }), /requestId is empty/);
    await assert.rejects(topUp(gigagate, { requestId: "" }), /requestId is empty/);
    // @ts-expect-error a request without a request id
    await assert.rejects(register(gigagate, {}), /requestId is empty/);
    // @ts-expect-error a name where a number belongs
    const misspelled = register(gigagate, { ...request, activationMode: "NOW" });
    await assert.rejects(misspelled, /activation_mode/);
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      await assert.rejects(register(gigagate, request, { timeoutMs }), /timeoutMs is/);
    }
    assert.equal(gateway.attempts.length, 0);
  });

  for (const [reason, effect] of /** @type {[ErrorReason, Effect][]} */ ([
    [ErrorReason.PRICE_MISMATCH, NOT_APPLIED],
    [ErrorReason.JOURNAL_UNAVAILABLE, APPLIED],
    [ErrorReason.INVALID_FIELD, NOT_STARTED],
    [ErrorReason.REQUEST_ID_REUSED, INDETERMINATE],
    [ErrorReason.REQUEST_ID_REUSED, NOT_STARTED],
  ])) {
    test(`${ErrorReason[reason]}, ${Effect[effect]} is a refusal at once`, async (t) => {
      // A retry_delay, as NEVER_SENT has one, does not make NOT_APPLIED less final.
      const retry =
        effect === APPLIED || reason === ErrorReason.INVALID_FIELD ? {} : { retryMs: 10 };
      const gateway = await serveScript(t, [
        answer(reason, effect, { purchaseId: "the-purchase", ...retry }),
      ]);
      const result = await register(createGigagate(gateway), request);

      assertKind(result, "refused");
      assert.equal(result.reason, ErrorReason[reason]);
      assert.equal(result.effect, Effect[effect]);
      assert.equal(result.message, "scripted");
      assert.equal(result.purchaseId, "the-purchase");
      assert.equal(outcomeOf(result.cause)?.reason, reason);
      const fields = result.fieldViolations.map(({ field }) => field);
      assert.deepEqual(fields, reason === ErrorReason.INVALID_FIELD ? ["metatag"] : []);
      assert.equal(gateway.attempts.length, 1);
      assert.equal(gateway.waits.length, 0);
    });
  }

  const nobody = answer(ErrorReason.UNAUTHENTICATED, INDETERMINATE);
  const forbidden = answer(ErrorReason.PERMISSION_DENIED, NOT_STARTED);

  for (const [name, refusal] of /** @type {[string, ConnectError][]} */ ([
    ["a wrong credential", nobody],
    ["a missing right", forbidden],
  ])) {
    test(`${name} is a refusal at once`, async (t) => {
      const gateway = await serveScript(t, [refusal]);
      const result = await register(createGigagate(gateway), request);
      assertKind(result, "refused");
      assert.equal(result.effect, Effect[outcomeOf(refusal)?.effect ?? 0]);
      assert.equal(gateway.attempts.length, 1);
    });

    test(`after a send without an Outcome, ${name} is not known yet, at once`, async (t) => {
      const gateway = await serveScript(t, [broken, refusal]);
      const result = await register(createGigagate(gateway), request);
      assertKind(result, "notKnownYet");
      assert.equal(outcomeOf(result.cause)?.reason, outcomeOf(refusal)?.reason);
      assert.equal(gateway.attempts.length, 2);
    });
  }

  test("after an open purchase, a wrong credential is not known yet, at once", async (t) => {
    const gateway = await serveScript(t, [unknown, nobody], [PurchaseState.SUCCEEDED]);
    const result = await register(createGigagate(gateway), request);
    assertKind(result, "notKnownYet");
    assert.equal(result.purchaseId, "the-purchase");
    assert.equal(gateway.attempts.length, 2);
  });

  test("APPLIED with a retry_delay is sent again until the sale is shown", async (t) => {
    const gateway = await serveScript(t, [
      answer(ErrorReason.OVERLOADED, APPLIED, { purchaseId: "the-purchase", retryMs: 10 }),
    ]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    assert.equal(gateway.attempts.length, 2);
    assert.equal(gateway.waits.length, 0);
  });

  test("APPLIED with a longer retry_delay than the time left is a refusal", async (t) => {
    const gateway = await serveScript(t, [
      answer(ErrorReason.OVERLOADED, APPLIED, { purchaseId: "the-purchase", retryMs: 200_000 }),
    ]);
    const result = await register(createGigagate(gateway), request);
    assertKind(result, "refused");
    assert.equal(result.effect, "APPLIED");
  });

  test("a reason that this version does not know is a number", async (t) => {
    const gateway = await serveScript(t, [
      answer(/** @type {ErrorReason} */ (/** @type {number} */ (999)), NOT_APPLIED),
    ]);
    const result = await register(createGigagate(gateway), request);
    assertKind(result, "refused");
    assert.equal(result.reason, "999");
  });

  test("NOT_STARTED with a retry_delay is sent again after it", async (t) => {
    const gateway = await serveScript(t, [
      answer(ErrorReason.OVERLOADED, NOT_STARTED, { retryMs: 400 }),
    ]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    const [first, second] = gateway.attempts;
    assert.ok(first && second && second.at - first.at >= 395);
  });

  test("every send has the time that is left, and is the same request", async (t) => {
    /** @type {import("./scripted-gateway.mjs").Answer[]} */
    const answers = [answer(ErrorReason.OVERLOADED, NOT_STARTED, { retryMs: 300 }), "success"];
    const gateway = await serveScript(t, answers);
    const order = { ...request };
    const buying = register(createGigagate(gateway), order, { timeoutMs: 20_000 });
    order.metatag = "changed after the call";
    order.requestId = "changed too";
    assertKind(await buying, "sold");

    const [first, second] = gateway.attempts;
    assert.ok(first && second);
    assert.ok(first.timeoutMs && first.timeoutMs > 15_000 && first.timeoutMs <= 20_000);
    assert.ok(second.timeoutMs && second.timeoutMs <= first.timeoutMs - 295);
    for (const { requestId, request: sent } of [first, second]) {
      assert.equal(requestId, "order-1");
      assert.equal(sent.metatag, "a text of yours");
    }
  });

  test("NOT_STARTED with a pause that does not fit is a refusal", async (t) => {
    const gateway = await serveScript(t, [overloaded, notNow]);
    const result = await register(createGigagate(gateway), request, { timeoutMs: 20_000 });
    assertKind(result, "refused");
    assert.equal(result.effect, "NOT_STARTED");
    assert.equal(gateway.attempts.length, 2);
  });

  test("after a send without an Outcome, NOT_STARTED is not known yet if the pause does not fit", async (t) => {
    const gateway = await serveScript(t, [broken, notNow]);
    const result = await register(createGigagate(gateway), request, { timeoutMs: 20_000 });
    assertKind(result, "notKnownYet");
    assert.equal(result.purchaseId, "");
    assert.equal(outcomeOf(result.cause)?.effect, NOT_STARTED);
    assert.equal(gateway.attempts.length, 2);
  });

  test("after a send without an Outcome, NOT_STARTED without a pause is asked again", async (t) => {
    const gateway = await serveScript(t, [broken, invalid]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    assert.equal(gateway.attempts.length, 3);
  });

  test("INDETERMINATE without a purchase id is sent again after its pause", async (t) => {
    const gateway = await serveScript(t, [unreadable]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    assert.equal(gateway.attempts.length, 2);
    assert.equal(gateway.waits.length, 0);
  });

  test("INDETERMINATE with a pause that does not fit is not known yet", async (t) => {
    const gateway = await serveScript(t, [
      answer(ErrorReason.JOURNAL_UNAVAILABLE, INDETERMINATE, { retryMs: 60_000 }),
    ]);
    const result = await register(createGigagate(gateway), request, { timeoutMs: 20_000 });
    assertKind(result, "notKnownYet");
    assert.equal(gateway.attempts.length, 1);
  });

  test("an effect that this version does not know is taken for INDETERMINATE", async (t) => {
    const later = /** @type {Effect} */ (/** @type {number} */ (99));
    const gateway = await serveScript(t, [answer(ErrorReason.OUTCOME_UNKNOWN, later)]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    assert.equal(gateway.attempts.length, 2);
  });

  test("a send of the call policy in doubt counts, although its error is not seen", async (t) => {
    const gateway = await serveScript(t, ["disconnect", invalid]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    assert.equal(gateway.attempts.length, 3);
  });

  test("a send of the call policy that started nothing is no doubt", async (t) => {
    const draining = answer(ErrorReason.DRAINING, NOT_STARTED, { code: Code.Unavailable });
    const gateway = await serveScript(t, [draining, invalid]);
    assertKind(await register(createGigagate(gateway), request), "refused");
    assert.equal(gateway.attempts.length, 2);
  });

  test("an unsettled purchase is waited for until it is settled, then asked for again", async (t) => {
    const waits = [PurchaseState.UNCERTAIN, PurchaseState.NEEDS_OPERATOR, PurchaseState.SUCCEEDED];
    const gateway = await serveScript(t, [unknown], waits);
    assertKind(await register(createGigagate(gateway), request), "sold");

    assert.equal(gateway.attempts.length, 2);
    assert.equal(gateway.waits.length, 3);
    for (const { id, waitMs, timeoutMs = 0 } of gateway.waits) {
      assert.equal(id, "the-purchase");
      assert.equal(waitMs, 60_000);
      assert.ok(timeoutMs > 80_000 && timeoutMs <= 100_000, `${timeoutMs} ms`);
    }
    // A gateway that stops answers early, so a wait is not repeated at once.
    const [first, second, third] = gateway.waits;
    assert.ok(first && second && third);
    assert.ok(second.at - first.at >= 995 && third.at - second.at >= 1_995);
  });

  test("an unsettled purchase that failed is a refusal", async (t) => {
    const refusal = answer(ErrorReason.PRESUMED_ABSENT, NOT_APPLIED);
    const gateway = await serveScript(t, [unknown, refusal], [PurchaseState.FAILED]);
    const result = await topUp(createGigagate(gateway), request);
    assertKind(result, "refused");
    assert.equal(result.reason, "PRESUMED_ABSENT");
    assert.equal(gateway.waits.length, 1);
  });

  test("a wait that fails says nothing about the purchase", async (t) => {
    const notFound = answer(ErrorReason.PURCHASE_NOT_FOUND, NOT_APPLIED);
    const gateway = await serveScript(t, [unknown], [notFound]);
    assertKind(await register(createGigagate(gateway), request), "sold");
    assert.equal(gateway.attempts.length, 2);
  });

  test("a gateway that contradicts itself is not asked without pause", async (t) => {
    const gateway = await serveScript(
      t,
      Array.from({ length: 99 }, () => unknown),
      Array.from({ length: 99 }, () => PurchaseState.SUCCEEDED),
    );
    const result = await register(createGigagate(gateway), request, { timeoutMs: 2_000 });
    assertKind(result, "notKnownYet");
    assert.ok(gateway.attempts.length <= 3);
    assert.ok(gateway.waits.length <= 1);
  });

  test("a retry_delay of 0 is not taken as it is", async (t) => {
    const eager = answer(ErrorReason.OVERLOADED, NOT_STARTED, { retryMs: 0 });
    const gateway = await serveScript(
      t,
      Array.from({ length: 99 }, () => eager),
    );
    await register(createGigagate(gateway), request, { timeoutMs: 1_000 });
    assert.ok(gateway.attempts.length <= 11, `${gateway.attempts.length} sends`);
  });

  test("a purchase that is not settled in time is not known yet", async (t) => {
    const waits = Array.from({ length: 9 }, () => PurchaseState.UNCERTAIN);
    const gateway = await serveScript(t, [unknown], waits);
    const result = await register(createGigagate(gateway), request, { timeoutMs: 4_000 });
    assertKind(result, "notKnownYet");
    assert.equal(result.purchaseId, "the-purchase");
    assert.equal(outcomeOf(result.cause)?.reason, ErrorReason.OUTCOME_UNKNOWN);
    const [first, second] = gateway.waits;
    assert.ok(first?.timeoutMs && first.timeoutMs <= 4_000);
    assert.ok(second?.timeoutMs && second.timeoutMs <= first.timeoutMs - 995);
    assert.ok(second.waitMs && second.waitMs <= first.timeoutMs - 995);
  });

  for (const code of [
    Code.Unavailable,
    Code.DeadlineExceeded,
    Code.Internal,
    Code.Unknown,
    Code.ResourceExhausted,
    Code.Aborted,
    Code.Canceled,
  ]) {
    test(`${Code[code]} without an Outcome is sent again`, async (t) => {
      const never = { "grpc-retry-pushback-ms": "-1" }; // to the call policy
      const gateway = await serveScript(t, [new ConnectError("a proxy's page", code, never)]);
      assertKind(await register(createGigagate(gateway), request), "sold");
      assert.equal(gateway.attempts.length, 2);
    });
  }

  for (const code of [
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.Unimplemented,
    Code.InvalidArgument,
    Code.NotFound,
    Code.FailedPrecondition,
  ]) {
    test(`${Code[code]} without an Outcome is not known yet`, async (t) => {
      const gateway = await serveScript(t, [new ConnectError("a proxy's page", code)]);
      const result = await register(createGigagate(gateway), request);
      assertKind(result, "notKnownYet");
      assert.equal(result.cause.code, code);
      assert.equal(gateway.attempts.length, 1);
    });
  }

  test("a gateway that does not answer in time is not known yet", async (t) => {
    const gateway = await serveScript(t, [() => {}]);
    const begun = performance.now();
    const result = await register(createGigagate(gateway), request, { timeoutMs: 500 });
    assertKind(result, "notKnownYet");
    assert.equal(result.cause.code, Code.DeadlineExceeded);
    assert.ok(performance.now() - begun < 5_000);
  });

  test("an abort during a send is not known yet, at once", async (t) => {
    const controller = new AbortController();
    const gateway = await serveScript(t, [() => controller.abort()]);
    const { signal } = controller;
    const result = await register(createGigagate(gateway), request, { signal });
    assertKind(result, "notKnownYet");
    assert.equal(result.cause.code, Code.Canceled);
    assert.equal(gateway.attempts.length, 1);
  });

  test("an abort before the first send sends nothing", async (t) => {
    const gateway = await serveScript(t, []);
    const signal = AbortSignal.abort(new Error("no longer wanted"));
    const result = await register(createGigagate(gateway), request, { signal });
    assertKind(result, "notKnownYet");
    assert.match(result.cause.message, /no longer wanted/);
    assert.equal(gateway.attempts.length, 0);
  });

  test("an abort ends a pause, and nothing is left behind", async (t) => {
    const controller = new AbortController();
    const { signal } = controller;
    const gateway = await serveScript(t, [notNow]);
    const gigagate = createGigagate({
      ...gateway,
      interceptors: [
        (next) => async (req) => {
          try {
            return await next(req);
          } finally {
            setImmediate(() => controller.abort()); // once the error has reached the helper
          }
        },
      ],
    });
    const begun = performance.now();
    const result = await register(gigagate, request, { signal, timeoutMs: 90_000 });
    assertKind(result, "refused"); // nothing was in doubt
    assert.ok(performance.now() - begun < 5_000);
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  test("the clients of a transport without the call policy do, too", async (t) => {
    const gateway = await serveScript(t, ["disconnect", unknown], [PurchaseState.SUCCEEDED]);
    const transport = createGrpcTransport(gateway);
    const clients = {
      activations: createClient(ActivationService, transport),
      purchases: createClient(PurchaseService, transport),
    };
    assertKind(await register(clients, request), "sold");
    assert.equal(gateway.attempts.length, 3);
  });

  test("headers go with every call, and onHeader sees the sale's", async (t) => {
    /** @type {string[]} */
    const authorizations = [];
    const gateway = await serveScript(t, [unknown], [PurchaseState.SUCCEEDED]);
    let seen = 0;
    const gigagate = createGigagate({
      ...gateway,
      interceptors: [
        (next) => (req) => {
          authorizations.push(req.header.get("authorization") ?? "");
          return next(req);
        },
      ],
    });
    const headers = { authorization: "Bearer scripted" };
    await register(gigagate, request, { headers, onHeader: () => seen++ });
    assert.deepEqual(authorizations, Array(3).fill("Bearer scripted"));
    assert.ok(seen >= 1);
  });
});
