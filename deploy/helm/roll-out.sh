#!/usr/bin/env bash
# Roll out a release beside the one that runs (docs/upgrading.md). To go back, roll out the previous image again.
# Environment variables:
#   KUBECONFIG_CONTENT  a kubeconfig with permissions in one namespace
#   NAMESPACE           that namespace
#   ENVIRONMENT         a file of values in deploy/helm, without .yaml: staging or production
#   IMAGE               the image, named by its digest, which also names the release
#   RAMP                optional: stop when this percentage of the mailboxes moves to the release; without it, finish
set -euo pipefail
: "${KUBECONFIG_CONTENT:?is empty: give the environment a secret KUBECONFIG}"
: "${NAMESPACE:?is empty: give the environment a variable NAMESPACE}"
: "${ENVIRONMENT:?is empty: name a file of values in deploy/helm}"
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

folder="$(cd "$(dirname "$0")" && pwd)"
chart=signin-worker # also the name of the installation, and the first part of every name in it
digest="${IMAGE##*@sha256:}"
release="sha-${digest:0:12}" # digits alone would be a number in YAML

# The releases that run: their images, and whether they read events. `before` is Helm's revision to go back to.
declare -A images=() reads=()
before=""

# Look again before each step: whatever was read minutes ago may be what another roll-out has changed since.
look() {
    local running name image its_reads
    find_revision
    images=()
    reads=()
    running="$(kubectl get deployments --namespace "$NAMESPACE" \
        --selector "app.kubernetes.io/instance=$chart,app.kubernetes.io/component=worker" --output \
        'jsonpath={range .items[*]}{.metadata.labels.app\.kubernetes\.io/version}{" "}{.spec.template.spec.containers[0].image}{" "}{.metadata.annotations.signin-worker/reads}{"\n"}{end}')"
    while read -r name image its_reads; do
        if [[ -n $name ]]; then
            images[$name]="$image"
            reads[$name]="$its_reads"
        fi
    done <<< "$running"

    if [[ -z $before && ${#images[@]} -gt 0 ]]; then
        echo "Deployments of $chart run here that Helm does not know, so there would be no way back. Nothing was changed." >&2
        exit 70
    fi
}

# Find the revision to go back to; stop while Helm is at work. Helm 3 lists a pending revision only if it is asked to.
find_revision() {
    local listed
    listed="$(helm list --namespace "$NAMESPACE" --filter "^$chart\$" --deployed --failed --pending --uninstalling --output json)"
    if [[ $listed =~ \"status\":\ *\"(pending-[a-z]+|uninstalling)\" ]]; then
        echo "$chart is ${BASH_REMATCH[1]}: another roll-out is under way, or was killed. Nothing was changed just now." >&2
        echo "Wait for it. If it was killed, go back with helm rollback (docs/upgrading.md), and call this again." >&2
        exit 75
    fi

    before=""
    if [[ $listed =~ \"revision\":\ *\"?([0-9]+) ]]; then
        before="${BASH_REMATCH[1]}"
    elif [[ $listed == *"$chart"* ]]; then
        echo "helm list names no revision to go back to: $listed" >&2
        exit 70
    fi
}

# The value `releases` of the chart, as YAML.
releases() {
    echo "releases:"
    for name in "${!images[@]}"; do
        printf '  %s:\n    image: %s\n    reads: %s\n' "$name" "${images[$name]}" "${reads[$name]}"
    done
}

# Bring the installation to what `images` and `reads` say. Does not wait: an older release may be unwell, and yet stay.
upgrade() {
    helm upgrade "$chart" "$folder/signin-worker" --install --reset-values --namespace "$NAMESPACE" \
        --values "$folder/$ENVIRONMENT.yaml" --values - <<< "$(releases)"
}

# Deployments of the release, one a line.
deployments() {
    kubectl get deployments --namespace "$NAMESPACE" --output name --selector \
        "app.kubernetes.io/instance=$chart,app.kubernetes.io/version=$release"
}

become_ready() {
    local listed deployment
    listed="$(deployments)" && [[ -n $listed ]] || return 1
    for deployment in $listed; do
        kubectl rollout status "$deployment" --namespace "$NAMESPACE" --timeout 5m || return 1
    done
}

# Apply the release, reading events or not, and wait until it is ready. If it is not, everything goes back to how it was
# before, settings included: a new release is removed, and nothing belongs to it, as it was never ramped or promoted.
apply() {
    local back
    look
    back="$before"
    images[$release]="$IMAGE"
    reads[$release]="$1"
    if upgrade && become_ready; then
        return
    fi

    kubectl logs "deployment/$chart-$release" --namespace "$NAMESPACE" --tail 50 || true
    find_revision # stops if another roll-out is under way: it is not ours to take back
    if [[ -n $back ]]; then
        helm rollback "$chart" "$back" --namespace "$NAMESPACE"
    elif [[ ${#images[@]} -eq 1 ]]; then # only ours, which has never been ready
        helm uninstall "$chart" --namespace "$NAMESPACE"
    fi
    exit 1
}

release() {
    kubectl exec "deployment/$chart-$release" --namespace "$NAMESPACE" -- signin-worker release "$@"
}

look

# A new release reads no events yet: what it read would stay with it, ready or not.
if [[ ${reads[$release]:-false} != true ]]; then
    apply false
fi
if [[ -n ${RAMP:-} ]]; then
    release ramp "$RAMP"
    exit
fi
release promote
apply true

# The other releases read no more. They serve the mailboxes that have not moved yet, and are removed once they are drained.
drained="$(release drained)"
look
while read -r name; do
    if [[ -n $name && $name != "$release" ]]; then
        unset "images[$name]" "reads[$name]"
    fi
done <<< "$drained"
for name in "${!images[@]}"; do
    [[ $name == "$release" ]] || reads[$name]=false
done
upgrade
