import { setTimeout as sleep } from "node:timers/promises";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type CallOptions, type Client, Code, ConnectError } from "@connectrpc/connect";
import {
  type ActivationService,
  RegisterRequestSchema,
  type RegisterResponse,
  TopUpRequestSchema,
  type TopUpResponse,
} from "../stubs/gigagate/v1/activation_service_pb.js";
import {
  Effect,
  ErrorReason,
  type FieldViolation,
  type Outcome,
} from "../stubs/gigagate/v1/outcome_pb.js";
import { type PurchaseService, PurchaseState } from "../stubs/gigagate/v1/purchase_service_pb.js";
import { callPolicy, hasEarlierSendInDoubt } from "./call-policy.js";
import { outcomeOf } from "./outcome.js";

/** The clients that a purchase needs. They can come from createGigagate or use any other transport. */
export interface PurchaseClients {
  readonly activations: Client<typeof ActivationService>;
  readonly purchases: Client<typeof PurchaseService>;
}

/** A paid request. Its request id is made by the caller, and stored before the first send. */
export type PaidRequest<Schema extends DescMessage> = MessageInitShape<Schema> & {
  requestId: string;
};

/** How register and topUp end. */
export type PurchaseResult<Response> = Sold<Response> | Refused | NotKnownYet;

/** The package is sold. */
export interface Sold<Response> {
  readonly kind: "sold";
  readonly response: Response;
}

/** It is known what became of the request id, and there is no sale to show. */
export interface Refused {
  readonly kind: "refused";
  /** The name of the ErrorReason, or the number of one that this version does not know. */
  readonly reason: keyof typeof ErrorReason | `${number}`;
  /**
   * The name of the Effect. After NOT_APPLIED a new request id buys anew; in every other case keep
   * the same id. For REQUEST_ID_REUSED it is the effect of the other order. After UNAUTHENTICATED it
   * is INDETERMINATE: this purchase did nothing, but an earlier one with the request id may have.
   */
  readonly effect: keyof typeof Effect;
  readonly message: string;
  /** Empty if there is no purchase. */
  readonly purchaseId: string;
  readonly fieldViolations: FieldViolation[];
  readonly cause: ConnectError;
}

/**
 * The time is over and credit may have been spent. Keep the request id and ask again later: call
 * the same function with the same request.
 */
export interface NotKnownYet {
  readonly kind: "notKnownYet";
  /** Empty if it is not known. */
  readonly purchaseId: string;
  /** The error of the last send. */
  readonly cause: ConnectError;
}

/**
 * Sells a first package: it buys, waits while the purchase is not settled, and asks again with the
 * same request id. The options are those of a call, but timeoutMs limits the whole purchase (100 s by
 * default), and signal ends it. No work is left behind when it returns.
 *
 * It throws only before anything is sent: for a request without a request id, a request that cannot
 * be encoded, or a timeoutMs that is not a time.
 */
export async function register(
  gigagate: PurchaseClients,
  request: PaidRequest<typeof RegisterRequestSchema>,
  options: CallOptions = {},
): Promise<PurchaseResult<RegisterResponse>> {
  const message = copyOf(RegisterRequestSchema, request);
  return new PurchaseLoop(gigagate, message.requestId, options).buy((call) =>
    gigagate.activations.register(message, call),
  );
}

/** Sells a further package to a customer, in the same way as register. */
export async function topUp(
  gigagate: PurchaseClients,
  request: PaidRequest<typeof TopUpRequestSchema>,
  options: CallOptions = {},
): Promise<PurchaseResult<TopUpResponse>> {
  const message = copyOf(TopUpRequestSchema, request);
  return new PurchaseLoop(gigagate, message.requestId, options).buy((call) =>
    gigagate.activations.topUp(message, call),
  );
}

/** Copies a request, so that every send is the same even if the caller changes the original. */
function copyOf<Schema extends DescMessage>(
  schema: Schema,
  request: MessageInitShape<Schema>,
): MessageShape<Schema> {
  return fromBinary(schema, toBinary(schema, create(schema, request)));
}

/** The largest delay of a timer of Node.js. */
const longestTimeoutMs = 2 ** 31 - 1;
/** The longest wait that WaitPurchase allows. */
const longestWaitMs = 60_000;
const shortestPauseMs = 100;
const longestBackoffMs = 10_000;

/**
 * The codes of errors without an Outcome that may be gone at the next send. Canceled is one of them,
 * because a transport without the call policy gives it to a broken connection.
 */
const passingCodes: readonly Code[] = [
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Internal,
  Code.Unknown,
  Code.ResourceExhausted,
  Code.Aborted,
  Code.Canceled,
];

/** One run of register or topUp. */
class PurchaseLoop {
  readonly #purchases: Client<typeof PurchaseService>;
  readonly #options: CallOptions;
  readonly #deadline: number;
  #backoffMs = 1_000;
  #purchaseId = "";
  /**
   * A send ended without an Outcome. It may still be on its way to the gateway, so NOT_STARTED of a
   * later send does not take the doubt away.
   */
  #inDoubt = false;
  /** WaitPurchase has said that the purchase is settled. */
  #isSettled = false;

  constructor(gigagate: PurchaseClients, requestId: string, options: CallOptions) {
    const { timeoutMs = callPolicy.timeoutMs } = options;
    if (requestId === "") {
      throw new TypeError("requestId is empty: make an id and store it before you buy");
    }
    if (!(timeoutMs > 0 && timeoutMs <= longestTimeoutMs)) {
      throw new RangeError(`timeoutMs is ${timeoutMs}: use 1 to ${longestTimeoutMs}`);
    }
    this.#purchases = gigagate.purchases;
    this.#options = options;
    this.#deadline = performance.now() + timeoutMs;
  }

  async buy<Response>(
    send: (call: CallOptions) => Promise<Response>,
  ): Promise<PurchaseResult<Response>> {
    for (;;) {
      let error: ConnectError;
      try {
        const response = await send({ ...this.#options, timeoutMs: this.#callTimeoutMs() });
        return { kind: "sold", response };
      } catch (reason) {
        error = ConnectError.from(reason);
      }
      const outcome = outcomeOf(error);
      if (outcome && isFinal(outcome)) {
        return refused(error, outcome);
      }
      this.#inDoubt ||= !outcome || hasEarlierSendInDoubt(error);
      this.#purchaseId = outcome?.purchaseId || this.#purchaseId;
      if (outcome && needsOtherCredential(outcome)) {
        // An earlier send may have bought, and the gateway does not say.
        return this.#inDoubt || this.#purchaseId !== ""
          ? { kind: "notKnownYet", purchaseId: this.#purchaseId, cause: error }
          : refused(error, outcome);
      }
      if (!(await this.#mayAskAgain(error, outcome))) {
        const isKnown =
          outcome?.effect === Effect.APPLIED ||
          (outcome?.effect === Effect.NOT_STARTED && !this.#inDoubt);
        return outcome && isKnown
          ? refused(error, outcome)
          : { kind: "notKnownYet", purchaseId: this.#purchaseId, cause: error };
      }
    }
  }

  /** Waits before the next send. It returns false if there shall be none. */
  async #mayAskAgain(error: ConnectError, outcome: Outcome | undefined): Promise<boolean> {
    if (!outcome) {
      return passingCodes.includes(error.code) && this.#pause(this.#nextBackoffMs());
    }
    const { effect, purchaseId, retryDelay } = outcome;
    if (effect === Effect.NOT_STARTED && !retryDelay && !this.#inDoubt) {
      return false;
    }
    const isOpen = effect !== Effect.NOT_STARTED && effect !== Effect.APPLIED;
    if (isOpen && purchaseId !== "" && !this.#isSettled) {
      return this.#waitForPurchase(purchaseId);
    }
    return this.#pause(retryDelay ? durationMs(retryDelay) : this.#nextBackoffMs());
  }

  /** Waits until a purchase is settled or the wait fails. It returns false if the time is over. */
  async #waitForPurchase(id: string): Promise<boolean> {
    const { onHeader: _, onTrailer: __, ...call } = this.#options;
    for (let failed = false; !failed;) {
      const timeoutMs = this.#callTimeoutMs();
      const timeout = durationFromMs(Math.min(timeoutMs, longestWaitMs));
      try {
        const { purchase } = await this.#purchases.waitPurchase(
          { id, timeout },
          { ...call, timeoutMs },
        );
        if (
          purchase?.state === PurchaseState.SUCCEEDED ||
          purchase?.state === PurchaseState.FAILED
        ) {
          this.#isSettled = true;
          return true;
        }
      } catch {
        failed = true; // this says nothing about the purchase: the next send asks
      }
      if (!(await this.#pause(this.#nextBackoffMs()))) {
        return false;
      }
    }
    return true;
  }

  /** It returns false, at once, if the pause does not fit into the time or is aborted. */
  async #pause(milliseconds: number): Promise<boolean> {
    // Up to a fifth more, so that callers who failed together do not come back together.
    const pause = Math.max(milliseconds, shortestPauseMs) * (1 + 0.2 * Math.random());
    if (pause >= this.#leftMs()) {
      return false;
    }
    const { signal } = this.#options;
    try {
      await sleep(pause, undefined, signal && { signal });
    } catch {
      return false;
    }
    return true;
  }

  #nextBackoffMs(): number {
    const backoff = this.#backoffMs;
    this.#backoffMs = Math.min(2 * backoff, longestBackoffMs);
    return backoff;
  }

  #leftMs(): number {
    return this.#deadline - performance.now();
  }

  /** The time that is left, for one call. For Connect, 0 or less would mean no timeout. */
  #callTimeoutMs(): number {
    return Math.max(1, Math.ceil(this.#leftMs()));
  }
}

/** Tells whether no later send with the same request id can end in another way. */
function isFinal({ reason, effect, retryDelay }: Outcome): boolean {
  return (
    reason === ErrorReason.REQUEST_ID_REUSED ||
    effect === Effect.NOT_APPLIED ||
    // The package is sold. A delay says that the gateway can show the sale later.
    (effect === Effect.APPLIED && !retryDelay)
  );
}

/** Tells whether the gateway refused the caller and not the order, so the next send cannot succeed. */
function needsOtherCredential({ reason, effect }: Outcome): boolean {
  return (
    reason === ErrorReason.UNAUTHENTICATED ||
    (reason === ErrorReason.PERMISSION_DENIED && effect === Effect.NOT_STARTED)
  );
}

function refused(cause: ConnectError, outcome: Outcome): Refused {
  return {
    kind: "refused",
    reason: (ErrorReason[outcome.reason] as Refused["reason"] | undefined) ?? `${outcome.reason}`,
    effect: (Effect[outcome.effect] as Refused["effect"] | undefined) ?? "INDETERMINATE",
    message: cause.rawMessage,
    purchaseId: outcome.purchaseId,
    fieldViolations: outcome.fieldViolations,
    cause,
  };
}
