import { type Client } from "@connectrpc/connect";
import { type GrpcTransportOptions } from "@connectrpc/connect-node";
import { ActivationService } from "../stubs/gigagate/v1/activation_service_pb.js";
import { AuditService } from "../stubs/gigagate/v1/audit_service_pb.js";
import { BudgetService } from "../stubs/gigagate/v1/budget_service_pb.js";
import { CustomerService } from "../stubs/gigagate/v1/customer_service_pb.js";
import { FreezeService } from "../stubs/gigagate/v1/freeze_service_pb.js";
import { InventoryService } from "../stubs/gigagate/v1/inventory_service_pb.js";
import { PurchaseService } from "../stubs/gigagate/v1/purchase_service_pb.js";
export * from "../stubs/gigagate/v1/activated_item_pb.js";
export * from "../stubs/gigagate/v1/activation_service_pb.js";
export * from "../stubs/gigagate/v1/audit_service_pb.js";
export * from "../stubs/gigagate/v1/budget_service_pb.js";
export * from "../stubs/gigagate/v1/customer_service_pb.js";
export * from "../stubs/gigagate/v1/freeze_service_pb.js";
export * from "../stubs/gigagate/v1/inventory_service_pb.js";
export * from "../stubs/gigagate/v1/money_pb.js";
export * from "../stubs/gigagate/v1/outcome_pb.js";
export * from "../stubs/gigagate/v1/purchase_service_pb.js";
export { type NotKnownYet, type PaidRequest, type PurchaseClients, type PurchaseResult, type Refused, register, type Sold, topUp, } from "./buy.js";
export { apiKey, apiKeyFile } from "./key.js";
export { outcomeOf } from "./outcome.js";
/** A client of each service of the contract, over one connection. */
export interface Gigagate {
    readonly activations: Client<typeof ActivationService>;
    readonly audit: Client<typeof AuditService>;
    readonly budgets: Client<typeof BudgetService>;
    readonly customers: Client<typeof CustomerService>;
    readonly freezes: Client<typeof FreezeService>;
    readonly inventory: Client<typeof InventoryService>;
    readonly purchases: Client<typeof PurchaseService>;
}
/**
 * Makes the clients of a gateway, such as `createGigagate({ baseUrl: "http://127.0.0.1:9090" })`.
 * For TLS, start baseUrl with https:, and put a private authority or a client certificate into
 * `nodeOptions: { ca, cert, key }`. For an API key, use the interceptor apiKeyFile or apiKey.
 *
 * To buy, pass them to register or topUp. The connection is made at the first call. An idle
 * connection does not keep the process alive.
 *
 * A call that ends UNAVAILABLE is sent up to four times more, with the pauses that the gateway asks
 * for. The request, and so its request id, stays the same, so nothing is bought twice. All sends of
 * a call share one deadline: its timeoutMs, which is 100 s by default and at most. Interceptors see
 * each send.
 */
export declare function createGigagate(options: Omit<GrpcTransportOptions, "defaultTimeoutMs">): Gigagate;
