import { ConnectError } from "@connectrpc/connect";
/**
 * Tells whether the connection broke under a call. gRPC says UNAVAILABLE then; Connect on Node.js
 * says CANCELED or ABORTED. It says INTERNAL if a stopping gateway refused the call unread, or if the
 * gateway ended the connection with an error, as it does after too many pings.
 */
export declare function isConnectionLoss(error: ConnectError, signal: AbortSignal | undefined): boolean;
/** Gives the error of a broken connection the code that it has in every other gRPC client. */
export declare function asUnavailable(error: ConnectError): ConnectError;
