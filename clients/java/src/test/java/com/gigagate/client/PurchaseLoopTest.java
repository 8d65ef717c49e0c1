package com.gigagate.client;

import static com.gigagate.client.ScriptedGateway.PURCHASE;
import static com.gigagate.client.ScriptedGateway.error;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.gigagate.v1.Effect;
import com.gigagate.v1.ErrorReason;
import com.gigagate.v1.FieldViolation;
import com.gigagate.v1.Outcome;
import com.gigagate.v1.PurchaseState;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.RegisterResponse;
import com.gigagate.v1.TopUpRequest;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.Status.Code;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

class PurchaseLoopTest {
  private static final RegisterRequest REQUEST =
      RegisterRequest.newBuilder().setRequestId("order-1").build();

  private final TestTime time = new TestTime();
  private ScriptedGateway gateway;
  private ManagedChannel channel;

  @BeforeEach
  void start() throws IOException {
    gateway = new ScriptedGateway();
    channel =
        Grpc.newChannelBuilder(gateway.address(), InsecureChannelCredentials.create())
            .disableRetry()
            .build();
  }

  @AfterEach
  void stop() throws InterruptedException {
    assertTrue(channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS));
    assertTrue(gateway.stop());
  }

  @Test
  void sendsNothingWithoutARequestId() {
    assertThrows(
        IllegalArgumentException.class,
        () -> Gigagate.register(channel, RegisterRequest.getDefaultInstance()));
    assertThrows(
        IllegalArgumentException.class,
        () -> Gigagate.topUp(channel, TopUpRequest.getDefaultInstance()));
    assertEquals(List.of(), gateway.requests);
  }

  @Test
  void returnsTheSale() throws Exception {
    TopUpRequest topUp = TopUpRequest.newBuilder().setRequestId("order-2").build();

    assertEquals(PURCHASE, Gigagate.register(channel, REQUEST).getPurchaseId());
    assertEquals(PURCHASE, Gigagate.topUp(channel, topUp).getPurchaseId());
    assertEquals(List.of(REQUEST, topUp), gateway.requests);
    assertTrue(gateway.deadlines.stream().allMatch(seconds -> seconds >= 98 && seconds <= 100));

    Duration longest = Duration.ofSeconds(Long.MAX_VALUE);
    assertEquals(PURCHASE, Gigagate.topUp(channel, topUp, longest).getPurchaseId());
  }

  @ParameterizedTest
  @EnumSource(names = {"EFFECT_NOT_APPLIED", "EFFECT_APPLIED", "EFFECT_NOT_STARTED"})
  void refusesWithWhatTheGatewayTold(Effect effect) {
    FieldViolation field = FieldViolation.newBuilder().setField("metatag").build();
    Outcome.Builder outcome =
        told(effect)
            .setReason(ErrorReason.ERROR_REASON_INSUFFICIENT_CREDIT)
            .setPurchaseId(PURCHASE)
            .addFieldViolations(field);
    gateway.errors.add(error(outcome));

    Refused refused = assertThrows(Refused.class, this::buy);
    assertEquals("INSUFFICIENT_CREDIT", refused.getReason());
    assertEquals(effect.name(), "EFFECT_" + refused.getEffect());
    assertEquals("sentence", refused.getMessage());
    assertEquals(PURCHASE, refused.getPurchaseId());
    assertEquals(List.of(field), refused.getFieldViolations());
    assertEquals(outcome.build(), refused.getOutcome());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void refusesAReasonThatANewerGatewayHasByItsNumber() {
    gateway.errors.add(error(told(Effect.EFFECT_NOT_APPLIED).setReasonValue(9000)));

    assertEquals("9000", assertThrows(Refused.class, this::buy).getReason());
  }

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "UNRECOGNIZED")
  void refusesAReusedRequestIdWhateverTheEffect(Effect effect) {
    gateway.errors.add(
        error(
            told(effect)
                .setReason(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)
                .setPurchaseId(PURCHASE)
                .setRetryDelay(seconds(1))));

    assertEquals("REQUEST_ID_REUSED", assertThrows(Refused.class, this::buy).getReason());
    assertEquals(1, gateway.requests.size());
    assertEquals(0, gateway.waits.size());
  }

  private static Outcome.Builder unauthenticated() {
    return told(Effect.EFFECT_INDETERMINATE)
        .setReason(ErrorReason.ERROR_REASON_UNAUTHENTICATED);
  }

  private static Outcome.Builder denied() {
    return told(Effect.EFFECT_NOT_STARTED).setReason(ErrorReason.ERROR_REASON_PERMISSION_DENIED);
  }

  @Test
  void refusesAWrongCredentialAtOnce() {
    gateway.errors.add(error(unauthenticated()));

    Refused refused = assertThrows(Refused.class, this::buy);
    assertEquals("UNAUTHENTICATED", refused.getReason());
    assertEquals("INDETERMINATE", refused.getEffect());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void refusesAMissingRightAtOnce() {
    gateway.errors.add(error(denied()));

    assertEquals("NOT_STARTED", assertThrows(Refused.class, this::buy).getEffect());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void doesNotKnowIfTheCredentialIsRefusedAfterASendInDoubt() {
    for (Outcome.Builder refusal : List.of(unauthenticated(), denied())) {
      gateway.requests.clear();
      gateway.errors.add(error(Code.INTERNAL));
      gateway.errors.add(error(refusal));

      assertEquals("", assertThrows(NotKnownYet.class, this::buy).getPurchaseId());
      assertEquals(2, gateway.requests.size());
    }
  }

  @Test
  void doesNotKnowIfTheCredentialIsRefusedAfterAnOpenPurchase() {
    gateway.states.add(PurchaseState.PURCHASE_STATE_SUCCEEDED);
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE)));
    gateway.errors.add(error(unauthenticated()));

    assertEquals(PURCHASE, assertThrows(NotKnownYet.class, this::buy).getPurchaseId());
    assertEquals(2, gateway.requests.size());
  }

  @Test
  void sendsAgainAfterTheDelayThatTheGatewayAsksFor() throws Exception {
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED).setRetryDelay(seconds(7))));

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST), gateway.requests);
    assertPauses(7);
    assertTrue(gateway.deadlines.get(1) < 93, "the sends share the time");
  }

  @Test
  void refusesWhenTheTimeIsTooShortForTheDelayAndNoSendIsInDoubt() {
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED).setRetryDelay(seconds(100))));

    assertEquals("NOT_STARTED", assertThrows(Refused.class, this::buy).getEffect());
    assertPauses();
  }

  @Test
  void asksAgainForASaleThatTheGatewayCanShowLater() throws Exception {
    gateway.errors.add(error(told(Effect.EFFECT_APPLIED).setRetryDelay(seconds(3))));

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST), gateway.requests);
    assertEquals(0, gateway.waits.size());
    assertPauses(3);
  }

  @Test
  void refusesWhenTheTimeIsTooShortToAskForTheSaleAgain() {
    gateway.errors.add(error(Code.UNAVAILABLE));
    gateway.errors.add(error(told(Effect.EFFECT_APPLIED).setRetryDelay(seconds(100))));

    assertEquals("APPLIED", assertThrows(Refused.class, this::buy).getEffect());
    assertPauses(1);
  }

  @Test
  void doesNotKnowWhenTheTimeIsTooShortForTheDelayAndASendIsInDoubt() {
    gateway.errors.add(error(Code.UNAVAILABLE));
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED).setRetryDelay(seconds(100))));

    assertThrows(NotKnownYet.class, this::buy);
  }

  @Test
  void doesNotBelieveThatNothingWasStartedWhileASendIsInDoubt() throws Exception {
    gateway.errors.add(error(Code.UNAVAILABLE));
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED)));
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED)));

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertPauses(1, 2, 4);
  }

  @Test
  void believesThatNothingWasStartedAfterAnOutcome() {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE)));
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED)));

    assertEquals("NOT_STARTED", assertThrows(Refused.class, this::buy).getEffect());
  }

  @Test
  void doesNotKnowWhenTheTimeIsTooShortToAskWhatBecameOfAPurchase() {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setRetryDelay(seconds(100))));

    assertThrows(NotKnownYet.class, this::buy);
  }

  @Test
  void seesTheDoubtThatTheChannelsOwnCallPolicyHides() throws Exception {
    gateway.errors.add(error(Code.UNAVAILABLE));
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED)));
    gateway.errors.add(error(Code.INTERNAL, told(Effect.EFFECT_NOT_STARTED).build()));

    ManagedChannel repeats =
        Gigagate.channel(gateway.address(), InsecureChannelCredentials.create()).build();
    try {
      assertEquals(PURCHASE, buy(repeats).getPurchaseId());
    } finally {
      repeats.shutdownNow();
    }
    assertEquals(Collections.nCopies(4, REQUEST), gateway.requests);
  }

  @Test
  void isInDoubtAlsoWhenTheTransportShowsNoSend() throws Exception {
    gateway.errors.add(error(told(Effect.EFFECT_NOT_STARTED)));

    assertEquals(
        PURCHASE,
        buy(ClientInterceptors.intercept(channel, new LosesFirstCall())).getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST), gateway.requests);
  }

  @Test
  void doesNotTakeARepeatOfTheCallPolicyForADoubt() {
    Outcome draining = told(Effect.EFFECT_NOT_STARTED).build();
    gateway.errors.add(error(Code.UNAVAILABLE, draining));
    gateway.errors.add(error(Code.FAILED_PRECONDITION, draining));

    ManagedChannel repeats =
        Gigagate.channel(gateway.address(), InsecureChannelCredentials.create()).build();
    try {
      assertThrows(Refused.class, () -> buy(repeats));
    } finally {
      repeats.shutdownNow();
    }
    assertEquals(List.of(REQUEST, REQUEST), gateway.requests);
  }

  @Test
  void waitsForThePurchaseAndAsksAgain() throws Exception {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE)));
    gateway.states.add(PurchaseState.PURCHASE_STATE_SUCCEEDED);

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST), gateway.requests);
    assertEquals(PURCHASE, gateway.waits.get(0).getId());
    assertEquals(60, gateway.waits.get(0).getTimeout().getSeconds());
    assertPauses();
  }

  @Test
  void learnsTheRefusalOfThePurchaseThatItWaitedFor() {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE)));
    gateway.states.add(PurchaseState.PURCHASE_STATE_FAILED);
    gateway.errors.add(error(told(Effect.EFFECT_NOT_APPLIED)));

    assertEquals("NOT_APPLIED", assertThrows(Refused.class, this::buy).getEffect());
  }

  @Test
  void waitsUntilThePurchaseIsSettled() throws Exception {
    Outcome.Builder unknown =
        told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE).setRetryDelay(seconds(5));
    gateway.errors.addAll(List.of(error(unknown), error(unknown), error(unknown)));
    gateway.states.add(PurchaseState.PURCHASE_STATE_UNCERTAIN);
    gateway.states.add(PurchaseState.PURCHASE_STATE_NEEDS_OPERATOR);
    gateway.states.add(PurchaseState.PURCHASE_STATE_SUCCEEDED);

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertPauses(5, 5);
  }

  @Test
  void asksAgainWhenTheWaitFails() throws Exception {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE)));

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(1, gateway.waits.size());
    assertPauses(1);
  }

  @Test
  void pausesWhenASettledPurchaseIsStillReportedAsUnknown() throws Exception {
    Outcome.Builder unknown = told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE);
    gateway.errors.addAll(List.of(error(unknown), error(unknown)));
    gateway.states.add(PurchaseState.PURCHASE_STATE_SUCCEEDED);

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(1, gateway.waits.size());
    assertPauses(1);
  }

  @Test
  void asksAgainWhenNoPurchaseIsKnown() throws Exception {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setRetryDelay(seconds(3))));
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE)));
    gateway.errors.add(error(told(Effect.EFFECT_UNSPECIFIED)));

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(0, gateway.waits.size());
    assertPauses(3, 1, 2);
  }

  @Test
  void doesNotKnowWhenTheTimeIsOver() {
    gateway.errors.add(error(told(Effect.EFFECT_INDETERMINATE).setPurchaseId(PURCHASE)));
    gateway.errors.addAll(Collections.nCopies(40, error(Code.UNAVAILABLE)));

    NotKnownYet notKnown = assertThrows(NotKnownYet.class, this::buy);
    assertEquals(PURCHASE, notKnown.getPurchaseId());
    assertEquals(Code.UNAVAILABLE, Status.fromThrowable(notKnown.getCause()).getCode());
    assertEquals(Collections.nCopies(gateway.requests.size(), REQUEST), gateway.requests);
    assertTrue(time.now <= Duration.ofSeconds(100).toNanos());
    assertTrue(time.now >= Duration.ofSeconds(89).toNanos());
    int[] growing = {1, 2, 4, 8, 10, 10, 10, 10, 10, 10, 10, 10};
    assertPauses(Arrays.copyOf(growing, time.pauses.size()));
  }

  @ParameterizedTest
  @EnumSource(
      names = {
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "UNKNOWN",
        "RESOURCE_EXHAUSTED",
        "ABORTED",
        "CANCELLED"
      })
  void sendsAgainWithoutAnOutcome(Code code) throws Exception {
    gateway.errors.add(error(code));

    assertEquals(PURCHASE, buy().getPurchaseId());
    assertEquals(List.of(REQUEST, REQUEST), gateway.requests);
  }

  @ParameterizedTest
  @EnumSource(
      names = {
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "UNIMPLEMENTED",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION"
      })
  void doesNotKnowWhatAProxyMeans(Code code) {
    gateway.errors.add(error(code));

    NotKnownYet notKnown = assertThrows(NotKnownYet.class, this::buy);
    assertEquals(code, Status.fromThrowable(notKnown.getCause()).getCode());
    assertEquals("", notKnown.getPurchaseId());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void stopsWhenTheCallersContextIsCancelled() {
    Context.CancellableContext context = Context.current().withCancellation();
    gateway.silence = () -> context.cancel(null);

    assertThrows(
        NotKnownYet.class, () -> context.call(() -> Gigagate.register(channel, REQUEST)));
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void stopsWhenTheCallersContextIsCancelledInAPause() {
    Context.CancellableContext context = Context.current().withCancellation();
    time.inPause = () -> context.cancel(null);
    gateway.errors.add(error(Code.UNAVAILABLE));

    assertThrows(NotKnownYet.class, () -> context.call(this::buy));
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void stopsWhenItsThreadIsInterrupted() {
    Thread caller = Thread.currentThread();
    gateway.silence = caller::interrupt;

    assertThrows(NotKnownYet.class, () -> Gigagate.register(channel, REQUEST));
    assertTrue(Thread.interrupted());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void stopsWhenItsThreadIsInterruptedInAPause() {
    time.inPause = Thread.currentThread()::interrupt;
    gateway.errors.add(error(Code.UNAVAILABLE));

    assertThrows(NotKnownYet.class, this::buy);
    assertTrue(Thread.interrupted());
    assertEquals(1, gateway.requests.size());
  }

  @Test
  void endsAtTheDeadlineOfTheCallersContext() throws Exception {
    ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
    try (Context.CancellableContext context =
        Context.current().withDeadlineAfter(50, TimeUnit.SECONDS, timer)) {
      context.call(this::buy);
    } finally {
      timer.shutdownNow();
    }
    assertTrue(gateway.deadlines.get(0) <= 50);
  }

  private RegisterResponse buy() throws Refused, NotKnownYet {
    return buy(channel);
  }

  private RegisterResponse buy(Channel over) throws Refused, NotKnownYet {
    return new PurchaseLoop(over, Duration.ofSeconds(100), time)
        .run(activations -> activations.register(REQUEST));
  }

  private static Outcome.Builder told(Effect effect) {
    return Outcome.newBuilder().setEffect(effect);
  }

  private static com.google.protobuf.Duration seconds(long seconds) {
    return com.google.protobuf.Duration.newBuilder().setSeconds(seconds).build();
  }

  /** A pause has a jitter of up to a tenth. */
  private void assertPauses(int... seconds) {
    assertEquals(seconds.length, time.pauses.size(), () -> "paused " + time.pauses);
    for (int i = 0; i < seconds.length; i++) {
      double paused = time.pauses.get(i) / 1e9;
      assertTrue(
          paused >= seconds[i] && paused <= 1.1 * seconds[i], () -> "paused " + time.pauses);
    }
  }

  private static final class LosesFirstCall implements ClientInterceptor {
    private boolean lost;

    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(
        MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      if (lost) {
        return next.newCall(method, options);
      }
      lost = true;
      return new ClientCall<>() {
        @Override
        public void start(Listener<A> listener, Metadata headers) {
          listener.onClose(Status.UNAVAILABLE, new Metadata());
        }

        @Override
        public void request(int messages) {}

        @Override
        public void cancel(String message, Throwable cause) {}

        @Override
        public void halfClose() {}

        @Override
        public void sendMessage(Q message) {}
      };
    }
  }

  /** A clock that only pauses move. */
  private static final class TestTime implements PurchaseTime {
    final List<Long> pauses = new ArrayList<>();
    Runnable inPause;
    long now;

    @Override
    public long nanoTime() {
      return now;
    }

    @Override
    public boolean pause(long nanos) throws InterruptedException {
      pauses.add(nanos);
      now += nanos;
      if (inPause == null) {
        return true;
      }
      inPause.run();
      return SYSTEM.pause(nanos);
    }
  }
}
