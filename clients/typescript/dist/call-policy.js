import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { asUnavailable, isConnectionLoss } from "./connection-loss.js";
import { outcomeOf } from "./outcome.js";
/**
 * The contract's gRPC service config (proto/gigagate/v1/service_config.json), which Connect cannot
 * read. A test keeps the numbers equal.
 */
export const callPolicy = {
    timeoutMs: 100_000,
    maxAttempts: 5,
    initialBackoffMs: 200,
    maxBackoffMs: 5_000,
    backoffMultiplier: 2,
    retryableCodes: [Code.Unavailable],
};
const errorsAfterSendInDoubt = new WeakSet();
/**
 * Tells whether a call that ended with this error was repeated, and an earlier send of it ended
 * without an Outcome.
 */
export function hasEarlierSendInDoubt(error) {
    return errorsAfterSendInDoubt.has(error);
}
/**
 * Gives every unary call of a transport a deadline, and repeats a call that ended UNAVAILABLE, as
 * gRPC's own clients do. A repetition is the same message, so its request id stays the same.
 *
 * It is not an interceptor, because each attempt tells the gateway how much time is left. An
 * interceptor does not know that.
 */
export function withCallPolicy(transport) {
    return {
        stream: transport.stream.bind(transport),
        async unary(method, signal, timeoutMs, header, input, contextValues) {
            const deadline = performance.now() + boundedTimeout(timeoutMs);
            let backoff = callPolicy.initialBackoffMs;
            let inDoubt = false;
            for (let attempt = 1;; attempt++) {
                const left = Math.max(1, Math.ceil(deadline - performance.now()));
                try {
                    return await transport.unary(method, signal, left, header, input, contextValues);
                }
                catch (reason) {
                    const told = ConnectError.from(reason);
                    const error = isConnectionLoss(told, signal) ? asUnavailable(told) : told;
                    const pause = pauseAfter(error, backoff);
                    const isLast = attempt === callPolicy.maxAttempts;
                    // A pause past the deadline would lose the Outcome in this error.
                    if (isLast || pause === undefined || performance.now() + pause >= deadline) {
                        if (inDoubt) {
                            errorsAfterSendInDoubt.add(error);
                        }
                        throw error;
                    }
                    inDoubt ||= outcomeOf(error) === undefined;
                    await sleepUnlessAborted(pause, signal);
                    backoff = Math.min(backoff * callPolicy.backoffMultiplier, callPolicy.maxBackoffMs);
                }
            }
        },
    };
}
/** As a service config bounds it. For Connect, 0 or less means no timeout. */
function boundedTimeout(timeoutMs) {
    return timeoutMs !== undefined && timeoutMs > 0
        ? Math.min(timeoutMs, callPolicy.timeoutMs)
        : callPolicy.timeoutMs;
}
/** Milliseconds until the next attempt, or undefined if there shall be none. */
function pauseAfter(error, backoff) {
    if (!callPolicy.retryableCodes.includes(error.code)) {
        return undefined;
    }
    // The gateway says how long to wait, or -1 for never. All gRPC clients follow it.
    const pushback = error.metadata.get("grpc-retry-pushback-ms");
    if (pushback !== null) {
        return /^\d+$/.test(pushback) ? Number(pushback) : undefined;
    }
    // A fifth more or less, so that callers who failed together do not come back together.
    return backoff * (0.8 + 0.4 * Math.random());
}
async function sleepUnlessAborted(milliseconds, signal) {
    try {
        await sleep(milliseconds, undefined, signal && { signal });
    }
    catch {
        throw ConnectError.from(signal?.reason, Code.Canceled);
    }
}
