// Buys a package as a service would: one order, one request id, and one of three ends.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { toJsonString } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  ActivationMode,
  apiKeyFile,
  createGigagate,
  RegisterResponseSchema,
  register,
} from "@gigagate/client";

const { values: options } = parseArgs({
  options: {
    // The package to buy.
    item: { type: "string", default: "6513270e-269e-4d37-b2a7-4de452e6b438" },
    // The retail price that the customer was shown, in US dollars.
    price: { type: "string", default: "9.99" },
    // The request id of an earlier run, to learn what became of it.
    "request-id": { type: "string", default: `order-${randomUUID()}` },
    // How long the customer is kept waiting, in seconds.
    patience: { type: "string", default: "90" },
  },
});

const {
  GIGAGATE_ADDRESS: address = "127.0.0.1:9090",
  GIGAGATE_TLS_CA: authority,
  GIGAGATE_API_KEY_FILE: keyFile = "",
} = process.env;
// TLS with an API key. A gateway on this machine may do without both.
const gigagate = authority
  ? createGigagate({
      baseUrl: `https://${address}`,
      nodeOptions: { ca: readFileSync(authority) },
      interceptors: [apiKeyFile(keyFile)],
    })
  : createGigagate({ baseUrl: `http://${address}` });

// A real service makes the request id once and stores it with the order before it buys. So it uses
// the same id again after a crash.
const requestId = options["request-id"];
console.log("request id", requestId);

const purchase = await register(
  gigagate,
  {
    requestId,
    inventoryItemId: options.item,
    metatag: `any text, for example ${requestId}`,
    userIp: "203.0.113.24",
    userCountry: "GR",
    expectedPrice: { currencyCode: "USD", amount: options.price },
    activationMode: ActivationMode.FIRST_USE,
  },
  { timeoutMs: 1000 * Number(options.patience) },
);

switch (purchase.kind) {
  case "sold": {
    const { activatedItem, customer } = purchase.response;
    console.log("sold", activatedItem?.uid, "to customer", customer?.uid);
    const deadline = activatedItem?.balance?.activationDeadline;
    if (deadline) {
      console.log("not started; starts by itself at", timestampDate(deadline).toISOString());
    }
    // JSON.stringify throws on an answer, because its 64-bit fields are bigint. Keep the file secret:
    // whoever has the activation code can install the eSIM.
    const json = toJsonString(RegisterResponseSchema, purchase.response);
    await appendFile("sales.jsonl", `${json}\n`, { mode: 0o600 });
    break;
  }
  case "refused":
    console.log(`refused: ${purchase.reason}, ${purchase.effect}: ${purchase.message}`);
    for (const { field, description } of purchase.fieldViolations) {
      console.log(`${field}: ${description}`);
    }
    console.log(whatNow(purchase));
    process.exitCode = 1;
    break;
  case "notKnownYet":
    // It may have been bought. A real service asks again in the background, with the same request id.
    console.log(
      purchase.purchaseId
        ? `not known yet whether purchase ${purchase.purchaseId} was made`
        : "not known yet whether it was bought",
    );
    console.log("ask again later with --request-id", requestId);
    process.exitCode = 1;
    break;
}

/**
 * Says what to do after a refusal.
 * @param {import("@gigagate/client").Refused} refused
 */
function whatNow({ reason, effect, purchaseId }) {
  if (reason === "REQUEST_ID_REUSED") {
    return "the request id stands for another order: this one was not bought";
  }
  if (reason === "UNAUTHENTICATED") {
    return "the credential is wrong: correct it, and ask again with the same request id";
  }
  switch (effect) {
    case "NOT_APPLIED":
      return "nothing was bought: a new request id buys anew";
    case "NOT_STARTED":
      return "nothing was started: correct the order or repeat it, with the same request id";
    default:
      return `it was sold, as purchase ${purchaseId}`;
  }
}
