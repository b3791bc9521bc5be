#!/usr/bin/env bash
# Try an image before it goes anywhere: deploy/image/try-image.sh IMAGE. Needs Docker only: the container sees no network.
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
    [[ $code -eq 0 ]] || fail "SIGTERM $1 should end it with 0, not with $code"
    docker rm "$container" > /dev/null
    container=""
    echo "SIGTERM $1: ends with 0"
}

code=0
said="$(docker run --rm "${hardened[@]}" "$image" 2>&1)" || code=$?
[[ $code -eq 78 && $said == *SIGNIN_KEYS__ACCOUNT* ]] || fail "without settings it should name them and end with 78, not with $code: $said"
echo "without settings: names them and ends with 78"

user="$(docker run --rm "${hardened[@]}" --entrypoint python "$image" -c 'import os; print(os.getuid())')"
[[ $user -ne 0 ]] || fail "it runs as root"
echo "user: $user"

for program in sh bash apt-get dpkg perl pip mount; do
    docker run --rm "${hardened[@]}" --entrypoint "$program" "$image" --version > /dev/null 2>&1 && fail "it holds $program"
done
echo "no shell, no package manager"

container="$(docker run --detach "${development[@]}" "$image")"
stop "during the start"

# A proxy that does not answer: what the worker asks of itself must not go there.
container="$(docker run --detach "${development[@]}" --env http_proxy=http://127.0.0.1:9 "$image")"
for _ in {1..90}; do
    health="$(docker inspect --format '{{.State.Health.Status}}' "$container")"
    [[ $health == starting ]] || break
    sleep 1
done
[[ $health == healthy ]] || fail "it is $health: $(docker logs "$container" 2>&1 | tail -n 5)"
echo "with nothing in reach, no capability and no file to write to: healthy"
stop "while it runs"
