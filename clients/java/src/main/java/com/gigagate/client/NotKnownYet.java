package com.gigagate.client;

import io.grpc.StatusRuntimeException;

/**
 * The time is over, and credit may have been spent. Keep the request id, and ask again later with
 * the same request: it never buys twice. The cause is the error of the last send.
 */
public final class NotKnownYet extends Exception {
  private static final long serialVersionUID = 1L;

  private final String purchaseId;

  NotKnownYet(String purchaseId, StatusRuntimeException cause) {
    super(
        purchaseId.isEmpty()
            ? "not known yet whether it was bought"
            : "not known yet whether purchase " + purchaseId + " was made",
        cause);
    this.purchaseId = purchaseId;
  }

  /** The id of the purchase, or an empty text if it is not known. */
  public String getPurchaseId() {
    return purchaseId;
  }
}
