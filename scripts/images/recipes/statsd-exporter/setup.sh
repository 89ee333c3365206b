install -m 755 /mnt/tools/statsd_exporter /bin/
