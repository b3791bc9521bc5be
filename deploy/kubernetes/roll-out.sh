#!/usr/bin/env bash
# Roll an image out, and back if it does not become ready. Reads from the environment:
#   KUBECONFIG_CONTENT  rights on one namespace suffice
#   NAMESPACE           that namespace
#   ENVIRONMENT         a folder of deploy/kubernetes: staging, production
#   IMAGE               the image by its digest
set -euo pipefail
: "${KUBECONFIG_CONTENT:?is empty: give the environment a secret KUBECONFIG}"
: "${NAMESPACE:?is empty: give the environment a variable NAMESPACE}"
: "${ENVIRONMENT:?is empty: name a folder of deploy/kubernetes}"
: "${IMAGE:?is empty: name the image by its digest}"
if [[ ! $IMAGE =~ ^[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}$ ]]; then
    echo "IMAGE is not named by its digest (registry/repository@sha256:…), so nobody could say what runs." >&2
    exit 64
fi

umask 077
KUBECONFIG="$(mktemp)"
export KUBECONFIG
trap 'rm -f "$KUBECONFIG"' EXIT
printf '%s' "$KUBECONFIG_CONTENT" > "$KUBECONFIG"
deployment=(deployment/signin-worker --namespace "$NAMESPACE")

manifests="$(kubectl kustomize "$(dirname "$0")/$ENVIRONMENT")"
before="$(kubectl get "${deployment[@]}" --ignore-not-found --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}')"
kubectl apply --namespace "$NAMESPACE" --filename - <<< "${manifests//signin-worker:set-by-roll-out/$IMAGE}"
if ! kubectl rollout status "${deployment[@]}" --timeout 5m; then
    # To the revision that was there, with its settings: "the one before" is another if nothing was changed just now.
    [[ -z $before ]] || kubectl rollout undo "${deployment[@]}" --to-revision "$before"
    exit 1
fi
