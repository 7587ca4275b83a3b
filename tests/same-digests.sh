#!/bin/sh
# Builds every shipped profile with two programs and compares the images, for amd64 and arm64: for a change that must not change bytes.
# Usage: tests/same-digests.sh OLD-PROGRAM NEW-PROGRAM
set -eu
old=$(realpath "$1") new=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# build PROGRAM STORE PROFILE BOARD: the digest of the archive.
build() {
    "$1" build "$3" --board "$4" --locked --quiet --no-record --store "$2" -o archive:image.tar
    sha256sum <image.tar | cut -c 1-64
    rm image.tar
}

different=0
for profile in $("$old" list profiles --json | jq -r '.[].name'); do
    # Both get the same pins, so a mirror that changes meanwhile makes no difference.
    "$old" lock "$profile" --board amd64,arm64 --quiet --store old
    for board in amd64 arm64; do
        before=$(build "$old" old "$profile" "$board")
        after=$(build "$new" new "$profile" "$board")
        if [ "$before" = "$after" ]; then
            echo "same $profile $board $before"
        else
            echo "DIFFERENT $profile $board $before $after"
            different=1
        fi
    done
done
exit "$different"
