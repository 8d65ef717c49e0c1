#!/usr/bin/env bash
# Runs every shell block of clients/LANGUAGE/README.md, in order and in an empty folder, against its own
# gateway. The comment before a block lists what the block shows, separated by "; ":
#
#   clients/readme-test.sh java
#
# The README's variable gigagate names a copy of the repository as it is here, committed or not, but
# without the files that git ignores. Cargo builds in the repository's own target folder, so that it compiles crates once.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
readme=$root/clients/${1:?the folder of a language}/README.md
work=$(mktemp -d)
gateway=

finish() {
  if [ -n "$gateway" ]; then
    kill "$gateway"
    wait "$gateway" || true
  fi
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

# It sets $gateway, and $grpc and $sandbox to where it listens.
start() {
  go -C "$root" build -o "$work/gigagate" ./cmd/gigagate
  exec 3< <(exec "$work/gigagate" serve --sandbox "--journal=sqlite:$work/g.db" --grpc-listen=127.0.0.1:0 \
    --http-listen=127.0.0.1:0 --admin-listen=127.0.0.1:0 --sandbox-listen=127.0.0.1:0 2>"$work/log")
  gateway=$!
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

# Writes the commands of each shell block to $work/N.sh, and what it shows to $work/N.shows. N is its line.
split() {
  awk -v work="$work" '
    /^<!-- shows: / { sub(/^<!-- shows: /, ""); sub(/ -->$/, ""); gsub(/; /, "\n"); shows = $0 "\n"; next }
    /^```sh$/ { block = work "/" NR; printf "%s", shows > (block ".shows"); shows = ""; next }
    /^```/ { block = "" }
    block { print > (block ".sh") }' "$readme"
}

snapshot "$work/repository"
start
split
blocks=$(find "$work" -maxdepth 1 -name '*.sh' -printf '%f\n' | sed 's/\.sh$//' | sort -n)
[ -n "$blocks" ] || fail "$readme has no commands"
export GIGAGATE_ADDRESS=$grpc CARGO_TARGET_DIR=$root/clients/rust/target
mkdir "$work/empty"
for block in $blocks; do
  echo "=== $readme:$block"
  sed -i -e "s/127\.0\.0\.1:8089/$sandbox/" -e "s|^gigagate=.*|gigagate=$work/repository|" "$work/$block.sh"
  (cd "$work/empty" && sh -eu "$work/$block.sh") 2>&1 | tee "$work/output"
  [ -s "$work/$block.shows" ] || fail "there is no comment that lists what the block at line $block shows"
  while read -r pattern; do
    grep -Eq -- "$pattern" "$work/output" || fail "the block at line $block does not show $pattern"
  done <"$work/$block.shows"
done
