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
refuse() {
  echo "deploy/secrets: $1" >&2
  exit 1
}
# Print whether a user of Redis is on, and its password or the hash of one: what users.acl says, else a password given here.
credentials() {
  known=$([ ! -e users.acl ] || awk -v user="$1" '$1 == "user" && $2 == user { print $3, $4 }' users.acl)
  case $known in
    "") printf 'on >%s\n' "$2" ;;
    "on >"?* | "off >"?* | "on #"?* | "off #"?*) printf '%s\n' "$known" ;;
    *) refuse "the line of $1 in users.acl should begin with: user $1 on >PASSWORD" ;;
  esac
}
# Print the address of Redis for a user, whose words of users.acl are given.
address() {
  case ${2#o* >} in
    *[!A-Za-z0-9._~-]*) refuse "say WATTLE_REDIS_URL of $1 in $3 yourself: users.acl has a hash, or a password that an address has to escape" ;;
    *) echo "redis://$1:${2#o* >}@$host:6379/0" ;;
  esac
}
has() { grep -qs "^$2=" "$1"; }
# Add NAME=value to a file that does not have the name.
add() {
  if ! has "$1" "$2"; then
    # After a last line that somebody left open.
    [ ! -s "$1" ] || [ -z "$(tail -c 1 "$1")" ] || echo >> "$1"
    printf '%s=%s\n' "$2" "$3" >> "$1"
  fi
}

# Before there were users all had this one password; who is logged in with it is the user default.
old=$(sed -n 's/^requirepass //p' redis.conf 2> /dev/null || true)
case $old in *[\"\'\ ]*) refuse "take the quotes of requirepass in redis.conf away, and the blanks in it" ;; esac
if [ $# -gt 0 ] && grep -qs '^WATTLE_REDIS_URL=' backend.env && ! grep -q "^WATTLE_REDIS_URL=.*@$host:" backend.env; then
  refuse "backend.env names another Redis than $host. Move the folder away, or change its addresses yourself"
fi
default=$(credentials default "${old:-$(new)}")
backend=$(credentials wattle-backend "$(new)")
worker=$(credentials wattle-worker "$(new)")
keda=$(credentials wattle-keda "$(new)")
{
  # Literally: a password may have any character. Fields 3 and 4 are the two words.
  DEFAULT=$default BACKEND=$backend WORKER=$worker KEDA=$keda awk '
    { split(ENVIRON[toupper(substr($2, index($2, "-") + 1))], words, " "); $3 = words[1]; $4 = words[2]; print }
  ' ../redis/users.acl
  # Users that somebody added.
  [ ! -e users.acl ] || grep -v -e '^user default ' -e '^user wattle-\(backend\|worker\|keda\) ' users.acl || true
} > users.acl.new
mv users.acl.new users.acl

touch wattle.env
# Whose Redis is elsewhere keeps it.
if ! grep -q '^WATTLE_REDIS_URL=' wattle.env || grep -q '^WATTLE_REDIS_URL=.*@redis:6379/0$' wattle.env; then
  if ! has backend.env WATTLE_REDIS_URL; then
    url=$(address wattle-backend "$backend" backend.env)
    add backend.env WATTLE_REDIS_URL "$url"
  fi
  if ! has worker.env WATTLE_REDIS_URL; then
    url=$(address wattle-worker "$worker" worker.env)
    add worker.env WATTLE_REDIS_URL "$url"
  fi
  add keda.env username wattle-keda
  case $keda in
    *" >"*) add keda.env password "${keda#o* >}" ;;
    *) has keda.env password || refuse "say password= of wattle-keda in keda.env yourself: users.acl has its hash" ;;
  esac
fi
touch backend.env worker.env keda.env

# One token in two files: what the backend has counts.
if has backend.env WATTLE_METRICS_TOKEN; then
  sed -n 's/^WATTLE_METRICS_TOKEN=//p' backend.env | tail -n 1 | tr -d '\n' > metrics-token
fi
[ -s metrics-token ] || new > metrics-token
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
case $host in
  redis) next="docker compose --file deploy/compose.yaml up --build --detach" ;;
  *) next="the lines behind this one in docs/production.md" ;;
esac
echo "deploy/secrets is complete. Now: $next"
