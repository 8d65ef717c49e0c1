#!/usr/bin/env bash
# Builds the program as it is released: static, without symbols, and below 40 MB. The Dockerfile, `make build` and `make
# release` use it, so they make the same binary.
#
#   VERSION=v1.2.3 cmd/gigagate/build.sh FILE    (without VERSION, the Go toolchain decides)
set -euo pipefail
cd "$(dirname "$0")/../.."

# Packages that work only at the start, for an operator or once per connection. The compiler inlines nothing in them, which
# saves 1.6 MB and costs no purchase anything.
rare=(
  cel.dev/cel-go/{cel,checker/...,common/{decls,env,stdlib},ext,parser/...}
  crypto/x509
  encoding/{asn1,xml}
  gigagate.internal/{cmd/gigagate,gigastore/sandbox,internal/console}
  github.com/{alecthomas,antlr4-go,felixge,go-jose,prometheus,swaggest}/...
  go.opentelemetry.io/{contrib/exporters,otel/exporters,otel/sdk/log,proto}/...
  go.yaml.in/...
  golang.org/x/text/...
  google.golang.org/{genproto/...,protobuf/{internal/filedesc,reflect/protodesc}}
  google.golang.org/grpc/{balancer,channelz,resolver,internal/{balancer,binarylog,channelz,resolver}}/...
  html/template
  math/big
  {net/http,runtime}/pprof
  regexp/syntax
  text/template/...
)

flags=("${rare[@]/#/-gcflags=}")
flags=("${flags[@]/%/=-l}")

# grpcnotrace leaves out gRPC's debug pages, which are not served and take half a megabyte.
CGO_ENABLED=0 exec go build -trimpath -tags grpcnotrace "${flags[@]}" -ldflags="-s -w -X main.stamped=${VERSION:-}" \
  -o "$1" ./cmd/gigagate
