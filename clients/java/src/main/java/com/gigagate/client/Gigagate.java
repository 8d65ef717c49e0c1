package com.gigagate.client;

import com.gigagate.v1.Outcome;
import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.Status;
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
import java.util.Map;
import java.util.Optional;

/** What generation cannot give: the call policy, and the {@link Outcome} in an error. */
public final class Gigagate {
  private static final String SERVICE_CONFIG = "/gigagate/v1/service_config.json";

  private Gigagate() {}

  /**
   * Prepares a channel to the gateway with the contract's service config. A call that ends {@code
   * UNAVAILABLE} is sent up to four times more, with the pauses that the gateway asks for: the
   * request, and so its request id, stays the same, so nothing is bought twice. A call has 100
   * seconds, which all its sends share, or its own deadline where that is shorter.
   *
   * <p>The error that the caller sees is the last send's. {@code EFFECT_NOT_STARTED} does not mean
   * then that nothing was bought, for an earlier send may have: repeat with the same request id
   * until a sale or another effect is told.
   *
   * @param target the gateway's gRPC address, such as {@code 127.0.0.1:9090}
   */
  public static ManagedChannelBuilder<?> channel(String target, ChannelCredentials credentials) {
    return Grpc.newChannelBuilder(target, credentials)
        .enableRetry()
        .defaultServiceConfig(serviceConfig());
  }

  /**
   * Finds what the gateway says of an error: its reason, whether credit may have been spent, what
   * to do next.
   *
   * <p>Empty (a broken connection, a proxy's page) has to be treated as {@code
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
