#!/usr/bin/env bash
# A base image without a registry: Debian and the real programs, from Debian's mirror. As root.
#   docker/base-image.sh [TAG]      then: LBKIT_BASE_IMAGE=TAG make image
# Users do not need it: docker/Dockerfile starts from python:3-slim by itself.
set -euo pipefail

tag=${1:-lbkit-base}
packages=python3,python3-venv,ca-certificates,iproute2
packages=$packages,nginx-light,haproxy,apache2,caddy,redis-server,prometheus,prometheus-alertmanager

if docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag is there"
  exit
fi
mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\(http[^ ]*\).*/\2/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null | head -1) || true
: "${mirror:?no Debian mirror in /etc/apt: this makes an image from one}"
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include="$packages" "$release" "$root" "$mirror" >"$root.log" \
  || { tail -20 "$root.log"; exit 1; }
# What this machine trusts, the containers trust: there may be a proxy of the house in between.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp /etc/pip.conf "$root/etc/pip.conf" 2>/dev/null || true
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
tar -C "$root" -c . | docker import - "$tag" >/dev/null
rm -f "$root.log"
echo "$tag is made"
