#!/bin/sh
# Writes deploy/.env with a fresh secret for everything that needs one. Leaves an existing file
# alone: the passwords in it are already in the volumes.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
  echo "deploy/.env is there already"
  exit 0
fi
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
rabbitmq=$(secret)
{
  echo "WAYBILL_SECRET=$(secret)"
  echo "SANDBOX_SECRET=$(secret)"
  echo "SANDBOX_CALLBACK_SECRET=$(secret)"
  echo "POSTGRES_PASSWORD=$(secret)"
  echo "RABBITMQ_PASSWORD=$rabbitmq"
  echo "BUS_URL=amqp://waybill:$rabbitmq@rabbitmq:5672"
  echo "GRAFANA_PASSWORD=$(secret)"
} >.env
echo "wrote deploy/.env"
