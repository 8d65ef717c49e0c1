import { readFile } from "node:fs/promises";
import { Code, ConnectError } from "@connectrpc/connect";
/**
 * Sends an API key with every call: `createGigagate({ baseUrl: "https://…", interceptors: [apiKey(key)] })`.
 * Over a connection without TLS, a call fails and nothing is sent.
 */
export function apiKey(key) {
    return sendKey(async () => key);
}
/**
 * Sends the API key in a file, as apiKey does. The file is read at every send, so a new key needs no
 * restart. Replace the file in one step (mv).
 */
export function apiKeyFile(path) {
    return sendKey(async () => (await readFile(path, "utf8")).trim());
}
function sendKey(read) {
    return (next) => async (request) => {
        if (new URL(request.url).protocol !== "https:") {
            throw unusable("an API key is sent only over TLS: baseUrl must start with https:");
        }
        let key;
        try {
            key = await read();
        }
        catch (cause) {
            throw unusable("the file with the API key cannot be read", cause);
        }
        if (!/^[!-~]+$/.test(key)) {
            throw unusable("the API key is empty, or has characters that no key has");
        }
        request.header.set("authorization", `Bearer ${key}`);
        return next(request);
    };
}
function unusable(message, cause) {
    return new ConnectError(message, Code.Unauthenticated, undefined, undefined, cause);
}
