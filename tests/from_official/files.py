"""Values files as users of the official chart have them, in our words."""

from __future__ import annotations

CELERY = """
# Production. Owner: data platform
executor: CeleryExecutor
# Built by CI, with our providers
images:
  airflow:
    repository: registry.example.com/data/airflow
    tag: 3.2.2-7  # the last release
imagePullSecrets:
  - name: registry-login
fernetKeySecretName: own-fernet
apiSecretKeySecretName: own-api
jwtSecretName: own-jwt
postgresql: {enabled: false}
redis: {enabled: false}
pgbouncer:
  enabled: true
  # for 300 tasks
  maxClientConn: 500
  metadataPoolSize: 4
  resultBackendPoolSize: 5
  sslmode: require
  auth_type: scram-sha-256
  resources: {limits: {memory: 256Mi}}
  extraIni: "query_wait_timeout = 60"
data:
  metadataSecretName: own-metadata
  brokerUrlSecretName: own-redis
env:
  - name: AIRFLOW__CORE__PARALLELISM
    value: "64"
extraEnv: |
  - name: API_TOKEN
    valueFrom: {secretKeyRef: {name: own-token, key: token}}
extraEnvFrom: |
  - configMapRef: {name: own-variables}
secret:
  - {envName: SENTRY_DSN, secretName: own-sentry, secretKey: dsn}
# The platform team's nodes
nodeSelector: {pool: airflow}
volumes: [{name: ca, configMap: {name: company-ca}}]
volumeMounts: [{name: ca, mountPath: /etc/ca}]
scheduler:
  # two, for failover
  replicas: 2
  resources: {requests: {cpu: "1", memory: 4Gi}}
  podDisruptionBudget: {enabled: true, config: {maxUnavailable: 1}}
  logGroomerSidecar: {retentionDays: 7}
apiServer:
  serviceAccount: {annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::1:role/airflow"}}
triggerer: {persistence: {enabled: false}}
workers:
  keda: {enabled: true, minReplicaCount: 2, maxReplicaCount: 20}
  persistence: {enabled: false}
  resources: {limits: {cpu: "4", memory: 16Gi}}
  extraVolumes:
    - {name: dockersock, hostPath: {path: /var/run/docker.sock}}
    - {name: models, persistentVolumeClaim: {claimName: models}}
  extraVolumeMounts:
    - {name: dockersock, mountPath: /var/run/docker.sock}
    - {name: models, mountPath: /models}
    - {name: models, mountPath: /opt/models, subPath: current}
  env: [{name: DOCKER_HOST, value: "unix:///var/run/docker.sock"}, {name: OMP_NUM_THREADS, value: "4"}]
  celery:
    sets:
      - {name: High_Mem, queue: "highmem,huge", replicas: 3, resources: {limits: {memory: 64Gi}}}
dags:
  gitSync:
    enabled: true
    repo: git@github.com:example/dags.git
    branch: main
    ref: main
    subPath: dags
    period: 10s
    sshKeySecret: own-ssh
config:
  core: {default_timezone: Europe/Berlin}
  celery: {worker_concurrency: 8}
"""
KUBERNETES = """
executor: KubernetesExecutor
defaultAirflowTag: "3.1.8"
airflowVersion: "3.1.8"
labels: {team: data}
data:
  metadataConnection: {user: airflow, pass: pa55-word, host: db.example.com, db: airflow, sslmode: require}
postgresql: {enabled: false}
statsd: {enabled: false}
workers:
  kubernetes:
    resources: {requests: {cpu: 500m, memory: 1Gi}}
    tolerations: [{key: tasks, operator: Exists}]
config:
  logging:
    remote_logging: "True"
    remote_base_log_folder: s3://example-logs/airflow
    remote_log_conn_id: aws_logs
  api: {expose_config: "False"}
ingress:
  apiServer:
    enabled: true
    ingressClassName: nginx
    annotations: {cert-manager.io/cluster-issuer: internal}
    pathType: ImplementationSpecific
    hosts:
      - {name: airflow.example.com, tls: {enabled: true, secretName: airflow-tls}}
      - {name: other.example.com}
      - {name: shared.example.com, tls: {enabled: true, secretName: airflow-tls}}
      - {name: own.example.com, tls: {enabled: true, secretName: own-tls}}
      - {name: "{{ .Release.Name }}.example.com"}
webserver:
  defaultUser: {username: boss, email: boss@example.com, firstName: B, lastName: Oss, password: pa55-word}
  webserverConfig: |
    from flask_appbuilder.const import AUTH_OAUTH
    AUTH_TYPE = AUTH_OAUTH
extraConfigMaps:
  "{{ .Release.Name }}-variables":
    data: |
      AIRFLOW_VAR_STAGE: prod
quotas: {pods: "50"}
databaseCleanup: {enabled: true, schedule: "0 4 * * 0", retentionDays: 30}
"""
MINIMAL = "executor: CeleryExecutor\nwebserverSecretKey: pa55-word\n"
BOTH = """
executor: CeleryExecutor,KubernetesExecutor
workers:
  replicas: 3
  extraContainers:
    - {name: dind, image: "docker:27-dind", securityContext: {privileged: true}}
  podAnnotations: {example.com/scrape: "true"}
  celery:
    enableDefault: false
    persistence: {enabled: false}
    sets:
      - {name: fast, queue: default, replicas: 2}
      - {name: slow, queue: slow, keda: {enabled: true, maxReplicaCount: 5}, hostNetwork: true}
dags: {persistence: {enabled: true, existingClaim: dags}}
logs: {persistence: {enabled: true, size: 20Gi, storageClassName: nfs}}
priorityClasses: [{name: high, value: 1000, preemptionPolicy: Never}]
"""
OLD = """
executor: CeleryKubernetesExecutor
defaultAirflowTag: "2.10.5"
extraEnv: |
  - name: A
    value: '{{ .Release.Name }}'
"""
