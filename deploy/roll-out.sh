#!/usr/bin/env bash
# Roll an image out, and back if it does not become ready. Reads KUBECONFIG_CONTENT, NAMESPACE and IMAGE.
set -euo pipefail
umask 077
KUBECONFIG="$(mktemp)"
export KUBECONFIG
trap 'rm -f "$KUBECONFIG"' EXIT
printf '%s' "${KUBECONFIG_CONTENT:?is empty: give the environment a secret KUBECONFIG}" > "$KUBECONFIG"
deployment=(--namespace "${NAMESPACE:?is empty: give the environment a variable NAMESPACE}" deployment/signin-worker)

kubectl set image "${deployment[@]}" "worker=${IMAGE:?is empty: name the image by its digest}"
if ! kubectl rollout status "${deployment[@]}" --timeout 5m; then
    kubectl rollout undo "${deployment[@]}"
    exit 1
fi
