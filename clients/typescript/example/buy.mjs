// Buys a package as a service would: one intent, one request id, and an error read by what it did
// and not by its code.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  ActivationMode,
  createGigagate,
  Effect,
  ErrorReason,
  outcomeOf,
  PurchaseState,
} from "@gigagate/client";

const { values: options } = parseArgs({
  options: {
    // The retail price that the customer was shown, in US dollars.
    price: { type: "string", default: "9.99" },
    // How long the customer is kept waiting, in seconds.
    patience: { type: "string", default: "90" },
  },
});

const gigagate = createGigagate({
  baseUrl: `http://${process.env.GIGAGATE_ADDRESS ?? "127.0.0.1:9090"}`,
});

// The id of the intent. A real service makes it once and stores it with the order before the first
// send, so that every later send bears the same id, also after a crash.
const requestId = `order-${randomUUID()}`;
console.log("request id", requestId);

const request = {
  requestId,
  inventoryItemId: "6513270e-269e-4d37-b2a7-4de452e6b438",
  metatag: `a text of yours, for instance ${requestId}`,
  userIp: "203.0.113.24",
  userCountry: "GR",
  expectedPrice: { currencyCode: "USD", amount: options.price },
  activationMode: ActivationMode.FIRST_USE,
};

try {
  const { activatedItem, customer } = await buy();
  console.log("sold", activatedItem?.uid, "to customer", customer?.uid);
  const deadline = activatedItem?.balance?.activationDeadline;
  if (deadline) {
    console.log("not started; starts by itself at", timestampDate(deadline).toISOString());
  }
} catch (error) {
  console.log(String(error));
  console.log(whatNow(outcomeOf(error)));
  process.exitCode = 1;
}

/**
 * Waits once more for a purchase that is not settled when the customer's patience is over. A real
 * service does that in the background, with the request id it has stored.
 */
async function buy() {
  try {
    return await gigagate.activations.register(request, {
      timeoutMs: 1000 * Number(options.patience),
    });
  } catch (error) {
    const outcome = outcomeOf(error);
    if (outcome?.reason !== ErrorReason.OUTCOME_UNKNOWN || outcome.purchaseId === "") {
      throw error;
    }
    console.log("not settled yet, waiting for purchase", outcome.purchaseId);
    const state = await settled(outcome.purchaseId);
    if (state === undefined) {
      throw error; // what is known of the purchase is still what the first error told
    }
    console.log("now it is", PurchaseState[state]);
  }
  // The same request id buys nothing more: it tells what became of the purchase.
  return gigagate.activations.register(request);
}

/**
 * Waits up to a minute; undefined where the wait itself failed.
 * @param {string} id
 */
async function settled(id) {
  try {
    const { purchase } = await gigagate.purchases.waitPurchase({
      id,
      timeout: durationFromMs(60_000),
    });
    return purchase?.state;
  } catch {
    return undefined;
  }
}

/**
 * Says what to do after an error.
 * @param {import("@gigagate/client").Outcome | undefined} outcome
 */
function whatNow(outcome) {
  if (outcome?.reason === ErrorReason.REQUEST_ID_REUSED) {
    // The effect is that of the other order.
    return "the request id stands for another order: this one was not bought";
  }
  switch (outcome?.effect) {
    case Effect.NOT_STARTED:
      return (
        "this send started nothing, an earlier one may have bought: " +
        "mend the request or repeat it, with the same request id"
      );
    case Effect.NOT_APPLIED:
      return `nothing was bought: ${ErrorReason[outcome.reason] ?? `reason ${outcome.reason}`}`;
    case Effect.APPLIED:
      return `it was bought, as purchase ${outcome.purchaseId}`;
    default:
      // INDETERMINATE, and every error without an Outcome: a broken connection, a proxy's page.
      return "it may have been bought: keep the request id, and do not buy under a new one";
  }
}
