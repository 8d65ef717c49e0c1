import { type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions, type Client, ConnectError } from "@connectrpc/connect";
import { type ActivationService, RegisterRequestSchema, type RegisterResponse, TopUpRequestSchema, type TopUpResponse } from "../stubs/gigagate/v1/activation_service_pb.js";
import { Effect, ErrorReason, type FieldViolation } from "../stubs/gigagate/v1/outcome_pb.js";
import { type PurchaseService } from "../stubs/gigagate/v1/purchase_service_pb.js";
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
export declare function register(gigagate: PurchaseClients, request: PaidRequest<typeof RegisterRequestSchema>, options?: CallOptions): Promise<PurchaseResult<RegisterResponse>>;
/** Sells a further package to a customer, in the same way as register. */
export declare function topUp(gigagate: PurchaseClients, request: PaidRequest<typeof TopUpRequestSchema>, options?: CallOptions): Promise<PurchaseResult<TopUpResponse>>;
