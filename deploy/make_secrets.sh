#!/bin/sh
# Make deploy/secrets: passwords and tokens, and the settings that have them. Run once before compose.yaml, and again
# after each upgrade: it adds what is missing and renews the rights of Redis' users; what has a value keeps it.
# On Kubernetes (docs/production.md): sh deploy/make_secrets.sh wattle-redis.wattle.svc
set -eu
host=${1:-redis}
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
cd secrets

new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# The password of a user of Redis, where there is one.
known() { [ ! -e users.acl ] || sed -n "s/^user $1 on >\([^ ]*\) .*/\1/p" users.acl; }
# Add NAME=value to a file that does not have the name.
add() {
  if ! grep -qs "^$2=" "$1"; then
    # After a last line that somebody left open.
    [ ! -s "$1" ] || [ -z "$(tail -c 1 "$1")" ] || echo >> "$1"
    echo "$2=$3" >> "$1"
  fi
}

# Before there were users all had this one password; who is logged in with it is the user default.
old=$(sed -n 's/^requirepass //p' redis.conf 2> /dev/null || true)
default=$(known default)
backend=$(known wattle-backend)
worker=$(known wattle-worker)
keda=$(known wattle-keda)
default=${default:-${old:-$(new)}}
backend=${backend:-$(new)}
worker=${worker:-$(new)}
keda=${keda:-$(new)}
{
  sed -e "s/>DEFAULT_PASSWORD/>$default/" -e "s/>BACKEND_PASSWORD/>$backend/" \
    -e "s/>WORKER_PASSWORD/>$worker/" -e "s/>KEDA_PASSWORD/>$keda/" ../redis/users.acl
  # Users that somebody added.
  [ ! -e users.acl ] || grep -v -e '^user default ' -e '^user wattle-\(backend\|worker\|keda\) ' users.acl || true
} > users.acl.new
mv users.acl.new users.acl

touch wattle.env
# Whose Redis is elsewhere keeps it.
if ! grep -q '^WATTLE_REDIS_URL=' wattle.env || grep -q '^WATTLE_REDIS_URL=.*@redis:6379/0$' wattle.env; then
  add backend.env WATTLE_REDIS_URL "redis://wattle-backend:$backend@$host:6379/0"
  add worker.env WATTLE_REDIS_URL "redis://wattle-worker:$worker@$host:6379/0"
  add keda.env username wattle-keda
  add keda.env password "$keda"
fi
touch backend.env worker.env keda.env

[ -e metrics-token ] || new > metrics-token
# Prometheus' image reads it as a user of its own; the folder is closed to all but its owner.
chmod 644 metrics-token
add backend.env WATTLE_METRICS_TOKEN "$(cat metrics-token)"

add grafana.env GF_SECURITY_ADMIN_PASSWORD "$(new)"
add postgres.env POSTGRES_PASSWORD "$(new)"
database=$(sed -n 's/^POSTGRES_PASSWORD=//p' postgres.env)
grep -q WATTLE_DATABASE_URL= backend.env \
  || echo "# With --profile postgres: WATTLE_DATABASE_URL=postgresql://wattle:$database@postgres/wattle" >> backend.env
[ -e page.env ] || echo "# Of the page: WATTLE_API_TOKEN, WATTLE_LIVE_URL, WATTLE_PAGE_USERS, WATTLE_PAGE_ROLES" > page.env
# For secrets.toml, with which the page logs people in; its container reads it as a user of its own.
[ -d streamlit ] || { mkdir streamlit && chmod 755 streamlit; }
echo "deploy/secrets is complete. Now: docker compose --file deploy/compose.yaml up --build --detach"
