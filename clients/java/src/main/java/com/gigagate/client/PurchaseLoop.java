package com.gigagate.client;

import com.gigagate.v1.ActivationServiceGrpc;
import com.gigagate.v1.ActivationServiceGrpc.ActivationServiceBlockingStub;
import com.gigagate.v1.Effect;
import com.gigagate.v1.ErrorReason;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.PurchaseServiceGrpc;
import com.gigagate.v1.PurchaseState;
import com.gigagate.v1.WaitPurchaseRequest;
import com.google.protobuf.Duration;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ClientStreamTracer;
import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * One purchase: sends the same request until it is known how its request id stands, or until the
 * time is over.
 */
final class PurchaseLoop {
  /** Codes of errors without an {@link Outcome} after which the next send may get an answer. */
  private static final Set<Code> PASSING =
      Set.of(
          Code.UNAVAILABLE,
          Code.DEADLINE_EXCEEDED,
          Code.INTERNAL,
          Code.UNKNOWN,
          Code.RESOURCE_EXHAUSTED,
          Code.ABORTED,
          // A proxy or a server that stops. After the caller's own cancellation there is no pause.
          Code.CANCELLED);

  private static final long LONGEST_PAUSE = TimeUnit.SECONDS.toNanos(10);

  /** The contract's limit for {@code WaitPurchaseRequest.timeout}. */
  private static final long LONGEST_WAIT = TimeUnit.SECONDS.toNanos(60);

  private final Channel channel;
  private final PurchaseTime time;
  private final long end;

  /**
   * Whether a send ended without an Outcome. It may still be on its way to the gateway. Transport
   * threads set it, too.
   */
  private volatile boolean inDoubt;

  private String purchaseId = "";
  private boolean settled;
  private long nextPause = TimeUnit.SECONDS.toNanos(1);

  PurchaseLoop(Channel channel, java.time.Duration timeout, PurchaseTime time) {
    this.channel = channel;
    this.time = time;
    Deadline callers = Context.current().getDeadline();
    long longest = TimeUnit.NANOSECONDS.convert(timeout);
    if (callers != null) {
      longest = Math.min(longest, callers.timeRemaining(TimeUnit.NANOSECONDS));
    }
    end = time.nanoTime() + longest;
  }

  <R> R run(Function<ActivationServiceBlockingStub, R> send) throws Refused, NotKnownYet {
    Channel watched = ClientInterceptors.intercept(channel, new SendWatcher());
    while (true) {
      StatusRuntimeException error;
      try {
        return send.apply(
            ActivationServiceGrpc.newBlockingStub(watched)
                .withDeadlineAfter(left(), TimeUnit.NANOSECONDS));
      } catch (StatusRuntimeException e) {
        error = e;
      }
      Optional<Outcome> outcome = Gigagate.outcomeOf(error);
      if (outcome.isPresent()) {
        afterOutcome(error, outcome.get());
        continue;
      }
      inDoubt = true;
      if (!PASSING.contains(error.getStatus().getCode())) {
        // A proxy has answered.
        throw new NotKnownYet(purchaseId, error);
      }
      pauseOrEnd(error, Outcome.getDefaultInstance());
    }
  }

  /** Returns when the request has to be sent again. */
  private void afterOutcome(StatusRuntimeException error, Outcome outcome)
      throws Refused, NotKnownYet {
    if (outcome.getReason() == ErrorReason.ERROR_REASON_REQUEST_ID_REUSED) {
      throw new Refused(error, outcome);
    }
    if (!outcome.getPurchaseId().isEmpty()) {
      purchaseId = outcome.getPurchaseId();
    }
    if (needsOtherCredential(outcome)) {
      // An earlier send may have bought, and the gateway does not say.
      if (inDoubt || !purchaseId.isEmpty()) {
        throw new NotKnownYet(purchaseId, error);
      }
      throw new Refused(error, outcome);
    }
    switch (outcome.getEffect()) {
      case EFFECT_NOT_APPLIED -> throw new Refused(error, outcome);
      case EFFECT_APPLIED -> {
        // The package is sold. The delay says that the gateway can show the sale later.
        if (!outcome.hasRetryDelay()) {
          throw new Refused(error, outcome);
        }
        pauseOrEnd(error, outcome);
      }
      case EFFECT_NOT_STARTED -> {
        // The gateway has no purchase under this request id. A send in doubt can still make one.
        if (!inDoubt && !outcome.hasRetryDelay()) {
          throw new Refused(error, outcome);
        }
        pauseOrEnd(error, outcome);
      }
      default -> {
        if (!settled && isSettled()) {
          settled = true; // so the next send gets the result
        } else {
          pauseOrEnd(error, outcome);
        }
      }
    }
  }

  /** Whether the gateway refused the caller and not the order, so the next send cannot succeed. */
  private static boolean needsOtherCredential(Outcome outcome) {
    return switch (outcome.getReason()) {
      case ERROR_REASON_UNAUTHENTICATED -> true;
      case ERROR_REASON_PERMISSION_DENIED -> outcome.getEffect() == Effect.EFFECT_NOT_STARTED;
      default -> false;
    };
  }

  /** Waits for the purchase. Returns false if it is not known to be settled afterwards. */
  private boolean isSettled() {
    long left = left();
    if (purchaseId.isEmpty() || left <= 0) {
      return false;
    }
    long wait = Math.min(left, LONGEST_WAIT);
    long second = TimeUnit.SECONDS.toNanos(1);
    WaitPurchaseRequest request =
        WaitPurchaseRequest.newBuilder()
            .setId(purchaseId)
            .setTimeout(
                Duration.newBuilder().setSeconds(wait / second).setNanos((int) (wait % second)))
            .build();
    try {
      PurchaseState state =
          PurchaseServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(left, TimeUnit.NANOSECONDS)
              .waitPurchase(request)
              .getPurchase()
              .getState();
      return state == PurchaseState.PURCHASE_STATE_SUCCEEDED
          || state == PurchaseState.PURCHASE_STATE_FAILED;
    } catch (StatusRuntimeException e) {
      return false; // the error of the wait says nothing about the purchase
    }
  }

  /** Pauses before the next send. Throws if there is no time for it, or if the caller cancels. */
  private void pauseOrEnd(StatusRuntimeException error, Outcome outcome)
      throws Refused, NotKnownYet {
    long pause = pauseFor(outcome);
    try {
      if (pause < left() && time.pause(pause)) {
        return;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    boolean known =
        outcome.getEffect() == Effect.EFFECT_APPLIED
            || outcome.getEffect() == Effect.EFFECT_NOT_STARTED && !inDoubt;
    if (known) {
      throw new Refused(error, outcome);
    }
    throw new NotKnownYet(purchaseId, error);
  }

  /** The delay that the gateway asks for, else one of 1 s to 10 s; and up to a tenth more. */
  private long pauseFor(Outcome outcome) {
    Duration asked = outcome.getRetryDelay();
    long pause = TimeUnit.SECONDS.toNanos(asked.getSeconds()) + asked.getNanos();
    if (pause <= 0) {
      pause = nextPause;
      nextPause = Math.min(2 * nextPause, LONGEST_PAUSE);
    }
    return pause + ThreadLocalRandom.current().nextLong(pause / 10 + 1);
  }

  private long left() {
    return end - time.nanoTime();
  }

  /**
   * Sees each send of a call. A channel's call policy can send more than once, and the call ends
   * with the error of the last send only.
   */
  private final class SendWatcher extends ClientStreamTracer.Factory implements ClientInterceptor {
    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(
        MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      return next.newCall(method, options.withStreamTracerFactory(this));
    }

    @Override
    public ClientStreamTracer newClientStreamTracer(
        ClientStreamTracer.StreamInfo info, Metadata headers) {
      return new ClientStreamTracer() {
        private volatile Metadata trailers = new Metadata();

        @Override
        public void inboundTrailers(Metadata received) {
          trailers = received;
        }

        @Override
        public void streamClosed(Status status) {
          if (!status.isOk()
              && Gigagate.outcomeOf(status.asRuntimeException(trailers)).isEmpty()) {
            inDoubt = true;
          }
        }
      };
    }
  }
}
