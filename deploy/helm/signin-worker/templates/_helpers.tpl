{{/* The name that all objects begin with. What is appended fits into 63 characters. */}}
{{- define "signin-worker.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 38 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 38 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods of this installation, whatever their release. */}}
{{- define "signin-worker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "signin-worker.labels" -}}
{{ include "signin-worker.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "signin-worker.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "signin-worker.fullname" .) -}}
{{- end -}}

{{/* A setting as text. To Helm, every number is a float: 16777216 would become 1.6777216e+07. */}}
{{- define "signin-worker.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end -}}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* A setting's value, or the default that is given. Takes (list . NAME DEFAULT). */}}
{{- define "signin-worker.setting" -}}
{{- $value := index (index . 0).Values.settings (index . 1) -}}
{{- if kindIs "invalid" $value }}{{ index . 2 }}{{ else }}{{ include "signin-worker.text" $value }}{{ end -}}
{{- end -}}

{{/* The Secret with the login of Strimzi's user, or nothing. */}}
{{- define "signin-worker.kafkaUser" -}}
{{- if .Values.strimzi.user.enabled }}{{ .Values.strimzi.user.name | default (include "signin-worker.fullname" .) }}{{ end -}}
{{- end -}}

{{/* The image that the setup Jobs run: that of a release that reads, or of any other. */}}
{{- define "signin-worker.setupImage" -}}
{{- $images := list -}}
{{- range $name, $release := .Values.releases -}}
{{- if $release.reads }}{{ $images = prepend $images $release.image }}{{ else }}{{ $images = append $images $release.image }}{{ end -}}
{{- end -}}
{{- first $images -}}
{{- end -}}

{{/* The pods of a release that serve workflows: its own number, which may be 0, or that of all. Takes (list . RELEASE). */}}
{{- define "signin-worker.replicas" -}}
{{- $own := (index . 1).replicas -}}
{{- include "signin-worker.text" (kindIs "invalid" $own | ternary (index . 0).Values.replicas $own) -}}
{{- end -}}

{{/* The port of an address or URL, or the default. Takes (list ADDRESS DEFAULT). */}}
{{- define "signin-worker.port" -}}
{{- $address := regexReplaceAll "^[a-z]+://" (index . 0) "" | trim -}}
{{- $host := regexReplaceAll "/.*$" $address "" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- if $port }}{{ $port }}{{ else if hasPrefix "http://" (index . 0) }}80{{ else }}{{ index . 1 }}{{ end -}}
{{- end -}}
