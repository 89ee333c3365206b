# Dumps the embedded database into /backups, and removes dumps beyond the newest AIRDOCK_KEEP.
#
# With AIRDOCK_RESTORE, the name of a dump or `latest`, restores that dump. It goes into a second database, which
# replaces the first one when it is complete: a dump that cannot be read changes nothing.
set -eu
umask 077
cd /backups

if [ -n "${AIRDOCK_RESTORE:-}" ]; then
  dump=$AIRDOCK_RESTORE
  if [ "$dump" = latest ]; then
    for dump in airflow-*.dump; do :; done
  fi
  if [ ! -f "$dump" ]; then
    echo "There is no dump $dump. There are: $(echo airflow-*.dump)"
    exit 1
  fi
  dropdb --if-exists airflow_restored
  createdb airflow_restored
  pg_restore --exit-on-error --dbname=airflow_restored "$dump"
  dropdb --if-exists --force airflow
  psql --quiet --dbname=postgres --command="ALTER DATABASE airflow_restored RENAME TO airflow"
  echo "Restored $dump."
  exit
fi

rm -f airflow-*.part
dump=airflow-$(date -u +%Y%m%dT%H%M%SZ).dump
pg_dump --format=custom --file="$dump.part"
# Read to its end: a dump on a full or broken volume is no backup.
pg_restore --file=/dev/null "$dump.part"
sync "$dump.part"
mv "$dump.part" "$dump"
echo "Wrote $dump, $(stat -c %s "$dump") bytes."
ls -r airflow-*.dump | tail -n "+$((AIRDOCK_KEEP + 1))" | while read -r old; do
  rm "$old"
  echo "Removed $old."
done
