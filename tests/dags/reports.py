"""Public reports by people who run container tasks from Airflow, and the tests that hold them.

Each report was tried here once. A key is what was tried; its tests are `<file below tests/>::<function>`.
OPEN has the reports that no test holds, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

#: In DAGs and in the clients that they use.
IN_DAGS: Mapping[str, tuple[str, ...]] = {
    "a task that reads the internet, with the default values": (
        "render/test_network.py::test_egress_of_tasks_is_a_switch_per_task_namespace",
        "policies/test_docs.py::test_task_pods_reach_the_world_and_neither_the_release_nor_metadata",
        "gateway/test_remarks.py::test_a_failed_container_under_strict_egress_names_the_policy",
    ),
    "a claim that cannot be mounted, a sandbox that cannot be created": (
        "gateway/test_cluster_waiting.py::test_what_the_node_cannot_prepare_fails_with_the_events_words",
        "e2e/gateway_cluster/test_waits.py::test_a_claim_that_cannot_be_mounted",
    ),
    "an image's own user, its home and its working directory": (
        "e2e/test_gateway_differential.py::test_the_same_as_docker_or_listed",
    ),
    "many tasks at once under a quota": (
        "gateway/test_cluster_waiting.py::test_a_conflict_about_the_quota_is_tried_again",
        "e2e/gateway_cluster/test_waits.py::test_containers_wait_for_a_full_quota_in_the_order_of_their_starts",
    ),
    "@task.docker that returns 6 MiB": (
        "e2e/gateway_cluster/test_results.py::test_a_large_result",
        "gateway/test_remarks.py::test_a_result_that_is_too_large_fails_the_task_with_the_reason",
    ),
    "retrieve_output_path=/tmp/out/result.pkl": (
        "gateway/test_cluster_retrieval.py::test_a_file_below_tmp_needs_only_the_directory",
        "e2e/gateway_cluster/test_results.py::test_retrieval_from_anywhere",
    ),
    "mode dind: an image whose entrypoint must be process 1 (s6-overlay)": (
        "render/test_dind_daemon.py::test_containers_have_an_init_unless_the_value_is_false",
        "e2e/dind/test_daemon.py::test_the_daemon_has_its_options",
    ),
    "mode dind behind a proxy": (
        "render/test_dind_client.py::test_the_daemon_gets_the_proxy_and_what_goes_past_it",
        "e2e/dind/test_init.py::test_the_daemon_pulls_through_its_proxy",
    ),
    "docker.from_env().containers.run(...) in a Python task": (
        "gateway/test_clients.py::test_the_high_level_client_runs",
    ),
    "CreateContainerError for ten seconds": (
        "gateway/test_cluster_waiting.py::test_an_error_that_goes_away_costs_nothing_but_a_line",
        "gateway/test_cluster_waiting.py::test_an_error_that_stays_has_a_limit",
    ),
    "Airflow images with Python 3.10": ("gateway/test_pythons.py::test_containers_run",),
    "700 MiB without mem_limit, and a kill for memory": (
        "e2e/test_gateway_differential.py::test_a_kill_for_memory_names_the_limit",
        "gateway/test_remarks.py::test_a_container_killed_for_memory_says_limit_and_key",
        "local_settings/test_docker_memory.py::test_a_kill_is_in_the_log_and_in_the_answer",
    ),
    "device_requests with count=-1, with device_ids": (
        "gateway/test_cluster_manifest.py::test_gpus",
        "e2e/gateway_cluster/test_gpus.py::test_gpus",
    ),
    "a bind mount of /data/{{ ds }}": (
        "gateway/test_cluster_manifest.py::test_binds_map_all_that_is_below_them",
        "gateway/test_cluster_manifest.py::test_binds_outside_are_refused",
    ),
    "api_version 1.30, 1.37, 1.41": (
        "gateway/test_api_versions.py::test_docker_py_runs_with_every_version",
        "render/test_dind_daemon.py::test_the_daemon_takes_the_oldest_api_version",
    ),
    "docker_url of a usual proxy": (
        "local_settings/test_docker_tasks.py::test_urls",
        "local_settings/test_docker_tasks.py::test_hosts_are_a_setting",
    ),
    "extra_hosts and hostname in upper case, with _ or a dot": (
        "e2e/test_gateway_differential.py::test_the_same_as_docker_or_listed",
    ),
    "ulimits": ("e2e/test_gateway_differential.py::test_the_same_as_docker_or_listed",),
    "mode dind: binds of what the worker mounts": (
        "render/test_dind_volumes.py::test_the_daemon_has_them_at_the_workers_path",
        "e2e/dind/test_volumes.py::test_tasks_mount_the_workers_directories",
    ),
    "KubernetesPodOperator in another namespace": (
        "local_settings/test_denials.py::test_a_denied_right_names_its_value",
    ),
    "a connection with $$ in its password": (
        "render/test_config.py::test_connections_and_variables_arrive_as_written",
        "gateway/test_cluster_manifest.py::test_dollars_stay_dollars",
    ),
    "custom resources, SparkKubernetesOperator": (
        "render/test_task_namespaces.py::test_rules_are_for_custom_resources",
        "api/test_fence_objects.py::test_metadata_of_custom_resources",
    ),
    "DAGs that ask Airflow's configuration for the namespace": (
        "render/test_task_namespaces.py::test_dags_that_ask_airflow_for_the_namespace_get_the_task_namespace",
    ),
    "what Airflow 3 no longer takes": ("dags/test_migrating.py::test_the_command_finds_each_old_form",),
    "a worker whose log directory is full": ("e2e/test_log_retention.py::test_no_log_evicts_a_worker",),
    "the docker program in a task": (
        "e2e/test_gateway_clients.py::test_the_docker_program_does_the_same_or_listed",
    ),
    "Airflow's own system DAGs": ("e2e/system_dags/test_system_dags.py::test_they_succeed_or_are_listed",),
}

#: In values and overlays.
IN_VALUES: Mapping[str, tuple[str, ...]] = {
    "socket.filter: null": (
        "policies/test_missing_values.py::test_null_opens_nothing",
        "render/test_docker_gateway.py::test_null_opens_nothing",
    ),
    "socket.allowed.binds with / or /etc": (
        "policies/test_mutations.py::test_every_weakening_of_a_release_is_caught",
    ),
    "every admission list [*]": (
        "policies/test_lint.py::test_every_list_that_admits_everything_is_found",
        "policies/test_lint.py::test_exempt_groups",
    ),
    "Argo CD prunes Secrets made in the cluster": (
        "scripts/test_create_secrets.py::test_argo_cd_leaves_the_secrets_alone",
    ),
    "dind.dataVolume of a claim": ("render/test_bad_values.py::test_is_refused",),
    "FAB: the web server's configuration reads a variable": (
        "render/test_dags.py::test_create_admin_has_the_variables_of_the_api_server",
    ),
    "values that contradict each other": ("render/test_bad_values.py::test_is_refused",),
    "a long tag, a tag with a digest": ("render/test_config.py::test_a_long_tag_becomes_a_legal_label",),
    "null for a map; template traces": ("render/test_bad_values.py::test_is_refused",),
    "make lint: acceptances of a user's own": (
        "policies/test_lint.py::test_a_users_own_acceptance",
        "policies/test_lint.py::test_our_own_examples_pass",
    ),
    "make lint: exit codes and formats": (
        "policies/test_lint.py::test_bad_values_in_every_format",
        "policies/test_lint.py::test_several_files_after_one_option",
        "policies/test_lint.py::test_without_the_packages",
        "policies/test_lint.py::test_sarif",
    ),
    "malformed files that Helm took": (
        "render/test_typos.py::test_malformed_values_are_refused",
        "render/test_typos.py::test_every_word_with_a_typo_is_named",
    ),
    "notes of the variants of mode dind": (
        "render/test_notes.py::test_names_what_a_variant_of_dind_gives_away",
    ),
    "dags.volume of a ConfigMap": ("render/test_dags.py::test_a_config_map_of_dags_gets_an_airflowignore",),
    "metrics to a StatsD host": (
        "render/test_network.py::test_metrics_of_every_component_reach_their_server",
    ),
    "eight groups with namespaces: Helm's Secret exceeds 1 MiB": (
        "render/test_release_size.py::test_many_groups_with_namespaces_fit",
        "render/test_release_size.py::test_each_copy_has_the_same_data_as_the_only_one",
        "api/test_helm.py::test_config_maps_in_several_namespaces",
    ),
    "an overlay whose patch replaces a list of the fence": (
        "overlays/test_users_overlay.py::test_a_fence_whose_variables_a_patch_replaced_is_found",
    ),
    "an overlay's entries without effect": (
        "overlays/test_users_overlay.py::test_entries_without_effect_are_found",
    ),
}

#: Report -> why no test holds it.
OPEN: Mapping[str, str] = {
    "mode dind: docker run -v of a directory that the daemon does not see": "So does Docker.",
}
