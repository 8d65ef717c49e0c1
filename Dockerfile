# syntax=docker/dockerfile:1.25@sha256:0adf442eae370b6087e08edc7c50b552d80ddf261576f4ebd6421006b2461f12

FROM golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d AS build
WORKDIR /src
# The version that `gigagate version` prints. If empty, the Go toolchain decides.
ARG VERSION
# The source is mounted, not copied, and both caches are kept for the next build. There is no
# `go mod download`, because it would also fetch modules that only buf and the generators need.
RUN --mount=type=bind,target=/src \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    mkdir -p /out/journal && \
    VERSION=${VERSION} cmd/gigagate/build.sh /out/gigagate

FROM scratch
ARG VERSION
LABEL org.opencontainers.image.title="gigagate" \
      org.opencontainers.image.description="Activation gateway in front of DENT Gigastore" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# The time zones of budgets. The binary does not have them: they would make it one percent larger.
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/gigagate /gigagate
# The journal's folder, owned by the user below. If it is lost, the gateway forgets all purchases.
COPY --from=build --chown=65532:65532 /out/journal /journal
VOLUME /journal
# A number, because there is no /etc/passwd, and because Kubernetes' runAsNonRoot needs one.
USER 65532:65532
# The ports listen on all interfaces, because nobody outside a container can reach its loopback. That
# includes the admin port, because an orchestrator probes /readyz and /healthz from outside. The admin port
# also has metrics and pprof, so publish it only to operators. The sandbox stays on loopback. Without TLS
# (GIGAGATE_TLS_CERT and GIGAGATE_TLS_KEY), the gateway refuses to start on all interfaces. GIGAGATE_INSECURE=true
# allows it, for ports that are published only on the same machine.
ENV ZONEINFO=/zoneinfo.zip \
    GIGAGATE_GRPC_LISTEN=0.0.0.0:9090 \
    GIGAGATE_HTTP_LISTEN=0.0.0.0:8080 \
    GIGAGATE_ADMIN_LISTEN=0.0.0.0:9464 \
    GIGAGATE_JOURNAL=sqlite:/journal/gigagate.db
EXPOSE 8080 9090 9464
# The check calls 127.0.0.1:9090. With another gRPC port, also set GIGAGATE_ADDRESS. With TLS, also set GIGAGATE_TLS_CA and
# GIGAGATE_TLS_SERVER_NAME.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/gigagate", "health"]
ENTRYPOINT ["/gigagate"]
# The gateway also needs TLS or --insecure, and the vendor's credentials or --sandbox (GIGAGATE_SANDBOX=true).
CMD ["serve"]
