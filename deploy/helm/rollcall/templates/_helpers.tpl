{{- define "rollcall.fullname" -}}
{{- if contains "rollcall" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-rollcall" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object; with a component: also those that select its pods. */}}
{{- define "rollcall.selector" -}}
app.kubernetes.io/name: rollcall
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "rollcall.labels" -}}
{{ include "rollcall.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "rollcall.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The secret variables that each program reads. */}}
{{- define "rollcall.secrets" -}}
{{- if eq .component "migrate" -}}
DATABASE_URL DATABASE_LISTEN_URL
{{- else -}}
DATABASE_URL DATABASE_LISTEN_URL REDIS_URL ROLLCALL_SECRET ROLLCALL_SECRET_PREVIOUS SMTP_URL SMTP_OAUTH_CLIENT_SECRET ROLLCALL_POSTMARK_PASSWORD
{{- if eq .component "api" }} ADMIN_API_TOKEN{{ end -}}
{{- end -}}
{{- end -}}

{{/* The start of a pod's spec: who it runs as, and nothing of the cluster. */}}
{{- define "rollcall.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
volumes:
  # Files instead of variables, which every child process and a dump would show. The
  # programs read them as systemd's credentials.
  - name: secrets
    secret:
      secretName: {{ .secret | quote }}
      defaultMode: 0440
      optional: true # keys that are missing are left out; a program says which it needs
      items:
      {{- range splitList " " (include "rollcall.secrets" .) }}
        - {key: {{ . }}, path: rollcall_{{ . }}}
      {{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{/* The start of a container. */}}
{{- define "rollcall.container" -}}
name: {{ .component }}
image: {{ include "rollcall.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: secrets, mountPath: /run/credentials/rollcall, readOnly: true}
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{/* The environment of every program; settings of the user come last. */}}
{{- define "rollcall.environment" -}}
- {name: CREDENTIALS_DIRECTORY, value: /run/credentials/rollcall}
{{- range $name, $value := .Values.config }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}

{{/* What schedules and restarts the pods of a Deployment. */}}
{{- define "rollcall.scheduling" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "rollcall.selector" . | nindent 8 }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Ready once PostgreSQL answers and the schema is current; alive while it answers. */}}
{{- define "rollcall.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 2
  failureThreshold: 30 # waits for the database up to 30 s
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}
