import { Code, ConnectError, type Transport } from "@connectrpc/connect";
/**
 * The contract's gRPC service config (proto/gigagate/v1/service_config.json), which Connect cannot
 * read. A test keeps the numbers equal.
 */
export declare const callPolicy: {
    readonly timeoutMs: 100000;
    readonly maxAttempts: 5;
    readonly initialBackoffMs: 200;
    readonly maxBackoffMs: 5000;
    readonly backoffMultiplier: 2;
    readonly retryableCodes: readonly Code[];
};
/**
 * Tells whether a call that ended with this error was repeated, and an earlier send of it ended
 * without an Outcome.
 */
export declare function hasEarlierSendInDoubt(error: ConnectError): boolean;
/**
 * Gives every unary call of a transport a deadline, and repeats a call that ended UNAVAILABLE, as
 * gRPC's own clients do. A repetition is the same message, so its request id stays the same.
 *
 * It is not an interceptor, because each attempt tells the gateway how much time is left. An
 * interceptor does not know that.
 */
export declare function withCallPolicy(transport: Transport): Transport;
