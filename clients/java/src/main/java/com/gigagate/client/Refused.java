package com.gigagate.client;

import com.gigagate.v1.FieldViolation;
import com.gigagate.v1.Outcome;
import io.grpc.StatusRuntimeException;
import java.util.List;

/**
 * It is known how the request id stands, and there is no sale to show. After the effect {@code
 * NOT_APPLIED} a new request id buys anew. After any other effect keep the same request id.
 *
 * <p>For the reason {@code REQUEST_ID_REUSED} the effect and the purchase id are those of the other
 * order. The order of this call was not bought. For {@code UNAUTHENTICATED} this purchase did
 * nothing, but an earlier one with the request id may have.
 */
public final class Refused extends Exception {
  private static final long serialVersionUID = 1L;

  private final Outcome outcome;

  Refused(StatusRuntimeException cause, Outcome outcome) {
    super(cause.getStatus().getDescription(), cause);
    this.outcome = outcome;
  }

  /** The contract's name of the reason without its prefix, such as {@code INSUFFICIENT_CREDIT}. */
  public String getReason() {
    return nameOf(outcome.getReason().name(), "ERROR_REASON_", outcome.getReasonValue());
  }

  /** The contract's name of the effect without its prefix, such as {@code NOT_APPLIED}. */
  public String getEffect() {
    return nameOf(outcome.getEffect().name(), "EFFECT_", outcome.getEffectValue());
  }

  /** The id of the purchase, or an empty text if there is none. */
  public String getPurchaseId() {
    return outcome.getPurchaseId();
  }

  /** The fields that were refused, or that differ from the other order. */
  public List<FieldViolation> getFieldViolations() {
    return outcome.getFieldViolationsList();
  }

  /** The gateway's answer, with the reason and the effect as enums. */
  public Outcome getOutcome() {
    return outcome;
  }

  @Override
  public String toString() {
    return getClass().getName() + ": " + getReason() + ", " + getEffect() + ": " + getMessage();
  }

  /** The name of an enum's value, or its number if a newer gateway has added it. */
  private static String nameOf(String name, String prefix, int number) {
    return name.startsWith(prefix) ? name.substring(prefix.length()) : String.valueOf(number);
  }
}
