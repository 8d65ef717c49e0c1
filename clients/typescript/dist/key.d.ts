import { type Interceptor } from "@connectrpc/connect";
/**
 * Sends an API key with every call: `createGigagate({ baseUrl: "https://…", interceptors: [apiKey(key)] })`.
 * Over a connection without TLS, a call fails and nothing is sent.
 */
export declare function apiKey(key: string): Interceptor;
/**
 * Sends the API key in a file, as apiKey does. The file is read at every send, so a new key needs no
 * restart. Replace the file in one step (mv).
 */
export declare function apiKeyFile(path: string): Interceptor;
