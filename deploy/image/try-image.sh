#!/usr/bin/env bash
# Test an image before it is published: deploy/image/try-image.sh IMAGE. Needs nothing but Docker; containers have no network.
set -euo pipefail
image="${1:?is missing: deploy/image/try-image.sh IMAGE}"
hardened=(--network none --read-only --cap-drop ALL --security-opt no-new-privileges)

development=("${hardened[@]}" --env SIGNIN_ENVIRONMENT=development)
container=""
trap '[[ -z $container ]] || docker rm --force "$container" > /dev/null' EXIT

fail() {
    echo "$image: $1" >&2
    exit 1
}

stop() {
    local code
    docker stop --time 30 "$container" > /dev/null
    code="$(docker inspect --format '{{.State.ExitCode}}' "$container")"
    [[ $code -eq 0 ]] || fail "it should exit with 0 after SIGTERM $1, not with $code"
    docker rm "$container" > /dev/null
    container=""
    echo "SIGTERM $1: exits with 0"
}

code=0
output="$(docker run --rm "${hardened[@]}" "$image" 2>&1)" || code=$?
[[ $code -eq 78 && $output == *SIGNIN_KEYS__ACCOUNT* ]] || fail "without settings it should name them and exit with 78, not with $code: $output"
echo "without settings: names them and exits with 78"

user="$(docker run --rm "${hardened[@]}" --entrypoint python "$image" -c 'import os; print(os.getuid())')"
[[ $user -ne 0 ]] || fail "it runs as root"
echo "user: $user"

for program in sh bash apt-get dpkg perl pip mount; do
    docker run --rm "${hardened[@]}" --entrypoint "$program" "$image" --version > /dev/null 2>&1 && fail "it contains $program"
done
echo "no shell, no package manager"

container="$(docker run --detach "${development[@]}" "$image")"
stop "during the start"

# With a proxy that does not answer: the worker's health check must not use it.
container="$(docker run --detach "${development[@]}" --env http_proxy=http://127.0.0.1:9 "$image")"
for _ in {1..90}; do
    health="$(docker inspect --format '{{.State.Health.Status}}' "$container")"
    [[ $health == starting ]] || break
    sleep 1
done
[[ $health == healthy ]] || fail "it is $health: $(docker logs "$container" 2>&1 | tail -n 5)"
echo "without network, capabilities and writable files: healthy"
stop "while it runs"
