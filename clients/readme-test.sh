#!/usr/bin/env bash
# Runs every shell block of clients/LANGUAGE/README.md, in order and in a folder without other files than ca.pem and
# shop.key, against its own gateways. The comment before a block lists what the block shows, separated by "; ":
#
#   clients/readme-test.sh java
#
# The README's variable gigagate names a copy of the repository as it is here, committed or not, but
# without the files that git ignores. Cargo builds in the repository's own target folder, so that it compiles crates once.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
readme=$root/clients/${1:?the folder of a language}/README.md
work=$(mktemp -d)
gateways=

finish() {
  for gateway in $gateways; do
    kill "$gateway"
    wait "$gateway" || true
  done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

snapshot() {
  mkdir "$1"
  (cd "$root" && git ls-files -z --cached --others --exclude-standard |
    tar -c --null --ignore-failed-read --warning=no-failed-read -T -) | tar -x -C "$1"
}

# Starts a gateway with a journal and further flags. It sets $grpc and $sandbox to where it listens.
start() {
  exec 3< <(exec "$work/gigagate" serve --sandbox "--journal=sqlite:$work/$1.db" --grpc-listen=127.0.0.1:0 \
    --http-listen=127.0.0.1:0 --admin-listen=127.0.0.1:0 --sandbox-listen=127.0.0.1:0 "${@:2}" 2>"$work/log")
  gateways+=" $!"
  while read -r name address _ <&3; do
    case $name in
      gRPC) grpc=$address ;;
      sandbox)
        sandbox=${address#http://}
        sandbox=${sandbox%%/*}
        return
        ;;
    esac
  done
  cat "$work/log" >&2
  fail "the gateway did not start"
}

# Starts a gateway with TLS that knows one caller. It writes ca.pem and shop.key, and sets $secured to where it listens.
start_secured() {
  local grpc sandbox
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
    -keyout "$work/ca-key.pem" -out "$work/empty/ca.pem" 2>"$work/log"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=gateway -CA "$work/empty/ca.pem" \
    -CAkey "$work/ca-key.pem" -extensions usr_cert -addext subjectAltName=IP:127.0.0.1 -keyout "$work/key.pem" \
    -out "$work/tls.pem" 2>"$work/log"
  "$work/gigagate" keys new --caller shop >"$work/empty/shop.key" 2>"$work/shop.lines"
  cat >"$work/callers.yaml" <<END
callers:
  - name: shop
    identities:
$(grep 'key:' "$work/shop.lines")
    may: {methods: [all], activation_modes: [all], inventory_items: [all], country_sets: [all], countries: [all], secrets: true}
END
  start secured --tls-cert="$work/tls.pem" --tls-key="$work/key.pem" --callers-file="$work/callers.yaml"
  secured=$grpc
}

# Writes the commands of each shell block to $work/N.sh, and what it shows to $work/N.shows. N is its line.
split() {
  awk -v work="$work" '
    /^<!-- shows: / { sub(/^<!-- shows: /, ""); sub(/ -->$/, ""); gsub(/; /, "\n"); shows = $0 "\n"; next }
    /^```sh$/ { block = work "/" NR; printf "%s", shows > (block ".shows"); shows = ""; next }
    /^```/ { block = "" }
    block { print > (block ".sh") }' "$readme"
}

snapshot "$work/repository"
mkdir "$work/empty"
go -C "$root" build -o "$work/gigagate" ./cmd/gigagate
start_secured
start open
split
blocks=$(find "$work" -maxdepth 1 -name '*.sh' -printf '%f\n' | sed 's/\.sh$//' | sort -n)
[ -n "$blocks" ] || fail "$readme has no commands"
export GIGAGATE_ADDRESS=$grpc CARGO_TARGET_DIR=$root/clients/rust/target
for block in $blocks; do
  echo "=== $readme:$block"
  sed -i -e "s/127\.0\.0\.1:8089/$sandbox/" -e "s/127\.0\.0\.1:9190/$secured/" -e "s|^gigagate=.*|gigagate=$work/repository|" "$work/$block.sh"
  (cd "$work/empty" && sh -eu "$work/$block.sh") 2>&1 | tee "$work/output"
  [ -s "$work/$block.shows" ] || fail "there is no comment that lists what the block at line $block shows"
  while read -r pattern; do
    grep -Eq -- "$pattern" "$work/output" || fail "the block at line $block does not show $pattern"
  done <"$work/$block.shows"
done
