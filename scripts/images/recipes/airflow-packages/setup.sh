useradd --uid 50000 --gid 0 --home-dir /home/airflow --create-home --shell /bin/bash --comment 'Apache Airflow' airflow

python3 -m venv --symlinks /home/airflow/.local
/home/airflow/.local/bin/pip install --quiet --no-index --find-links /mnt/wheels --no-deps --no-compile \
    --disable-pip-version-check --requirement /mnt/recipe/requirements.txt
# Bytecode that does not depend on times: the root file system is often read-only, and without it each start
# compiles everything again. (Some packages carry templates and tests that are no Python.)
/home/airflow/.local/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    /home/airflow/.local/lib > /dev/null || true

# Any uid with gid 0 may do what airflow may.
mkdir -p /opt/airflow/dags /opt/airflow/logs /opt/airflow/plugins
chown -R airflow:0 /home/airflow /opt/airflow
chmod -R g=u /home/airflow /opt/airflow
chmod g=u /etc/passwd
