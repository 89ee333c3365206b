#!/usr/bin/env bash
# Remove old task logs, forever: once at the start and then at every full AIRFLOW__LOG_CLEANUP_FREQUENCY_MINUTES.
# A log is old after AIRFLOW__LOG_RETENTION_DAYS plus AIRFLOW__LOG_RETENTION_MINUTES; sooner, a day at a time, while
# the volume holds more than AIRFLOW__LOG_MAX_SIZE_BYTES, or more than AIRFLOW__LOG_MAX_SIZE_PERCENT of its size.
set -euo pipefail
trap exit INT TERM

logs=${AIRFLOW_HOME:-/opt/airflow}/logs
days=${AIRFLOW__LOG_RETENTION_DAYS:-15}
minutes=${AIRFLOW__LOG_RETENTION_MINUTES:-0}
period=$((${AIRFLOW__LOG_CLEANUP_FREQUENCY_MINUTES:-15} * 60))
limit=${AIRFLOW__LOG_MAX_SIZE_BYTES:-0}
percent=${AIRFLOW__LOG_MAX_SIZE_PERCENT:-0}

# volume FIELD: size or used, in bytes.
volume() {
    df --block-size=1 --output="$1" "$logs" | tail -n 1
}

# remove_older MINUTES
remove_older() {
    echo "Trimming airflow logs older than $1 minutes."
    find "$logs" -name lost+found -prune -o -type f -name '*.log' -mmin "+$1" -exec rm -f {} + || true
}

if ((limit == 0 && percent > 0)); then
    limit=$(($(volume size) * percent / 100))
fi
echo "Cleaning logs every $period seconds"
while true; do
    remove_older $((days * 1440 + minutes))
    for ((kept = days - 1; limit > 0 && kept >= 0 && $(volume used) > limit; kept--)); do
        echo "The volume holds more than $limit bytes: keeping $kept days."
        remove_older $((kept * 1440 + minutes))
    done
    find "$logs" -mindepth 1 -type d -empty -delete || true
    # In the background, so that a signal ends the script at once.
    sleep $((period - $(date +%s) % period)) &
    wait $!
done
