import { Code, type Transport } from "@connectrpc/connect";
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
 * Gives every unary call of a transport a deadline, and repeats what ended UNAVAILABLE, as gRPC's
 * own clients do. A repetition is the same message, so its request id stays the same.
 *
 * It is no interceptor: each attempt has to tell the gateway the time that is left, which an
 * interceptor does not know.
 */
export declare function withCallPolicy(transport: Transport): Transport;
