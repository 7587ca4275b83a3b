#!/bin/sh
# Licences, bans, sources and known advisories of the dependencies.
set -eu
cd "$(dirname "$0")/.."
cargo deny --locked --log-level error check licenses bans sources
# The advisories lie in a repository of their own, which not every machine reaches; then that is said, and is not a pass.
if cargo deny --locked --log-level error fetch db 2>/dev/null; then
    cargo deny --locked --log-level error check advisories
else
    echo "NOT CHECKED: advisories (their database cannot be fetched from here)" >&2
    echo "checked instead: no dependency was yanked" >&2
    cargo deny --locked --offline --log-level error --config tests/deny-yanked.toml check advisories 2>/dev/null || true
fi
