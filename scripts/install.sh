#!/usr/bin/env bash
# Brings a Debian machine to what the whole test run needs, and starts the two brokers.
#
#   WAYBILL_INSTALL=1 bash scripts/install.sh   installs what is missing (root), then starts
#   bash scripts/install.sh                     only lists what is missing, changes nothing
#
# Safe to repeat: with everything there it takes well under a second. PostgreSQL is not in the list,
# because npm brings it. Prometheus is wanted for promtool alone and is never started.
set -euo pipefail

# What must be on the PATH, and the Debian package that brings it.
needs=(
  redis-server:redis-server
  rabbitmq-server:rabbitmq-server
  promtool:prometheus
  chromium:chromium
  ss:iproute2
)

say() { printf 'install: %s\n' "$*"; }

# The broker's launcher and ss lie in sbin, which is not on everybody's PATH.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=()
for need in "${needs[@]}"; do
  command -v "${need%%:*}" >/dev/null 2>&1 || missing+=("${need##*:}")
done
# The pinned Node is linked against it, and slim images leave it out.
ldconfig -p | grep 'libatomic\.so\.1' >/dev/null || missing+=(libatomic1)

if [ "${WAYBILL_INSTALL:-}" != 1 ]; then
  if [ "${#missing[@]}" -gt 0 ]; then
    say "missing: ${missing[*]} (WAYBILL_INSTALL=1 installs them)"
  else
    say 'nothing is missing'
  fi
  exit 0
fi

install_missing() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "cannot install ${missing[*]}: that takes root and apt-get"
    return 1
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # Packages try to start their services, which a container without systemd cannot do and which this
  # script does itself. A policy that answers 101 makes dpkg leave them alone.
  local policy=/usr/sbin/policy-rc.d planted=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    planted=yes
  fi
  local log failed=
  log=$(mktemp)
  {
    apt-get -o Acquire::Retries=3 update </dev/null &&
      apt-get -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install -y --no-install-recommends \
        "${missing[@]}" </dev/null
  } >"$log" 2>&1 || failed=yes
  if [ -n "$planted" ]; then rm -f "$policy"; fi
  if [ -n "$failed" ]; then
    tail -n 40 "$log"
    rm -f "$log"
    say "installing ${missing[*]} failed"
    return 1
  fi
  rm -f "$log"
}

if [ "${#missing[@]}" -gt 0 ]; then install_missing; fi

accepts() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

await_port() {
  local name=$1 port=$2 seconds=$3 waited=0
  until accepts "$port"; do
    if [ "$waited" -ge $((seconds * 5)) ]; then
      say "$name does not accept connections on $port after $seconds s"
      return 1
    fi
    sleep 0.2
    waited=$((waited + 1))
  done
}

# A daemon that kept this script's output open would keep a waiting CI pipe open for ever: both get
# /dev/null in place of all three streams.
if ! accepts 6379; then
  redis-server --daemonize yes --bind 127.0.0.1 -::1 --port 6379 --save '' --appendonly no \
    --dir /tmp </dev/null >/dev/null 2>&1
  await_port redis-server 6379 10
  say 'started redis-server on 127.0.0.1:6379'
fi

if ! accepts 5672; then
  # Loopback only, the node's own distribution port and the port mapper included: guest/guest is
  # the whole of its access control here.
  RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    rabbitmq-server -detached </dev/null >/dev/null 2>&1
  await_port rabbitmq-server 5672 90
  say 'started rabbitmq-server on 127.0.0.1:5672'
fi

say 'ready: redis 6379, rabbitmq 5672, promtool, chromium, ss'
