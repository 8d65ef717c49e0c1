import { ConnectError } from "@connectrpc/connect";
/**
 * Tells whether the connection broke under a call. gRPC says UNAVAILABLE then; Connect on Node.js
 * says CANCELED or ABORTED, and INTERNAL of a call that a stopping gateway refused unread, or whose
 * connection the gateway ended with an error, as it does after too many pings.
 */
export declare function isConnectionLoss(error: ConnectError, signal: AbortSignal | undefined): boolean;
/** Gives a broken connection the code it has in every other gRPC client. */
export declare function asUnavailable(error: ConnectError): ConnectError;
