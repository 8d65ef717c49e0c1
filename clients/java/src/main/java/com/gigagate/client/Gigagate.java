package com.gigagate.client;

import com.gigagate.v1.Outcome;
import com.gigagate.v1.RegisterRequest;
import com.gigagate.v1.RegisterResponse;
import com.gigagate.v1.TopUpRequest;
import com.gigagate.v1.TopUpResponse;
import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.Status;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannelBuilder;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * What the generated stubs do not provide: the purchase helper, a channel with the call policy, and
 * the {@link Outcome} of an error.
 */
public final class Gigagate {
  private static final Duration DEFAULT_TIMEOUT = Duration.ofSeconds(100);
  private static final String SERVICE_CONFIG = "/gigagate/v1/service_config.json";

  private Gigagate() {}

  /** {@link #register(Channel, RegisterRequest, Duration)} within 100 seconds. */
  public static RegisterResponse register(Channel channel, RegisterRequest request)
      throws Refused, NotKnownYet {
    return register(channel, request, DEFAULT_TIMEOUT);
  }

  /**
   * Sells a first package. It sends the request again, always with the same request id, until it is
   * known how the request id stands.
   *
   * <p>The request id is the caller's own. Store it before this call, so that the same purchase can
   * be asked for again after a crash.
   *
   * <p>The deadline and the cancellation of the current {@link io.grpc.Context} end the call, too,
   * and so does an interrupt of the thread.
   *
   * @param timeout the time for all sends and pauses together
   * @return the sale
   * @throws Refused if there is no sale to show
   * @throws NotKnownYet if the time is over, or the caller has cancelled, and credit may have been
   *     spent
   * @throws IllegalArgumentException if the request has no request id; nothing was sent
   */
  public static RegisterResponse register(
      Channel channel, RegisterRequest request, Duration timeout) throws Refused, NotKnownYet {
    requireRequestId(request.getRequestId());
    return new PurchaseLoop(channel, timeout, PurchaseTime.SYSTEM)
        .run(activations -> activations.register(request));
  }

  /** {@link #topUp(Channel, TopUpRequest, Duration)} within 100 seconds. */
  public static TopUpResponse topUp(Channel channel, TopUpRequest request)
      throws Refused, NotKnownYet {
    return topUp(channel, request, DEFAULT_TIMEOUT);
  }

  /**
   * Sells a further package to a customer. The rules are those of {@link #register(Channel,
   * RegisterRequest, Duration)}.
   */
  public static TopUpResponse topUp(Channel channel, TopUpRequest request, Duration timeout)
      throws Refused, NotKnownYet {
    requireRequestId(request.getRequestId());
    return new PurchaseLoop(channel, timeout, PurchaseTime.SYSTEM)
        .run(activations -> activations.topUp(request));
  }

  private static void requireRequestId(String requestId) {
    if (requestId.isEmpty()) {
      throw new IllegalArgumentException(
          "request_id is empty: make one and store it before you buy");
    }
  }

  /**
   * Prepares a channel to the gateway with the contract's service config. A call that ends {@code
   * UNAVAILABLE} is sent up to four times more, after the pauses that the gateway asks for. The
   * request stays the same, and so its request id, so nothing is bought twice. All sends of a call
   * share 100 seconds, or the call's own deadline if that is shorter.
   *
   * @param target the gateway's gRPC address, such as {@code 127.0.0.1:9090}
   */
  public static ManagedChannelBuilder<?> channel(String target, ChannelCredentials credentials) {
    return Grpc.newChannelBuilder(target, credentials)
        .enableRetry()
        .defaultServiceConfig(serviceConfig());
  }

  /**
   * Finds the gateway's answer in an error: the reason, whether credit may have been spent, and
   * what to do next.
   *
   * <p>An error without it (a broken connection, a proxy's page) means {@code
   * EFFECT_INDETERMINATE}: repeat the call with the same request id.
   */
  public static Optional<Outcome> outcomeOf(Throwable error) {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      return Optional.empty();
    }
    for (Any detail : status.getDetailsList()) {
      if (detail.is(Outcome.class)) {
        try {
          return Optional.of(detail.unpack(Outcome.class));
        } catch (InvalidProtocolBufferException unreadable) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }

  private static Map<String, ?> serviceConfig() {
    try (InputStream resource = Gigagate.class.getResourceAsStream(SERVICE_CONFIG);
        Reader reader = new InputStreamReader(resource, StandardCharsets.UTF_8)) {
      return new Gson().fromJson(reader, new TypeToken<Map<String, ?>>() {}.getType());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
