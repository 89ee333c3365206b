"""Public reports by people who run container tasks from Airflow, and the tests that hold them.

Each report was tried here once. A key is what was tried. It stands for a kind: its tests also try two
neighbours at least, that nobody has reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Held(NamedTuple):
    """What holds a report.

    Attributes:
        tests: `<file below tests/>::<function>`, or a file with cases that such a function reads.
        cases: words of these files: the report's own case, and its neighbours. None: a test walks every
            member of the kind.
    """

    tests: tuple[str, ...]
    cases: tuple[str, ...] | None


#: The cases of tests/e2e/test_gateway_differential.py and of test_gateway_clients.py.
OPERATOR, PROGRAM = "e2e/inside/docker_tasks.py", "e2e/inside/docker_program.py"
DIFFERENTIAL = "e2e/test_gateway_differential.py::test_the_same_as_docker_or_listed"
CLIENTS = "e2e/test_gateway_clients.py::test_the_docker_program_does_the_same_or_listed"
MANIFEST, WAITING = "gateway/test_cluster_manifest.py", "gateway/test_cluster_waiting.py"
BAD = "render/test_bad_values.py::test_is_refused"
CONTRADICTIONS = "render/bad_values/contradictions.py"

#: In DAGs and in the clients that they use.
IN_DAGS: Mapping[str, Held] = {
    "a task that reads the internet, with the default values": Held(
        (
            "policies/test_docs.py::test_task_pods_reach_the_world_and_neither_the_release_nor_metadata",
            "render/test_network.py::test_egress_of_tasks_is_a_switch_per_task_namespace",
            "gateway/test_remarks.py::test_a_failed_container_under_strict_egress_names_the_policy",
            "local_settings/test_denials.py::test_a_failed_pod_under_strict_egress_names_the_policy",
        ),
        ("203.0.113.7", '{"app": "database"}', "10.20.30.40"),
    ),
    "a claim that cannot be mounted, a sandbox that cannot be created": Held(
        (
            f"{WAITING}::test_what_the_node_cannot_prepare_fails_with_the_events_words",
            "e2e/gateway_cluster/test_waits.py::test_a_claim_that_cannot_be_mounted",
        ),
        ("FailedMount", "FailedCreatePodSandBox", "FailedAttachVolume", "NetworkNotReady"),
    ),
    "an image's own user, its home and its working directory": Held(
        (
            "gateway/test_cluster_users.py::test_an_image_with_a_number_runs_as_it_is",
            "gateway/test_cluster_users.py::test_what_the_kubelet_does_not_take_runs_all_the_same",
            "gateway/test_cluster_manifest.py::test_environment",
            DIFFERENTIAL,
            OPERATOR,
        ),
        (
            "number:1",
            "root:1",
            "named:1",
            "user: none, its name",
            "user: none, a file in the working directory",
        ),
    ),
    "many tasks at once under a quota": Held(
        (
            f"{WAITING}::test_a_conflict_about_the_quota_is_tried_again",
            "gateway/test_cluster_creation.py::test_containers_run_in_the_order_of_their_starts",
            "gateway/test_cluster_creation.py::test_what_passes_is_waited_for",
            "e2e/gateway_cluster/test_waits.py::test_containers_wait_for_a_full_quota_in_the_order_of_their_starts",
        ),
        ("[409, 429, 500, 503]", '"pods": 1', '"limits.memory": 4 * GIB', '"requests.nvidia.com/gpu": 1'),
    ),
    "@task.docker that returns 6 MiB": Held(
        (
            "gateway/test_cluster_retrieval.py::test_a_file_comes_back_as_it_is",
            "gateway/test_remarks.py::test_a_result_that_is_too_large_fails_the_task_with_the_reason",
            "e2e/gateway_cluster/test_results.py::test_a_large_result",
            DIFFERENTIAL,
            OPERATOR,
        ),
        ("@task.docker that returns 6 MiB", "20 << 20", "64 << 20"),
    ),
    "retrieve_output_path=/tmp/out/result.pkl": Held(
        (
            "gateway/test_cluster_retrieval.py::test_a_file_below_tmp_needs_only_the_directory",
            "gateway/test_cluster_retrieval.py::test_a_file_elsewhere_hides_nothing_beside_it",
            "e2e/gateway_cluster/test_results.py::test_retrieval_from_anywhere",
        ),
        ("/tmp/out/result.pkl", "/app/$out/result.pkl", "/usr/lib/o"),
    ),
    "mode dind: an image whose entrypoint must be process 1 (s6-overlay)": Held(
        (
            "render/test_dind_daemon.py::test_containers_have_an_init_unless_the_value_is_false",
            "e2e/dind/test_daemon.py::test_the_daemon_has_its_options",
        ),
        ('{"init": False}', '{"init": True}', '{"init": None}'),
    ),
    "mode dind behind a proxy": Held(
        (
            "render/test_dind_client.py::test_the_daemon_gets_the_proxy_and_what_goes_past_it",
            "render/test_dind_client.py::test_a_proxys_password_stays_in_its_secret",
            "render/test_proxy.py::test_a_daemon_has_the_releases_proxy_or_its_own",
            "e2e/dind/test_init.py::test_the_daemon_pulls_through_its_proxy",
        ),
        ('"https": PROXY', '"existingSecret": "proxy"', '"http": "http://other:1"'),
    ),
    "docker.from_env().containers.run(...) in a Python task": Held(
        ("gateway/test_clients.py::test_the_high_level_client_runs", CLIENTS, PROGRAM),
        ("docker-py: run", "docker-py: run, a stream", "docker-py: stop", "remove=True"),
    ),
    "docker-py's own integration tests": Held(
        (
            "gateway/test_clients.py::test_what_the_high_level_client_reads",
            "gateway/test_clients.py::test_a_wait_that_names_its_end",
            "gateway/test_clients.py::test_what_was_removed_does_not_come_back",
            "gateway/test_clients.py::test_run_detached_and_removed_without_a_wait",
            "gateway/test_server.py::test_headers_that_are_lists_may_come_twice",
            "gateway/test_server.py::test_a_query_name_twice_is_no_matter_where_nothing_is_served",
            "gateway/test_server.py::test_a_large_body_of_what_is_not_served_is_answered",
        ),
        ("LogConfig", "CgroupnsMode", "Memory", 'condition="removed"', "changes=", "ignore_removed=True"),
    ),
    "CreateContainerError for ten seconds": Held(
        (
            f"{WAITING}::test_an_error_that_goes_away_costs_nothing_but_a_line",
            f"{WAITING}::test_an_error_that_stays_has_a_limit",
        ),
        ('name "x" is reserved', "context deadline exceeded", "RunContainerError"),
    ),
    "Airflow images with Python 3.10": Held(
        ("gateway/test_pythons.py::test_containers_run",), ('"3.10"', '"3.12"', '"3.13"')
    ),
    "700 MiB without mem_limit, and a kill for memory": Held(
        (
            "render/test_docker_gateway.py::test_a_container_without_limits_gets_the_same_in_each_mode",
            "gateway/test_remarks.py::test_a_container_killed_for_memory_says_limit_and_key",
            "local_settings/test_docker_memory.py::test_a_kill_is_in_the_log_and_in_the_answer",
            "e2e/test_gateway_differential.py::test_a_kill_for_memory_names_the_limit",
        ),
        ('({}, "4Gi")', '"100Mi"', "more memory than mem_limit"),
    ),
    "device_requests with count=-1, with device_ids": Held(
        (
            f"{MANIFEST}::test_gpus",
            "gateway/test_devices.py::test_requests_for_gpus",
            "e2e/gateway_cluster/test_gpus.py::test_gpus",
        ),
        ("Count=-1", 'DeviceIDs=["0"]', "Count=2", '[["tpu"]]'),
    ),
    "a bind mount of /data/{{ ds }}": Held(
        (f"{MANIFEST}::test_binds_map_all_that_is_below_them", f"{MANIFEST}::test_binds_outside_are_refused"),
        ("/data/2026-01-01", "/data/a/b", "/data/own/x", "/data/../etc"),
    ),
    "api_version 1.30, 1.37, 1.41": Held(
        (
            "gateway/test_api_versions.py::test_docker_py_runs_with_every_version",
            "gateway/test_api_versions.py::test_what_docker_operator_does",
            "gateway/test_api_versions.py::test_a_daemon_is_spoken_to_in_its_own_version",
            "render/test_dind_daemon.py::test_the_daemon_takes_the_oldest_api_version",
            DIFFERENTIAL,
            OPERATOR,
            CLIENTS,
            PROGRAM,
        ),
        ('"1.30"', '"1.37"', '"1.41"', '"1.24"', '"1.56"', '"auto"'),
    ),
    "docker_url of a usual proxy": Held(
        (
            "local_settings/test_docker_tasks.py::test_the_charts_hosts",
            "local_settings/test_docker_tasks.py::test_urls",
            "local_settings/test_docker_tasks.py::test_what_is_left_alone_is_logged",
        ),
        ("docker-proxy", "host.containers.internal", "172.17.0.1", "docker-socket-proxy", "tcp://far:2375"),
    ),
    "extra_hosts and hostname in upper case, with _ or a dot": Held(
        (
            f"{MANIFEST}::test_names_that_kubernetes_takes_in_lower_case",
            f"{MANIFEST}::test_names_that_it_does_not_take_say_what_to_use",
            DIFFERENTIAL,
        ),
        ("MyHost", "my_db", "a.example.com", "MyDb.Example.com", "Not_A_Name"),
    ),
    "ulimits": Held(
        ("gateway/test_remarks.py::test_what_is_ignored_is_the_first_line", DIFFERENTIAL),
        ('"Ulimits": ULIMITS', '"PidsLimit": 100', '"OomScoreAdj": 100'),
    ),
    "mode dind: binds of what the worker mounts": Held(
        (
            "render/test_dind_volumes.py::test_the_daemon_has_them_at_the_workers_path",
            "e2e/dind/test_volumes.py::test_tasks_mount_the_workers_directories",
        ),
        ('"/data"', '"/srv/part"', '"/usr/local/airflow/dags"'),
    ),
    "KubernetesPodOperator in another namespace": Held(
        ("local_settings/test_denials.py::test_a_denied_right_names_its_value",),
        ('namespace="airflow"', '"patch", "jobs", "batch"', '"create", "pods/exec"'),
    ),
    "KubernetesPodOperator on the nodes of tasks.pod": Held(
        (
            "local_settings/test_pods.py::test_where_pods_run_is_a_default",
            "render/test_docker_gateway.py::test_groups_of_one_namespace_may_have_other_pods",
        ),
        ('"nodeSelector"', '"tolerations"', '"priorityClassName"'),
    ),
    "a connection with $$ in its password": Held(
        (
            "render/test_config.py::test_connections_and_variables_arrive_as_written",
            f"{MANIFEST}::test_dollars_stay_dollars",
        ),
        ('"p$$w"', '"$(PYTHONUNBUFFERED)"', '"a$b$$$"'),
    ),
    "custom resources, SparkKubernetesOperator": Held(
        (
            "render/test_task_namespaces.py::test_rules_are_for_custom_resources",
            "local_settings/test_denials.py::test_a_denied_right_names_its_value",
            "api/test_fence_objects.py::test_metadata_of_custom_resources",
        ),
        ("sparkoperator.k8s.io", "kueue.x-k8s.io", '"rbac.authorization.k8s.io"'),
    ),
    "DAGs that ask Airflow's configuration for the namespace": Held(
        (
            "render/test_task_namespaces.py::test_dags_that_ask_airflow_for_the_namespace_get_the_task_namespace",
        ),
        ("AIRFLOW__KUBERNETES__NAMESPACE", "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE", '"own": {"mode"'),
    ),
    "what Airflow 3 no longer takes": Held(
        ("dags/test_migrating.py::test_the_command_finds_each_old_form", "../docs/migrating.md"),
        ("auto_remove=True", "schedule_interval=", "resources={", "provide_context=True", "days_ago"),
    ),
    "a worker whose log directory is full": Held(
        (
            "e2e/test_log_retention.py::test_no_log_evicts_a_worker",
            "scripts/test_groom_logs.py::test_the_oldest_go_until_the_rest_is_small_enough",
            "scripts/test_groom_logs.py::test_a_file_that_a_silent_process_writes_stays",
            "scripts/test_groom_logs.py::test_it_says_when_what_is_written_is_too_much",
        ),
        ("small_enough", "silent_process", "too_much"),
    ),
    "the docker program in a task": Held(
        (
            CLIENTS,
            PROGRAM,
            "gateway/test_clients.py::test_run",
            "gateway/test_clients.py::test_what_is_not_served_names_the_way_out",
            "gateway/test_program_flags.py::test_a_flag_is_taken_or_refused_by_its_field",
        ),
        None,
    ),
    "Airflow's own system DAGs": Held(
        ("e2e/system_dags/test_system_dags.py::test_they_succeed_or_are_listed", "../docs/migrating.md"), None
    ),
}

#: In values and overlays.
IN_VALUES: Mapping[str, Held] = {
    "socket.filter: null": Held(
        (
            "policies/test_missing_values.py::test_null_opens_nothing",
            "render/test_docker_gateway.py::test_null_opens_nothing",
        ),
        None,
    ),
    "socket.allowed.binds with / or /etc, limits of 0": Held(
        (
            "render/test_docker_gateway.py::test_what_is_allowed_is_checked",
            "policies/test_mutations.py::test_every_weakening_of_a_release_is_caught",
            "policies/mutations/configuration.py",
        ),
        ('"/etc/cron.d"', '"/var/run"', '"/", "/a/"', '"cpu", "0m"'),
    ),
    "every admission list [*]": Held(
        (
            "policies/test_lint.py::test_every_list_that_admits_everything_is_found",
            "policies/test_lint.py::test_exempt_groups",
        ),
        None,
    ),
    "eight groups with namespaces: Helm's Secret exceeds 1 MiB": Held(
        (
            "render/test_release_size.py::test_many_groups_with_namespaces_fit",
            "render/test_release_size.py::test_each_copy_has_the_same_data_as_the_only_one",
            "api/test_helm.py::test_config_maps_in_several_namespaces",
            "render/test_contracts.py::test_contracts",
        ),
        ('"kubernetes"', '"socket"', '"dind"'),
    ),
    "Argo CD prunes Secrets made in the cluster": Held(
        ("scripts/test_create_secrets.py::test_argo_cd_leaves_the_secrets_alone",),
        ("airflow-admin", "airflow-fernet-key", "airflow-redis"),
    ),
    "dind.dataVolume of a claim": Held(
        (BAD, "render/bad_values/collisions.py"), ('"persistentVolumeClaim"', '"hostPath"', '"nfs"')
    ),
    "FAB: the web server's configuration reads a variable": Held(
        (
            "render/test_dags.py::test_create_admin_has_the_variables_of_the_api_server",
            "render/test_extension_points.py::test_every_container_that_runs_airflow_has_it",
        ),
        ("OIDC_CLIENT_SECRET", "PLAIN", '("api-server", "create-admin")'),
    ),
    "volumes of a user reach main containers only": Held(
        (
            "render/test_extension_points.py::test_every_container_that_runs_airflow_has_it",
            "render/test_trust.py::test_every_container_that_runs_airflow_has_the_file",
        ),
        ('"migrate"', '"wait-for-migrations"', '"create-admin"'),
    ),
    "metrics to a StatsD host": Held(
        ("render/test_network.py::test_metrics_of_every_component_reach_their_server",),
        ("9125", "443", '"elsewhere"'),
    ),
    "values that contradict each other": Held(
        (BAD, CONTRADICTIONS),
        (
            "LocalExecutor",
            "worker_concurrency",
            "kubernetes_default",
            "DAGS_FOLDER",
            "an Ingress for any host",
        ),
    ),
    "a release name with dots, a long tag, a tag with a digest": Held(
        (
            BAD,
            CONTRADICTIONS,
            "render/bad_values/schema.py",
            "render/test_config.py::test_a_long_tag_becomes_a_legal_label",
        ),
        ("my.release", '"a" * 100', "8@sha256:", "https://registry.example.com"),
    ),
    "null for a map; U+2028; template traces": Held(
        (
            BAD,
            CONTRADICTIONS,
            "render/bad_values/schema.py",
            "render/test_config.py::test_values_are_literal",
        ),
        ('"null variant"', '"null limits"', "\\u2028", "a NUL character in", "$labels.pod"),
    ),
    "an overlay: component ingress or fab, and a ConfigMap of one's own": Held(
        (
            "overlays/test_users_overlay.py::test_entries_without_effect_are_found",
            "overlays/test_users_overlay.py::test_a_components_file_is_replaced_one_level_higher",
        ),
        ("AIRFLOW__API__BASE_URL", '"fab", "webserver-config", "replace"', '"mode-socket"'),
    ),
    "an overlay whose patch replaces a list of the fence": Held(
        ("overlays/test_users_overlay.py::test_a_fence_whose_variables_a_patch_replaced_is_found",), None
    ),
    "make lint: acceptances of a user's own": Held(
        (
            "policies/test_lint.py::test_a_users_own_acceptance",
            "policies/test_lint.py::test_our_own_examples_pass",
        ),
        ("ingress-tls, 1 place: Balancer.", "accepts nothing", "there is no policy"),
    ),
    "make lint: exit codes and formats": Held(
        (
            "policies/test_lint.py::test_bad_values_in_every_format",
            "policies/test_lint.py::test_several_files_after_one_option",
            "policies/test_lint.py::test_without_the_packages",
            "policies/test_lint.py::test_sarif",
        ),
        ('"text"', '"junit"', '"sarif"', "startLine"),
    ),
    "SARIF of make lint: helpUri, absolute paths, stdin, several files": Held(
        (
            "policies/test_lint_reports.py::test_rules_link_to_their_paragraphs",
            "policies/test_lint_reports.py::test_sarif_points_at_files_as_a_repository_has_them",
            "policies/test_lint_reports.py::test_sarif_is_valid",
        ),
        ("helpUri", "weak%20values.yaml", '"stdin"', "sub/a.json"),
    ),
    "malformed files that Helm took": Held(
        (
            "render/test_typos.py::test_malformed_values_are_refused",
            "render/test_typos.py::test_every_word_with_a_typo_is_named",
            "render/test_typos.py::test_every_field_with_a_typo_is_named",
            "render/test_typos.py::test_every_number_has_a_maximum",
            "policies/test_lint.py::test_what_cannot_be_checked",
            BAD,
        ),
        None,
    ),
    "notes of the variants of mode dind": Held(
        ("render/test_notes.py::test_names_what_a_variant_of_dind_gives_away",),
        ('"rootless"', '"userNamespace"', '"sysbox"'),
    ),
    "dags.volume of a ConfigMap": Held(
        ("render/test_dags.py::test_a_config_map_of_dags_gets_an_airflowignore",),
        ('"configMap"', '"secret"', '"projected"'),
    ),
    "replicas for an autoscaler": Held(
        ("render/test_extension_points.py::test_null_replicas_leave_the_field_to_an_autoscaler",),
        ('"apiServer"', '"dagProcessor"', '"own"'),
    ),
    "settings of the Docker gateway without a value": Held(
        ("render/test_docker_gateway.py::test_every_setting_is_set_by_a_value",), None
    ),
}

#: Report -> why no test holds it.
OPEN: Mapping[str, str] = {
    "mode dind: docker run -v of a directory that the daemon does not see": "So does Docker.",
}
