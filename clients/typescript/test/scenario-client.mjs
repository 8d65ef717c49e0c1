// The scenario client: makes the calls that internal/scenarios asks for on stdin, one JSON object a line,
// and answers each on stdout. It repeats nothing, so it uses a transport without the call policy.
// The only argument is the address of the gateway's gRPC door.

import { createInterface } from "node:readline";
import { fromJson, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  ActivationService,
  CustomerService,
  InventoryService,
  OutcomeSchema,
  outcomeOf,
  PurchaseService,
} from "@gigagate/client";

const transport = createGrpcTransport({ baseUrl: `http://${process.argv[2]}` });
const services = [ActivationService, CustomerService, InventoryService, PurchaseService];

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}

/**
 * @typedef {import("@bufbuild/protobuf").JsonValue} JsonValue
 * @typedef {import("@connectrpc/connect").CallOptions} CallOptions
 * @typedef {import("@bufbuild/protobuf").Message} Message
 * @typedef {(request: Message, options: CallOptions) => Promise<Message>} UnaryCall
 */

/**
 * @param {{ method: string, request: JsonValue, deadlineMs?: number }} asked
 */
async function answer({ method: path, request, deadlineMs }) {
  const { method, call } = find(path);
  let replayed = false;
  try {
    const response = await call(fromJson(method.input, request), {
      ...(deadlineMs === undefined ? {} : { timeoutMs: deadlineMs }),
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
