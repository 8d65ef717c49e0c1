// API keys. The scenarios use one over TLS, against a gateway.

import assert from "node:assert/strict";
import { unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { apiKey, apiKeyFile, createGigagate } from "@gigagate/client";
import { temporaryFolder } from "./gateway.mjs";
import { serveScript } from "./scripted-gateway.mjs";

/**
 * Calls an interceptor and returns the header that it sends.
 * @param {import("@connectrpc/connect").Interceptor} interceptor
 */
async function headerOf(interceptor) {
  const request = { url: "https://127.0.0.1:9090/gigagate.v1.X/Y", header: new Headers() };
  const send = interceptor(/** @type {any} */ (async () => undefined));
  await send(/** @type {any} */ (request));
  return request.header.get("authorization");
}

test("the file is read again", async (t) => {
  const path = join(await temporaryFolder(t), "shop.key");
  const interceptor = apiKeyFile(path);
  for (const key of ["gg_first", "gg_second"]) {
    await writeFile(path, `${key}\n`);
    assert.equal(await headerOf(interceptor), `Bearer ${key}`);
  }
  await unlink(path);
  await assert.rejects(headerOf(interceptor), /cannot be read/);
});

test("a key is not sent without TLS", async (t) => {
  const gateway = await serveScript(t, []);
  const { activations } = createGigagate({ ...gateway, interceptors: [apiKey("gg_secret")] });
  await assert.rejects(activations.register({ requestId: "order-1" }), /only over TLS/);
  assert.equal(gateway.attempts.length, 0);
});

test("a key is not told", async () => {
  assert.doesNotMatch(inspect(apiKey("gg_secret"), { depth: null, showHidden: true }), /secret/);
  for (const broken of ["", "gg_secret\n", "gg_ secret", "gg_secreté"]) {
    await assert.rejects(headerOf(apiKey(broken)), (error) => {
      assert.doesNotMatch(inspect(error), /secret/);
      return true;
    });
  }
});
