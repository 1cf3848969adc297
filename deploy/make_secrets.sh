#!/bin/sh
# Make deploy/secrets: a new password for Redis, and the settings that have it. Run once before compose.yaml.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
  echo "deploy/secrets is there already; nothing was changed." >&2
  exit 1
fi
umask 077
mkdir secrets
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
echo "requirepass $password" > secrets/redis.conf
echo "WATTLE_REDIS_URL=redis://:$password@redis:6379/0" > secrets/wattle.env
echo "GF_SECURITY_ADMIN_PASSWORD=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" > secrets/grafana.env
database=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
echo "POSTGRES_PASSWORD=$database" > secrets/postgres.env
echo "# With --profile postgres: WATTLE_DATABASE_URL=postgresql://wattle:$database@postgres/wattle" > secrets/backend.env
echo "# Of the page: WATTLE_API_TOKEN, WATTLE_LIVE_URL, WATTLE_PAGE_USERS, WATTLE_PAGE_ROLES" > secrets/page.env
echo "deploy/secrets has the passwords. Now: docker compose --file deploy/compose.yaml up --build --detach"
