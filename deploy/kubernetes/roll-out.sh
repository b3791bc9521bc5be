#!/usr/bin/env bash
# Roll out a release beside the one that runs (docs/upgrading.md). To go back, roll out the previous image again.
# Environment variables:
#   KUBECONFIG_CONTENT  a kubeconfig with permissions in one namespace
#   NAMESPACE           that namespace
#   ENVIRONMENT         a folder of deploy/kubernetes: staging or production
#   IMAGE               the image, named by its digest, which also names the release
#   RAMP                optional: stop when this percentage of the mailboxes moves to the release; without it, finish
set -euo pipefail
: "${KUBECONFIG_CONTENT:?is empty: give the environment a secret KUBECONFIG}"
: "${NAMESPACE:?is empty: give the environment a variable NAMESPACE}"
: "${ENVIRONMENT:?is empty: name a folder of deploy/kubernetes}"
: "${IMAGE:?is empty: name the image by its digest}"
if [[ ! $IMAGE =~ ^[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}$ ]]; then
    echo "IMAGE must be named by its digest (registry/repository@sha256:…), so that it is certain what runs." >&2
    exit 64
fi
if [[ -n ${RAMP:-} && ! $RAMP =~ ^[1-9][0-9]?$ ]]; then
    echo "RAMP must be a percentage from 1 to 99." >&2
    exit 64
fi

umask 077
KUBECONFIG="$(mktemp)"
export KUBECONFIG
trap 'rm -f "$KUBECONFIG"' EXIT
printf '%s' "$KUBECONFIG_CONTENT" > "$KUBECONFIG"

digest="${IMAGE##*@sha256:}"
release="sha-${digest:0:12}" # digits alone would be a number in YAML
deployment="deployment/signin-worker-$release"
rendered="$(kubectl kustomize "$(dirname "$0")/$ENVIRONMENT")"
rendered="${rendered//signin-worker:set-by-roll-out/$IMAGE}"
rendered="${rendered//release-set-by-roll-out/$release}"

in_namespace() {
    kubectl "$@" --namespace "$NAMESPACE"
}

# What the release's deployment has at this path, or nothing if there is no such deployment.
current() {
    in_namespace get "$deployment" --ignore-not-found --output "jsonpath={$1}"
}

# Apply the release in a role, and wait until it is ready. If it is not, go back to the revision from before, with its
# settings, or remove the deployment if it is new: nothing belongs to a release that was never ramped or promoted.
apply() {
    local before
    before="$(current '.metadata.annotations.deployment\.kubernetes\.io/revision')"
    in_namespace apply --filename - <<< "${rendered//role-set-by-roll-out/$1}"
    if ! in_namespace rollout status "$deployment" --timeout 5m; then
        if [[ -n $before ]]; then
            in_namespace rollout undo "$deployment" --to-revision "$before"
        else
            in_namespace logs "$deployment" --tail 50 || true
            in_namespace delete "$deployment"
        fi
        exit 1
    fi
}

release() {
    kubectl exec "$deployment" --namespace "$NAMESPACE" -- signin-worker release "$@"
}

# A new release reads no events yet: what it read would stay with it, ready or not.
role="$(current '.spec.template.spec.containers[0].args[2]')"
if [[ $role != all ]]; then
    apply worker
fi
if [[ -n ${RAMP:-} ]]; then
    release ramp "$RAMP"
    exit
fi
release promote
apply all

# The other releases read no more. They serve the mailboxes that have not moved yet, and are removed once they are drained.
others="$(in_namespace get deployments --selector app.kubernetes.io/name=signin-worker --output \
    'jsonpath={range .items[*]}{.metadata.name}{" "}{.spec.template.spec.containers[0].args[2]}{"\n"}{end}')"
while read -r name its_role; do
    if [[ $its_role == all && $name != "${deployment#*/}" ]]; then
        in_namespace patch "deployment/$name" --type json --patch \
            '[{"op": "replace", "path": "/spec/template/spec/containers/0/args/2", "value": "worker"}]'
    fi
done <<< "$others"
drained="$(release drained)"
while read -r name; do
    [[ -z $name ]] || in_namespace delete "deployment/signin-worker-$name" --ignore-not-found
done <<< "$drained"
