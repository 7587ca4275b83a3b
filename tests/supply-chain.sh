#!/bin/sh
# Licenses, bans, sources and known advisories of the dependencies.
set -eu
cd "$(dirname "$0")/.."
cargo deny --locked --log-level error check licenses bans sources
# The advisories lie in a repository of their own, which not every machine reaches. Then that is said, and not called a pass.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if cargo deny --locked --log-level error check advisories >"$said" 2>&1; then
    cat "$said"
elif grep -qE "failed to (fetch|get|clone|open).*(advisory|FETCH_HEAD)|advisory.db" "$said" && ! grep -q "^error\[" "$said"; then
    echo "NOT CHECKED: advisories, since their database cannot be fetched from here" >&2
    tail -n 2 "$said" >&2
else
    cat "$said" >&2
    exit 1
fi
