{{/* The settings as environment variables. They stand in the pod itself, so that a roll-back brings back the old ones. */}}
{{- define "signin-worker.environment" -}}
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ include "signin-worker.text" $value | quote }}
{{- end }}
{{- end }}
{{- range $name, $key := .Values.secret.files }}
{{- if and $key (not (and $.Values.strimzi.user.enabled (eq $name "SIGNIN_KAFKA__SASL_PASSWORD"))) }}
- name: {{ $name }}_FILE
  value: /run/secrets/signin-worker/{{ $key }}
{{- end }}
{{- end }}
{{- if .Values.strimzi.user.enabled }}
- name: SIGNIN_KAFKA__SASL_PASSWORD_FILE
  value: /run/secrets/kafka-user/password
{{- end }}
{{- if .Values.strimzi.user.enabled }}
- name: SIGNIN_KAFKA__SSL_CAFILE
  value: /run/secrets/kafka-ca/ca.crt
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "signin-worker.mounts" -}}
- name: secrets
  mountPath: /run/secrets/signin-worker
  readOnly: true
{{- if .Values.strimzi.user.enabled }}
- name: kafka-user
  mountPath: /run/secrets/kafka-user
  readOnly: true
{{- end }}
{{- if .Values.strimzi.user.enabled }}
- name: kafka-ca
  mountPath: /run/secrets/kafka-ca
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "signin-worker.volumes" -}}
- name: secrets
  secret:
    secretName: {{ .Values.secret.name }}
    defaultMode: 0440
{{- if .Values.strimzi.user.enabled }}
- name: kafka-user
  secret:
    secretName: {{ include "signin-worker.kafkaUser" . }}
    defaultMode: 0440
    items: [{key: password, path: password}]
{{- end }}
{{- if .Values.strimzi.user.enabled }}
- name: kafka-ca
  secret:
    secretName: {{ .Values.strimzi.cluster }}-cluster-ca-cert
    defaultMode: 0440
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What every pod of the chart has: no token, no privileges, and a user that reads the Secret's files. */}}
{{- define "signin-worker.podDefaults" -}}
serviceAccountName: {{ include "signin-worker.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001 # can read the Secret's files
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "signin-worker.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* One Deployment. Takes a dict of root, name (the release), image, replicas, component, role and scaled. */}}
{{- define "signin-worker.deployment" -}}
{{- $versioned := not (empty .root.Values.deployment) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "signin-worker.deploymentName" . }}
  labels:
    {{- include "signin-worker.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    app.kubernetes.io/version: {{ .name | quote }}
  annotations:
    signin-worker/reads: {{ .reads | quote }} # for roll-out.sh
spec:
  {{- if not .scaled }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "signin-worker.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
      {{- if $versioned }}
      app.kubernetes.io/version: {{ .name | quote }}
      {{- end }}
  minReadySeconds: 10
  {{- if $versioned }}
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  {{- else }}
  strategy:
    type: Recreate # without a worker deployment, two releases must not mix (docs/upgrading.md)
  {{- end }}
  template:
    metadata:
      labels:
        {{- include "signin-worker.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        app.kubernetes.io/version: {{ .name | quote }}
        {{- with .root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .root.Values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "signin-worker.podDefaults" .root | nindent 6 }}
      terminationGracePeriodSeconds: 45 # the worker stops within 30 s
      containers:
        - name: worker
          image: {{ .image | quote }}
          imagePullPolicy: {{ .root.Values.imagePullPolicy }}
          args: [run, --role, {{ .role }}]
          env:
            {{- if $versioned }}
            - name: SIGNIN_TEMPORAL__DEPLOYMENT
              value: {{ .root.Values.deployment | quote }}
            - name: SIGNIN_TEMPORAL__BUILD_ID
              value: {{ .name | quote }}
            {{- end }}
            {{- include "signin-worker.environment" .root | trim | nindent 12 }}
          ports:
            - name: http
              containerPort: 8080
          startupProbe:
            httpGet:
              path: /livez
              port: http
            periodSeconds: 2
            failureThreshold: 30
          livenessProbe:
            httpGet:
              path: /livez
              port: http
            periodSeconds: 10
            timeoutSeconds: 3
            failureThreshold: 3
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 5
            timeoutSeconds: 3
          resources:
            {{- toYaml .root.Values.resources | nindent 12 }}
          securityContext:
            {{- include "signin-worker.containerSecurity" .root | nindent 12 }}
          volumeMounts:
            {{- include "signin-worker.mounts" .root | nindent 12 }}
      volumes:
        {{- include "signin-worker.volumes" .root | nindent 8 }}
      topologySpreadConstraints:
        {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - topologyKey: {{ $key }}
          maxSkew: 1
          whenUnsatisfiable: {{ $.root.Values.whenUnsatisfiable }}
          labelSelector:
            matchLabels:
              {{- include "signin-worker.selector" $.root | nindent 14 }}
              app.kubernetes.io/component: {{ $.component }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
{{- end -}}

{{/* Releases run side by side under names of their own; without a worker deployment, one replaces the other. */}}
{{- define "signin-worker.deploymentName" -}}
{{- include "signin-worker.fullname" .root -}}
{{- if .root.Values.deployment }}-{{ .name }}{{ end -}}
{{- if eq .component "consumer" }}-consumer{{ end -}}
{{- end -}}
