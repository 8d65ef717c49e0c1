import { once } from "node:events";
import { createServer } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ActivationService, PurchaseService } from "@gigagate/client";

/**
 * One answer to Register or TopUp: an error, a sale, a connection that breaks before the answer, one
 * that is ended as after too many pings, a stream refused before it is read, as a stopping server
 * does, or none at all after a call of the function.
 * @typedef {"success" | "disconnect" | "enhance your calm" | "refuse the stream"} AnswerWord
 * @typedef {import("@connectrpc/connect").ConnectError} ConnectError
 * @typedef {ConnectError | AnswerWord | (() => void)} Answer
 * @typedef {import("@gigagate/client").PurchaseState} PurchaseState
 * @typedef {import("@gigagate/client").RegisterRequest} RegisterRequest
 * @typedef {import("@gigagate/client").TopUpRequest} TopUpRequest
 */

/** The purchase id of every scripted sale. */
export const soldPurchaseId = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/**
 * Serves gRPC until the test ends. Paid calls get the answers in turn, then sales. WaitPurchase gets
 * an error, or a purchase in a state, at once and in turn.
 * @param {import("node:test").TestContext} t
 * @param {Answer[]} answers
 * @param {(ConnectError | PurchaseState)[]} waits
 */
export async function serveScript(t, answers, waits = []) {
  const gateway = {
    baseUrl: "",
    /** @type {{ call: string, request: RegisterRequest | TopUpRequest, requestId: string, timeoutMs: number | undefined, at: number }[]} */
    attempts: [],
    /** @type {{ id: string, waitMs: number | undefined, timeoutMs: number | undefined, at: number }[]} */
    waits: [],
    refusedStreams: 0,
    stop,
  };
  /** @type {Set<import("node:http2").ServerHttp2Session>} */
  const sessions = new Set();
  const handle = connectNodeAdapter({
    routes: ({ rpc }) => {
      rpc(ActivationService.method.register, (request, context) =>
        sell("register", request, context),
      );
      rpc(ActivationService.method.topUp, (request, context) => sell("topUp", request, context));
      rpc(PurchaseService.method.waitPurchase, ({ id, timeout }, context) => {
        gateway.waits.push({
          id,
          waitMs: timeout && durationMs(timeout),
          timeoutMs: context.timeoutMs(),
          at: performance.now(),
        });
        const answer = waits.shift();
        if (typeof answer !== "number") {
          throw answer ?? new Error("the script has no answer to WaitPurchase left");
        }
        return { purchase: { id, state: answer } };
      });
    },
  });

  /**
   * @param {string} call
   * @param {RegisterRequest | TopUpRequest} request
   * @param {import("@connectrpc/connect").HandlerContext} context
   */
  async function sell(call, request, context) {
    const { requestId } = request;
    const at = performance.now();
    gateway.attempts.push({ call, request, requestId, timeoutMs: context.timeoutMs(), at });
    const answer = answers.shift() ?? "success";
    if (typeof answer === "function") {
      answer();
      await once(context.signal, "abort");
    } else if (answer === "disconnect") {
      destroySessions();
    } else if (answer === "enhance your calm") {
      for (const session of sessions) {
        session.goaway(11); // ENHANCE_YOUR_CALM
      }
      await once(context.signal, "abort");
    } else if (answer !== "success") {
      throw answer;
    }
    return { purchaseId: soldPurchaseId };
  }

  const server = createServer();
  server.on("session", (session) => sessions.add(session));
  server.on("request", (request, response) => {
    if (answers[0] === "refuse the stream") {
      answers.shift();
      gateway.refusedStreams++;
      response.stream.close(7); // REFUSED_STREAM
      return;
    }
    handle(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  gateway.baseUrl = `http://127.0.0.1:${port}`;
  t.after(stop);
  return gateway;

  function destroySessions() {
    for (const session of sessions) {
      session.destroy();
    }
    sessions.clear();
  }

  async function stop() {
    if (server.listening) {
      server.close();
      destroySessions();
      await once(server, "close");
    }
  }
}
