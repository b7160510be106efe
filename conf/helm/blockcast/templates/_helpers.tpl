{{- define "blockcast.name" -}}
{{- printf "%s" .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "blockcast.selector" -}}
app.kubernetes.io/name: blockcast
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "blockcast.labels" -}}
{{ include "blockcast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}
