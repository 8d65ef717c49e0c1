import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Tells whether the connection broke under a call. gRPC says UNAVAILABLE then; Connect on Node.js
 * says CANCELED or ABORTED. It says INTERNAL if a stopping gateway refused the call unread, or if the
 * gateway ended the connection with an error, as it does after too many pings.
 */
export function isConnectionLoss(error: ConnectError, signal: AbortSignal | undefined): boolean {
  if (error.metadata.has("grpc-status") || signal?.aborted) {
    return false; // an answer of the gateway, or the caller's own abort
  }
  switch (error.code) {
    case Code.Canceled:
    case Code.Aborted:
      return true;
    case Code.Internal:
      return (
        error.rawMessage.includes("NGHTTP2_REFUSED_STREAM") ||
        error.rawMessage.startsWith("Session closed with error code")
      );
    default:
      return false;
  }
}

/** Gives the error of a broken connection the code that it has in every other gRPC client. */
export function asUnavailable(error: ConnectError): ConnectError {
  return new ConnectError(
    `connection lost: ${error.rawMessage}`,
    Code.Unavailable,
    undefined,
    undefined,
    error,
  );
}
