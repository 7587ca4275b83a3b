#!/bin/sh
# A user's script, which runs under fakeroot after the tables were applied.
set -e
chown 1:1 "$1/srv/owned"
