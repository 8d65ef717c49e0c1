// The scenario client: makes the calls that internal/scenarios asks for on stdin, one JSON object a line,
// and answers each on stdout. It repeats nothing, so it uses a transport without the call policy. Only
// a call with `helper` goes through the purchase helper and the package's own connection.
// The only argument is the gateway's gRPC address.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fromJson, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  apiKeyFile,
  ActivationService,
  AuditService,
  BudgetService,
  CustomerService,
  createGigagate,
  FieldViolationSchema,
  FreezeService,
  InventoryService,
  OutcomeSchema,
  outcomeOf,
  PurchaseService,
  RegisterRequestSchema,
  register,
  TopUpRequestSchema,
  topUp,
} from "@gigagate/client";

const transport = createGrpcTransport(options());
const gigagate = createGigagate(options());
const services = [
  ActivationService,
  AuditService,
  BudgetService,
  CustomerService,
  FreezeService,
  InventoryService,
  PurchaseService,
];

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const told = await (asked.helper ? helpersAnswer(asked) : answer(asked));
  process.stdout.write(`${JSON.stringify(told)}\n`);
}

/** The address, TLS and the credential that the environment names. */
function options() {
  const {
    GIGAGATE_TLS_CA: ca,
    GIGAGATE_CLIENT_TLS_CERT: cert,
    GIGAGATE_CLIENT_TLS_KEY: key,
    GIGAGATE_API_KEY_FILE: keyFile,
  } = process.env;
  const address = process.argv[2];
  if (!ca) {
    return { baseUrl: `http://${address}` };
  }
  return {
    baseUrl: `https://${address}`,
    nodeOptions: {
      ca: readFileSync(ca),
      ...(cert && key ? { cert: readFileSync(cert), key: readFileSync(key) } : {}),
    },
    interceptors: keyFile ? [apiKeyFile(keyFile)] : [],
  };
}

/**
 * @typedef {import("@bufbuild/protobuf").JsonValue} JsonValue
 * @typedef {import("@connectrpc/connect").CallOptions} CallOptions
 * @typedef {import("@bufbuild/protobuf").Message} Message
 * @typedef {(request: Message, options: CallOptions) => Promise<Message>} UnaryCall
 * @typedef {{ method: string, request: JsonValue, deadlineMs?: number }} Asked
 */

/**
 * @param {Asked} asked
 */
async function helpersAnswer(asked) {
  const { method } = find(asked.method);
  const result = await (method.localName === "topUp"
    ? topUp(gigagate, fromJson(TopUpRequestSchema, asked.request), timeOf(asked))
    : register(gigagate, fromJson(RegisterRequestSchema, asked.request), timeOf(asked)));
  switch (result.kind) {
    case "sold":
      return { response: toJson(method.output, result.response) };
    case "refused": {
      const { reason, effect, message, purchaseId } = result;
      const fieldViolations = result.fieldViolations.map((violation) =>
        toJson(FieldViolationSchema, violation),
      );
      return { refused: { reason, effect, message, purchaseId, fieldViolations } };
    }
    case "notKnownYet":
      return { notKnownYet: { purchaseId: result.purchaseId } };
  }
}

/**
 * @param {Asked} asked
 */
function timeOf({ deadlineMs }) {
  return deadlineMs === undefined ? {} : { timeoutMs: deadlineMs };
}

/**
 * @param {Asked} asked
 */
async function answer(asked) {
  const { method, call } = find(asked.method);
  let replayed = false;
  try {
    const response = await call(fromJson(method.input, asked.request), {
      ...timeOf(asked),
      onHeader: (header) => {
        replayed = header.get("gigagate-replayed") === "true";
      },
    });
    return { response: toJson(method.output, response), replayed };
  } catch (reason) {
    const error = ConnectError.from(reason);
    const outcome = outcomeOf(error);
    return {
      error: {
        code: canonicalName(error.code),
        message: error.rawMessage,
        outcome: outcome ? toJson(OutcomeSchema, outcome) : null,
      },
    };
  }
}

/**
 * @param {string} path such as gigagate.v1.ActivationService/Register
 */
function find(path) {
  for (const service of services) {
    const method = service.methods.find(({ name }) => path === `${service.typeName}/${name}`);
    if (method) {
      const client = /** @type {Record<string, UnaryCall>} */ (createClient(service, transport));
      return { method, call: /** @type {UnaryCall} */ (client[method.localName]) };
    }
  }
  throw new Error(`the contract has no ${path}`);
}

/**
 * @param {Code} code
 */
function canonicalName(code) {
  // Connect spells it with one L, gRPC with two.
  return code === Code.Canceled
    ? "CANCELLED"
    : Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
