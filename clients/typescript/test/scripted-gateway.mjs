import { once } from "node:events";
import { createServer } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ActivationService } from "@gigagate/client";

/**
 * One answer to Register: an error, a sale, a connection that breaks before the answer, one that is
 * ended as after too many pings, a stream refused before it is read, as a stopping server does, or
 * none at all after a call of the function.
 * @typedef {"success" | "disconnect" | "enhance your calm" | "refuse the stream"} AnswerWord
 * @typedef {import("@connectrpc/connect").ConnectError | AnswerWord | (() => void)} Answer
 */

/**
 * Serves gRPC until the test ends: the answers in turn, then sales.
 * @param {import("node:test").TestContext} t
 * @param {Answer[]} answers
 */
export async function serveScript(t, answers) {
  const gateway = {
    baseUrl: "",
    /** @type {{ requestId: string, timeoutMs: number | undefined, at: number }[]} */
    attempts: [],
    refusedStreams: 0,
    stop,
  };
  /** @type {Set<import("node:http2").ServerHttp2Session>} */
  const sessions = new Set();
  const handle = connectNodeAdapter({
    routes: ({ rpc }) =>
      rpc(ActivationService.method.register, async ({ requestId }, context) => {
        gateway.attempts.push({
          requestId,
          timeoutMs: context.timeoutMs(),
          at: performance.now(),
        });
        const answer = answers.shift() ?? "success";
        if (typeof answer === "function") {
          answer();
          await once(context.signal, "abort");
          return {};
        }
        if (answer === "disconnect") {
          destroySessions();
        } else if (answer === "enhance your calm") {
          for (const session of sessions) {
            session.goaway(11); // ENHANCE_YOUR_CALM
          }
          await once(context.signal, "abort");
        } else if (answer !== "success") {
          throw answer;
        }
        return {};
      }),
  });
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
