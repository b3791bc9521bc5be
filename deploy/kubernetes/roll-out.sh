#!/usr/bin/env bash
# Roll out an image; roll back if it does not become ready. Environment variables:
#   KUBECONFIG_CONTENT  a kubeconfig with permissions in one namespace
#   NAMESPACE           that namespace
#   ENVIRONMENT         a folder of deploy/kubernetes: staging or production
#   IMAGE               the image, named by its digest
set -euo pipefail
: "${KUBECONFIG_CONTENT:?is empty: give the environment a secret KUBECONFIG}"
: "${NAMESPACE:?is empty: give the environment a variable NAMESPACE}"
: "${ENVIRONMENT:?is empty: name a folder of deploy/kubernetes}"
: "${IMAGE:?is empty: name the image by its digest}"
if [[ ! $IMAGE =~ ^[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}$ ]]; then
    echo "IMAGE must be named by its digest (registry/repository@sha256:…), so that it is certain what runs." >&2
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
    # Back to the revision from before, with its settings. Without --to-revision, undo would go one further back if
    # nothing was changed just now.
    [[ -z $before ]] || kubectl rollout undo "${deployment[@]}" --to-revision "$before"
    exit 1
fi
